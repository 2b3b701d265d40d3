//! The component: it opens the inbox once per instance, as the gate does.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use countersign_core::store::AsyncStore as _;
use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use countersign_spin::inbox::Inbox;
use countersign_spin::opening::{Found, NotOpened};
use countersign_spin::scope::Scope;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, HeaderMap, IntoResponse, Request, StatusCode};
use spin_sdk::http_service;

use crate::wire::{Operation, Told};

thread_local! {
    static INBOX: RefCell<Option<Rc<Inbox>>> = const { RefCell::new(None) };
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let told = match operation(request).await {
        Some(operation) => Ok(tell(operation).await),
        None => Err(StatusCode::BAD_REQUEST),
    };
    let (status, body) = match told {
        Ok(told) => (StatusCode::OK, serde_json::to_vec(&told).unwrap_or_default()),
        Err(status) => (status, Vec::new()),
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-length", body.len().into());
    (status, headers, FullBody::new(Bytes::from(body)))
}

async fn operation(request: Request) -> Option<Operation> {
    let body = request.into_body().bytes().await.ok()?;
    serde_json::from_slice(&body).ok()
}

async fn tell(operation: Operation) -> Told {
    let inbox = match inbox().await {
        Ok(inbox) => inbox,
        Err(NotOpened::Store(fault)) => return Told::of_fault(fault),
        Err(NotOpened::NotDurable | NotOpened::Newer | NotOpened::OtherScope { .. }) => {
            return Told::of_fault(StoreFault::Unavailable);
        }
    };
    match operation {
        Operation::Throttle(throttle) => Told::of_throttle(inbox.throttle(&throttle.into()).await),
        Operation::Claim(claim) => Told::of_claim(inbox.claim(&claim.into()).await),
        Operation::Settle(settlement) => Told::of_settlement(inbox.settle(&settlement.into()).await),
    }
}

async fn inbox() -> Result<Rc<Inbox>, NotOpened> {
    if let Some(inbox) = INBOX.with_borrow(Clone::clone) {
        return Ok(inbox);
    }
    let scope = Scope::of_document(r#"{ "environment": "production" }"#);
    let scope = scope.ok_or(NotOpened::Store(StoreFault::Unavailable))?;
    // An operation brings its own time, and no clock is ahead of it.
    let inbox = Inbox::open(Found::at("default").await?, &scope, 0, || Timestamp::from_ms(0)).await?;
    let inbox = Rc::new(inbox);
    INBOX.with_borrow_mut(|kept| *kept = Some(Rc::clone(&inbox)));
    Ok(inbox)
}
