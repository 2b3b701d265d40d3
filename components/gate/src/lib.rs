//! The gate as a Spin component: `POST /postback[/{partner}]`, and `POST /collect` for events that a filter vouches for.
//! A 200 means that the inbox row is committed.

// Spin's export names do not link natively.
#![cfg(target_arch = "wasm32")]

mod minimised;
mod wake;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::drive;
use countersign_core::gate::{Body, Gate, Mode, Outcome, Peer, Request, Scratch};
use countersign_core::headers::Headers;
use countersign_core::outcome::{Code, Reply};
use countersign_core::time::Timestamp;
use countersign_spin::config::{self, NotConfigured};
use countersign_spin::exchange::{self, Received, Response};
use countersign_spin::inbox::{Inbox, NotOpened};
use countersign_spin::rejections::Rejections;
use countersign_spin::task;

use minimised::Minimised;
use spin_sdk::http::IntoResponse;
use spin_sdk::http_service;

/// What an instance keeps between requests; it may serve several at once, which meet at every `await`.
struct Instance {
    gate: Gate,
    inbox: Minimised,
    /// Where the worker listens, inside the application; `None`: it is left to cron.
    worker: Option<Rc<str>>,
    rejections: Rejections,
}

/// Why an instance does not serve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Problem {
    /// The document is wrong, or a secret is missing.
    Configuration,
    /// Spin's provider of variables did not answer.
    Variables,
    /// There is no inbox.
    Inbox(NotOpened),
}

impl Problem {
    /// For the line of each request; what to do about it was logged when it arose.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration is wrong; the mistakes were logged at the start",
            Self::Variables => "the provider of variables does not answer",
            Self::Inbox(problem) => problem.as_str(),
        }
    }

    /// Whether it will be the same for the next request.
    const fn lasts(self) -> bool {
        match self {
            Self::Configuration | Self::Inbox(NotOpened::NotDurable) => true,
            Self::Variables | Self::Inbox(NotOpened::Store(_)) => false,
        }
    }
}

thread_local! {
    static STARTED: RefCell<Option<Result<Rc<Instance>, Problem>>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

#[http_service]
async fn handle(request: spin_sdk::http::Request) -> impl IntoResponse {
    answer(request).await
}

async fn answer(request: spin_sdk::http::Request) -> Response {
    let reply = match instance().await {
        Ok(instance) => {
            let (reply, source) = reply(&instance, request).await;
            after(&instance, &reply, source);
            reply
        }
        Err(problem) => Gate::internal_error(problem.as_str()),
    };
    log(&reply.facts);
    exchange::respond(*reply)
}

/// What follows from an answer, once it is on its way: an event that was accepted is to be posted, a refusal is kept.
fn after(instance: &Rc<Instance>, reply: &Reply, source: Option<IpAddr>) {
    if reply.facts.code == Code::Accepted {
        if let Some(url) = &instance.worker {
            wake::worker(url);
        }
    } else if !reply.facts.code.is_success() {
        let (instance, facts) = (Rc::clone(instance), reply.facts.clone());
        task::after_reply(async move {
            // Its line in the log is there in any case.
            let _kept = instance.rejections.keep(&facts, source, now()).await;
        });
    }
}

async fn reply(instance: &Instance, request: spin_sdk::http::Request) -> (Box<Reply>, Option<IpAddr>) {
    let Ok(received) = exchange::receive(request, &instance.gate).await else {
        return (Gate::internal_error("the request broke off before its end"), None);
    };
    let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    let outcome = decide(instance, &received, &mut scratch).await;
    SCRATCH.with_borrow_mut(|kept| kept.push(scratch));
    let reply = match outcome {
        Outcome::Answer(answer) => answer.reply,
        // `Mode::Inbox` never forwards: the claim is the hand-on.
        Outcome::Forward(_) => Gate::internal_error("an event without a hand-on"),
    };
    (reply, received.peer)
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

/// The instance's gate, made by its first request. A problem that lasts is kept as well: whoever sends to a gate that is
/// misconfigured must not make it compile, and log every mistake, at each request.
async fn instance() -> Result<Rc<Instance>, Problem> {
    match STARTED.with_borrow(Clone::clone) {
        Some(Ok(instance)) => return Ok(instance),
        Some(Err(problem)) if problem.lasts() => return Err(problem),
        Some(Err(_)) | None => {}
    }
    match start().await {
        Ok(instance) => {
            let instance = Rc::new(instance);
            STARTED.set(Some(Ok(Rc::clone(&instance))));
            Ok(instance)
        }
        Err((problem, lines)) => {
            tell_once(problem, &lines);
            Err(problem)
        }
    }
}

async fn start() -> Result<Instance, (Problem, Vec<String>)> {
    let policy = config::load().await.map_err(not_configured)?;
    let rules = config::rules().await.map_err(not_configured)?;
    match Inbox::open("default", now).await {
        Ok(inbox) => {
            let inbox = Minimised::new(inbox, &policy, &rules);
            let worker = config::worker_url().await;
            let rejections = Rejections::new("default");
            Ok(Instance { gate: Gate::new(policy, Mode::Inbox), inbox, worker, rejections })
        }
        Err(problem) => {
            Err((Problem::Inbox(problem), vec![format!("countersign: no inbox: {}", problem.as_str())]))
        }
    }
}

fn not_configured(problem: NotConfigured) -> (Problem, Vec<String>) {
    match problem {
        NotConfigured::Wrong(lines) => (Problem::Configuration, lines),
        NotConfigured::Unanswered(name) => {
            let remedy = "check the provider in Spin's runtime configuration, and that it has the variable";
            (
                Problem::Variables,
                vec![format!("countersign: the variable {name} cannot be asked for; {remedy}")],
            )
        }
    }
}

/// Logs a problem, unless it is still the one of before.
#[expect(clippy::print_stderr, reason = "Spin collects a component's standard error as its log")]
fn tell_once(problem: Problem, lines: &[String]) {
    let is_new = STARTED.with_borrow_mut(|started| match started {
        // Another request has made it meanwhile.
        Some(Ok(_)) => false,
        Some(Err(before)) if *before == problem => false,
        Some(Err(_)) | None => {
            *started = Some(Err(problem));
            true
        }
    });
    for line in lines.iter().filter(|_| is_new) {
        eprintln!("{line}");
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
