//! Wakes the worker after an event was accepted, so that it is posted within seconds without a scheduler.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use countersign_ledger::retry;
use countersign_spin::host;
use spin_sdk::http::{self, Method, Request};
use spin_sdk::time::sleep;

/// The least time between two calls of an instance.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a worker is called again that did not hear. After these it is left to the next accept, and to cron.
const RETRIES_MAX: u32 = 8;

/// The pauses between do not grow beyond those of the second retry, 4 s: events wait meanwhile.
const GROWTHS_MAX: u32 = 1;

thread_local! {
    /// Whether a call is under way, or was made within the last [`PAUSE`].
    static IS_PAUSED: Cell<bool> = const { Cell::new(false) };
    /// Whether an event came meanwhile.
    static IS_WANTED: Cell<bool> = const { Cell::new(false) };
    /// Whether it was logged that there is no worker.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Sees to it that the worker hears of an event that was just accepted, behind the reply: no sender waits for it.
pub(crate) fn worker(url: &Rc<str>) {
    IS_WANTED.set(true);
    if !IS_PAUSED.replace(true) {
        let url = Rc::clone(url);
        host::after_reply(async move {
            let mut failures = 0_u32;
            while IS_WANTED.replace(false) {
                let pause = match call(&url).await {
                    Ok(()) => {
                        failures = 0;
                        PAUSE
                    }
                    Err(NotWoken { retry_after_ms }) => {
                        // An event that came during this call is wanted in any case.
                        if failures < RETRIES_MAX {
                            IS_WANTED.set(true);
                        }
                        let random = u64::from_be_bytes(host::random());
                        let delay = retry::delay_ms(failures.min(GROWTHS_MAX), random, retry_after_ms);
                        failures = failures.saturating_add(1);
                        PAUSE.max(Duration::from_millis(delay))
                    }
                };
                sleep(pause).await;
            }
            IS_PAUSED.set(false);
        });
    }
}

/// The worker did not hear, or could not run.
struct NotWoken {
    /// How long it wants not to be called, as far as an instance waits for that: longer ones are cron's.
    retry_after_ms: Option<u64>,
}

async fn call(url: &str) -> Result<(), NotWoken> {
    let answer = match Request::builder().method(Method::POST).uri(url).body(String::new()) {
        Ok(request) => http::send(request).await.ok(),
        Err(_) => None,
    };
    if answer.as_ref().is_some_and(|answer| answer.status().is_success()) {
        return Ok(());
    }
    if !IS_TOLD.replace(true) {
        host::complain(&format!(
            "the worker does not hear of events: let the gate call {url} (allowed_outbound_hosts), or let cron send POST \
             /internal/tick; what is accepted stays in the queue"
        ));
    }
    let retry_after = answer.as_ref().and_then(|answer| answer.headers().get("retry-after"));
    let retry_after_ms = retry_after.and_then(|value| retry::retry_after_ms(value.as_bytes()));
    Err(NotWoken { retry_after_ms: retry_after_ms.map(|asked| asked.min(retry::CAP_MS)) })
}
