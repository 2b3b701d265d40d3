//! What an instance keeps between requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::time::Timestamp;
use countersign_spin::config::{self, NotConfigured};
use countersign_spin::ledger::Ledger;

/// A worker that can post.
pub(crate) struct Instance {
    /// The ledger, with the rules that it posts by.
    pub(crate) ledger: Ledger,
}

thread_local! {
    static STARTED: RefCell<Option<Result<Rc<Instance>, &'static str>>> = const { RefCell::new(None) };
}

/// The instance, made by its first request. A document that is wrong is the same for the next one.
pub(crate) async fn instance() -> Result<Rc<Instance>, &'static str> {
    if let Some(started) = STARTED.with_borrow(Clone::clone) {
        return started;
    }
    let rules = match config::rules().await {
        Ok(rules) => rules,
        Err(NotConfigured::Wrong(lines)) => {
            complain(&lines);
            let problem = "the configuration is wrong; the mistakes were logged at the start";
            STARTED.set(Some(Err(problem)));
            return Err(problem);
        }
        Err(NotConfigured::Unanswered(_)) => return Err("the provider of variables does not answer"),
    };
    let ledger = Ledger::open("default", rules, now).await.map_err(|problem| {
        complain(&[format!("countersign: no ledger: {}", problem.as_str())]);
        problem.as_str()
    })?;
    let instance = Rc::new(Instance { ledger });
    STARTED.set(Some(Ok(Rc::clone(&instance))));
    Ok(instance)
}

#[expect(clippy::print_stderr, reason = "Spin collects a component's standard error as its log")]
fn complain(lines: &[String]) {
    for line in lines {
        eprintln!("{line}");
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the host that gives the rules their clock")]
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
