//! The gate as a Spin component: `POST /postback[/{partner}]`, and `POST /collect` for events that a filter vouches for.
//! A 200 means that the inbox row is committed.

// Spin's export names do not link natively.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::drive;
use countersign_core::gate::{Body, Gate, Mode, Outcome, Peer, Request, Scratch};
use countersign_core::headers::Headers;
use countersign_core::outcome::Reply;
use countersign_core::time::Timestamp;
use countersign_spin::config;
use countersign_spin::exchange::{self, Received, Response};
use countersign_spin::inbox::Inbox;
use spin_sdk::http::IntoResponse;
use spin_sdk::http_service;

/// What an instance keeps between requests; it may serve several at once, which meet at every `await`.
struct Instance {
    gate: Gate,
    inbox: Inbox,
}

thread_local! {
    static INSTANCE: RefCell<Option<Rc<Instance>>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

#[http_service]
async fn handle(request: spin_sdk::http::Request) -> impl IntoResponse {
    answer(request).await
}

async fn answer(request: spin_sdk::http::Request) -> Response {
    let reply = match instance().await {
        Some(instance) => reply(&instance, request).await,
        None => {
            Gate::internal_error("the gate did not start: the mistakes stand in the component's error log")
        }
    };
    log(&reply.facts);
    exchange::respond(*reply)
}

async fn reply(instance: &Instance, request: spin_sdk::http::Request) -> Box<Reply> {
    let Ok(received) = exchange::receive(request, &instance.gate).await else {
        return Gate::internal_error("the request broke off before its end");
    };
    let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    let outcome = decide(instance, &received, &mut scratch).await;
    SCRATCH.with_borrow_mut(|kept| kept.push(scratch));
    match outcome {
        Outcome::Answer(answer) => answer.reply,
        // `Mode::Inbox` never forwards: the claim is the hand-on.
        Outcome::Forward(_) => Gate::internal_error("an event without a hand-on"),
    }
}

async fn decide(instance: &Instance, received: &Received, scratch: &mut Scratch) -> Outcome {
    let headers: Vec<(&[u8], &[u8])> =
        received.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
    let request = Request {
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

/// The instance's gate, made by its first request.
async fn instance() -> Option<Rc<Instance>> {
    if let Some(instance) = INSTANCE.with_borrow(Clone::clone) {
        return Some(instance);
    }
    let instance = Rc::new(start().await?);
    INSTANCE.with_borrow_mut(|kept| *kept = Some(Rc::clone(&instance)));
    Some(instance)
}

#[expect(clippy::print_stderr, reason = "Spin collects a component's standard error as its log")]
async fn start() -> Option<Instance> {
    let policy = match config::load().await {
        Ok(policy) => policy,
        Err(config::NotConfigured(lines)) => {
            for line in lines {
                eprintln!("{line}");
            }
            return None;
        }
    };
    match Inbox::open("default", now).await {
        Ok(inbox) => Some(Instance { gate: Gate::new(policy, Mode::Inbox), inbox }),
        Err(problem) => {
            eprintln!("countersign: no inbox: {}", problem.as_str());
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the host that gives the core its clock")]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// One line of JSON per request, without anything secret or personal.
#[expect(clippy::print_stdout, reason = "Spin collects a component's standard output as its log")]
fn log(facts: &countersign_core::outcome::Facts) {
    println!("{}", facts.to_json());
}
