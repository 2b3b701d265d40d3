//! The redirector as a Spin component: `GET /c/{campaign}` is sent on to the campaign's landing page, with a click id.

// Spin's export names do not link natively.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::gate::Gate;
use countersign_core::headers::Headers;
use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use countersign_ledger::click::{Click, Random, Redirector, Refusal, Request};
use countersign_ledger::document::Durability;
use countersign_spin::clicks::Clicks;
use countersign_spin::config::{self, NotConfigured};
use countersign_spin::exchange::{self, Response};
use countersign_spin::task;
use spin_sdk::http::{HeaderValue, IntoResponse};
use spin_sdk::http_service;

/// What an instance keeps between requests; it may serve several at once, which meet at every `await`.
struct Instance {
    redirector: Redirector,
    clicks: Clicks,
}

/// Why an instance does not serve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Problem {
    /// The document is wrong, or a secret is missing: it will be the same for the next request.
    Configuration,
    /// Spin's provider of variables did not answer.
    Variables,
}

impl Problem {
    /// For the line of each request; what to do about it was logged when it arose.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration is wrong; the mistakes were logged at the start",
            Self::Variables => "the provider of variables does not answer",
        }
    }
}

thread_local! {
    static STARTED: RefCell<Option<Result<Rc<Instance>, Problem>>> = const { RefCell::new(None) };
}

#[http_service]
async fn handle(request: spin_sdk::http::Request) -> impl IntoResponse {
    match instance().await {
        Ok(instance) => answer(&instance, request).await,
        Err(problem) => {
            let reply = Gate::internal_error(problem.as_str());
            log(&reply.facts.to_json());
            exchange::respond(*reply)
        }
    }
}

async fn answer(instance: &Rc<Instance>, request: spin_sdk::http::Request) -> Response {
    let received = exchange::receive_head(&request);
    let headers: Vec<(&[u8], &[u8])> =
        received.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
    let request = Request {
        method: &received.method,
        path: &received.path,
        headers: Headers(&headers),
        peer: received.peer,
    };
    let random = Random { id: task::random(), nonce: task::random() };
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
async fn keep(instance: &Rc<Instance>, click: Click) {
    let first = match instance.redirector.redirect.durability {
        Durability::ClickFirst => match instance.clicks.store(&click).await {
            Ok(()) => return log(&click.to_json(STORED)),
            Err(fault) => Some(fault),
        },
        Durability::RedirectFirst => None,
    };
    let instance = Rc::clone(instance);
    task::after_reply(async move { keep_after_reply(&instance, &click, first).await });
}

async fn keep_after_reply(instance: &Instance, click: &Click, first: Option<StoreFault>) {
    let first = match first {
        Some(fault) => Err(fault),
        None => instance.clicks.store(click).await,
    };
    let stored = match first {
        Ok(()) => Ok(()),
        Err(fault) => instance.clicks.store_again(click, fault).await,
    };
    if stored.is_ok() {
        log(&click.to_json(STORED));
    } else {
        log(&click.to_json(LOST));
        instance.clicks.write_lost_later().await;
    }
}

const STORED: &str = "click_stored";
const LOST: &str = "click_lost";

/// The instance's redirector, made by its first request. A configuration that is wrong is kept as well: it must not be compiled, and
/// every mistake logged, at each request.
async fn instance() -> Result<Rc<Instance>, Problem> {
    match STARTED.with_borrow(Clone::clone) {
        Some(Ok(instance)) => return Ok(instance),
        Some(Err(Problem::Configuration)) => return Err(Problem::Configuration),
        Some(Err(Problem::Variables)) | None => {}
    }
    let (problem, lines) = match config::redirector().await {
        Ok(redirector) => return Ok(started(redirector)),
        Err(NotConfigured::Wrong(lines)) => (Problem::Configuration, lines),
        Err(NotConfigured::Unanswered(name)) => {
            let remedy = "check the provider in Spin's runtime configuration, and that it has the variable";
            let line = format!("countersign: the variable {name} cannot be asked for; {remedy}");
            (Problem::Variables, vec![line])
        }
    };
    tell_once(problem, &lines);
    Err(problem)
}

/// Keeps the redirector, unless another request has made one meanwhile: there is one count of lost clicks.
fn started(redirector: Redirector) -> Rc<Instance> {
    STARTED.with_borrow_mut(|started| match started {
        Some(Ok(instance)) => Rc::clone(instance),
        Some(Err(_)) | None => {
            let instance = Rc::new(Instance { redirector, clicks: Clicks::new("default") });
            *started = Some(Ok(Rc::clone(&instance)));
            instance
        }
    })
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
fn log(line: &str) {
    println!("{line}");
}
