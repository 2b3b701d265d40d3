//! The worker as a Spin component: it posts what the inbox holds to the ledger.
//!
//! The gate wakes it over the application's own network (`POST /wake`, which no route of the listener leads to). `/internal/…`
//! is for people and for cron, with a bearer token.

// Spin's export names do not link natively.
#![cfg(target_arch = "wasm32")]

mod admin;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use countersign_spin::config::ConfigurationText;
use countersign_spin::exchange::{self, Response};
use countersign_spin::host::{self, log, now};
use countersign_spin::ledger::Ledger;
use countersign_spin::start::{self, NotStarted, Started};
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use spin_sdk::time::sleep;

/// A run looks again this often while something is due soon.
const PAUSE: Duration = Duration::from_secs(1);
/// A run goes on while the next event is due within this time, in milliseconds: longer than the default patience for a click, so
/// that an event which waits for its click alone needs no cron.
const SOON_MS: u64 = 75_000;
/// How long a run posts before it looks at the clock again, in milliseconds.
const STRETCH_MS: u64 = 10_000;

/// A run that meets so many faults in a row ends: what is queued stays there for the next one.
const FAULTS_MAX: u32 = 60;

thread_local! {
    /// What an instance keeps between requests: the ledger, with the rules that it posts by.
    static STARTED: Started<Ledger> = const { Started::not_yet() };
    /// Whether a run of this instance is under way. It looks at the queue every second, so one is enough.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    answer(request).await
}

async fn answer(request: Request) -> Response {
    let ledger = match start::instance(&STARTED, start).await {
        Ok(ledger) => ledger,
        Err(problem) => return exchange::try_later("internal_error", problem.as_str()),
    };
    if request.uri().path() == "/wake" {
        if !RUNNING.replace(true) {
            host::after_reply(run(ledger));
        }
        return exchange::empty(202);
    }
    admin::answer(&ledger, request).await
}

async fn start() -> Result<Ledger, NotStarted> {
    let document = ConfigurationText::read()?;
    let rules = document.rules().await?;
    Ok(Ledger::open("default", &document.scope()?, rules, now).await?)
}

/// Runs until nothing is due soon, and once more where an event came while the run was ending: its wake-up call fell on deaf ears.
async fn run(ledger: Rc<Ledger>) {
    loop {
        let has_emptied = post_all(&ledger).await;
        RUNNING.set(false);
        let is_due = ledger.next_due().await.ok().flatten().is_some_and(|due| due <= now());
        if !has_emptied || !is_due || RUNNING.replace(true) {
            break;
        }
    }
}

/// Posts until nothing is due soon, unless another instance does already, and takes out some of what is over its retention. `false`:
/// too many faults, or another instance's run goes on.
async fn post_all(ledger: &Ledger) -> bool {
    let worker = i64::from_be_bytes(host::random());
    let mut faults = 0_u32;
    while faults < FAULTS_MAX {
        match post(ledger, worker).await {
            Ok(Next::Due(due)) if due <= now() => faults = 0,
            Ok(Next::Due(due)) if due <= now().plus_ms(SOON_MS) => {
                faults = 0;
                sleep(PAUSE).await;
            }
            Ok(Next::Due(_) | Next::Nothing) => break,
            Ok(Next::Anothers { is_due: true }) => sleep(PAUSE).await,
            Ok(Next::Anothers { is_due: false }) => return false,
            Err(fault) => {
                if faults == 0 {
                    complain(fault);
                }
                faults = faults.saturating_add(1);
                sleep(PAUSE).await;
            }
        }
    }
    // Where the run is not ended here, it ends by itself.
    if let Err(fault) = ledger.purge().await.and(ledger.end_run(worker).await) {
        complain(fault);
    }
    faults < FAULTS_MAX
}

/// What is next after a stretch of posting.
enum Next {
    /// An event that is due then.
    Due(Timestamp),
    /// The queue is empty.
    Nothing,
    /// Another instance's run goes on. Where an event is due all the same, that instance may have died: its run ends by itself, and
    /// nobody else was woken.
    Anothers {
        /// Whether an event is due.
        is_due: bool,
    },
}

/// Posts what is due.
async fn post(ledger: &Ledger, worker: i64) -> Result<Next, StoreFault> {
    if !ledger.run_as(worker).await? {
        let is_due = ledger.next_due().await?.is_some_and(|due| due <= now());
        return Ok(Next::Anothers { is_due });
    }
    let tally = ledger.post_due(stretch()).await?;
    // That something waits on is no news.
    if tally.settled() > 0 {
        log(&tally.to_json());
    }
    Ok(ledger.next_due().await?.map_or(Next::Nothing, Next::Due))
}

fn complain(fault: StoreFault) {
    host::complain(&format!("posting: {}; what was not posted stays in the queue", fault.as_str()));
}

/// The end of a stretch of posting.
fn stretch() -> Timestamp {
    now().plus_ms(STRETCH_MS)
}
