//! The redirector as a Spin component: `GET /c/{campaign}` is sent on to the campaign's landing page, with a click id.

// Spin's export names do not link natively.
#![cfg(target_arch = "wasm32")]

use std::rc::Rc;

use countersign_core::gate::Gate;
use countersign_core::headers::Headers;
use countersign_ledger::click::{Click, Random, Redirector, Refusal, Request};
use countersign_ledger::document::Durability;
use countersign_spin::clicks::{self, Clicks};
use countersign_spin::config::ConfigurationText;
use countersign_spin::exchange::{self, Response};
use countersign_spin::host::{self, log, now};
use countersign_spin::start::{self, NotStarted, Started};
use spin_sdk::http::{HeaderValue, IntoResponse};
use spin_sdk::http_service;

/// What an instance keeps between requests; it may serve several at once, which meet at every `await`.
struct Instance {
    redirector: Redirector,
    clicks: Rc<Clicks>,
}

thread_local! {
    static STARTED: Started<Instance> = const { Started::not_yet() };
}

#[http_service]
async fn handle(request: spin_sdk::http::Request) -> impl IntoResponse {
    match start::instance(&STARTED, start).await {
        Ok(instance) => answer(&instance, request).await,
        Err(problem) => {
            let reply = Gate::internal_error(exchange::request_id(request.headers()), problem.as_str());
            log(&reply.facts.to_json());
            exchange::respond(*reply)
        }
    }
}

async fn answer(instance: &Instance, request: spin_sdk::http::Request) -> Response {
    let received = exchange::receive_head(&request);
    let headers: Vec<(&[u8], &[u8])> =
        received.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
    let request = Request {
        method: &received.method,
        path: &received.path,
        headers: Headers(&headers),
        peer: received.peer,
    };
    let random = Random { id: host::random(), nonce: host::random() };
    match instance.redirector.answer(&request, now(), random) {
        Ok(redirected) => {
            let response = exchange::redirect(&redirected.location);
            keep(instance, redirected.click).await;
            response
        }
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Response {
    log(&format!(r#"{{"code":"{}"}}"#, refusal.as_str()));
    let mut response = exchange::problem(refusal.status(), refusal.as_str(), refusal.hint());
    if refusal == Refusal::MethodNotAllowed {
        response.1.insert("allow", HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Stores a click before the reply or after it, as the document says. What fails before the reply goes on after it: whoever clicked
/// waits for one attempt at the most.
async fn keep(instance: &Instance, click: Click) {
    let is_stored = match instance.redirector.redirect.durability {
        Durability::ClickFirst => instance.clicks.store(std::slice::from_ref(&click)).await.is_ok(),
        Durability::RedirectFirst => false,
    };
    if is_stored {
        log(&click.to_json(clicks::STORED));
    } else {
        instance.clicks.store_later(click);
    }
}

async fn start() -> Result<Instance, NotStarted> {
    let document = ConfigurationText::read()?;
    let redirector = document.redirector().await?;
    Ok(Instance { redirector, clicks: Rc::new(Clicks::open("default", document.scope()?).await?) })
}
