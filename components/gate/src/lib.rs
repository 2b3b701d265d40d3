//! The gate as a Spin component: `POST /postback[/{partner}]`, and `POST /collect` for events that a filter vouches for.
//! A 200 means that the inbox row is committed.

// Spin's export names do not link natively.
#![cfg(target_arch = "wasm32")]

mod minimised;
mod wake;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use countersign_core::drive;
use countersign_core::gate::{Body, Gate, Mode, Outcome, Peer, Request, Scratch};
use countersign_core::headers::Headers;
use countersign_core::outcome::{Code, Reply, RequestId};
use countersign_spin::config::{self, ConfigurationText};
use countersign_spin::exchange::{self, Received, Response};
use countersign_spin::host::{log, now};
use countersign_spin::inbox::Inbox;
use countersign_spin::opening::Found;
use countersign_spin::rejections::Rejections;
use countersign_spin::start::{self, NotStarted, Started};
use spin_sdk::http::IntoResponse;
use spin_sdk::http_service;

use minimised::Minimised;

/// What an instance keeps between requests; it may serve several at once, which meet at every `await`.
struct Instance {
    gate: Gate,
    inbox: Minimised,
    /// Where the worker listens, inside the application; `None`: it is left to cron.
    worker: Option<Rc<str>>,
    rejections: Rc<Rejections>,
}

thread_local! {
    static STARTED: Started<Instance> = const { Started::not_yet() };
    static SCRATCH: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

#[http_service]
async fn handle(request: spin_sdk::http::Request) -> impl IntoResponse {
    answer(request).await
}

async fn answer(request: spin_sdk::http::Request) -> Response {
    let reply = match start::instance(&STARTED, start).await {
        Ok(instance) => {
            let (reply, source) = reply(&instance, request).await;
            after(&instance, &reply, source);
            reply
        }
        Err(problem) => Gate::internal_error(exchange::request_id(request.headers()), problem.as_str()),
    };
    log(&reply.facts.to_json());
    exchange::respond(*reply)
}

/// What follows from an answer, once it is on its way: an event that was accepted is to be posted, a refusal is kept.
fn after(instance: &Instance, reply: &Reply, source: Option<IpAddr>) {
    if reply.facts.code == Code::Accepted {
        if let Some(url) = &instance.worker {
            wake::worker(url);
        }
    } else {
        instance.rejections.keep_later(&reply.facts, source, now());
    }
}

async fn reply(instance: &Instance, request: spin_sdk::http::Request) -> (Box<Reply>, Option<IpAddr>) {
    let id = exchange::request_id(request.headers());
    let Ok(received) = exchange::receive(request, &instance.gate).await else {
        return (Gate::internal_error(id, "the request broke off before its end"), None);
    };
    let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    let outcome = decide(instance, id, &received, &mut scratch).await;
    SCRATCH.with_borrow_mut(|kept| kept.push(scratch));
    let reply = match outcome {
        Outcome::Answer(answer) => answer.reply,
        // `Mode::Inbox` never forwards: the claim is the hand-on.
        Outcome::Forward(_) => Gate::internal_error(id, "an event without a hand-on"),
    };
    (reply, received.peer)
}

async fn decide(instance: &Instance, id: RequestId, received: &Received, scratch: &mut Scratch) -> Outcome {
    let headers: Vec<(&[u8], &[u8])> =
        received.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
    let request = Request {
        id,
        method: received.method.as_bytes(),
        path: received.path.as_bytes(),
        headers: Headers(&headers),
        body: received.body.as_deref().map_or(Body::TooLarge, Body::Whole),
        peer: Peer { address: received.peer, certificate: &[] },
        scratch,
    };
    let step = instance.gate.begin(request, now());
    drive::drive(&instance.inbox, step).await
}

async fn start() -> Result<Instance, NotStarted> {
    // The database first, for whose answers it waits like a request: the host gives it further ones meanwhile. While it reads the
    // document it takes none, and for each that comes the host would make another instance.
    let found = Found::at("default").await?;
    let document = ConfigurationText::read()?;
    let (policy, rules) = (document.policy().await?, document.rules().await?);
    let inbox = Inbox::open(found, &document.scope()?, 0, now).await?;
    let inbox = Minimised::new(inbox, &policy, &rules);
    let worker = config::worker_url().await;
    let rejections = Rc::new(Rejections::new("default"));
    Ok(Instance { gate: Gate::new(policy, Mode::Inbox), inbox, worker, rejections })
}
