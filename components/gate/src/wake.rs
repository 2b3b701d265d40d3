//! Wakes the worker after an event was accepted, so that it is posted within seconds without a scheduler.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use countersign_spin::host;
use spin_sdk::http::{self, Method, Request};
use spin_sdk::time::sleep;

/// The least time between two calls of an instance.
const PAUSE: Duration = Duration::from_secs(1);

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
            while IS_WANTED.replace(false) {
                call(&url).await;
                sleep(PAUSE).await;
            }
            IS_PAUSED.set(false);
        });
    }
}

async fn call(url: &str) {
    let request = Request::builder().method(Method::POST).uri(url).body(String::new());
    let woken = match request {
        Ok(request) => http::send(request).await.is_ok_and(|response| response.status().is_success()),
        Err(_) => false,
    };
    if !woken && !IS_TOLD.replace(true) {
        host::complain(&format!(
            "the worker does not hear of events: let the gate call {url} (allowed_outbound_hosts), or let cron send POST \
             /internal/tick; what is accepted stays in the queue"
        ));
    }
}
