//! The two loops over the step machine, and no policy: waits go to the store, answers go back.

use crate::gate::{Outcome, Step};
use crate::store::{AsyncStore, Store};

/// Takes a request to its outcome with a store that answers at once.
pub fn drive_now(store: &mut impl Store, mut step: Step<'_>) -> Outcome {
    loop {
        step = match step {
            Step::Throttle(wait) => {
                let answer = store.throttle(wait.operation());
                wait.resume(answer)
            }
            Step::Claim(wait) => {
                let answer = store.claim(wait.operation());
                wait.resume(answer)
            }
            Step::Done(outcome) => {
                if let Some(penalty) = outcome.penalty() {
                    // The refusal stands whether or not it could be counted.
                    let _uncounted = store.throttle(&penalty);
                }
                return outcome;
            }
        }
    }
}

/// Takes a request to its outcome with a store that may take its time.
pub async fn drive(store: &impl AsyncStore, mut step: Step<'_>) -> Outcome {
    loop {
        step = match step {
            Step::Throttle(wait) => {
                let answer = store.throttle(wait.operation()).await;
                wait.resume(answer)
            }
            Step::Claim(wait) => {
                let answer = store.claim(wait.operation()).await;
                wait.resume(answer)
            }
            Step::Done(outcome) => {
                if let Some(penalty) = outcome.penalty() {
                    // The refusal stands whether or not it could be counted.
                    let _uncounted = store.throttle(&penalty).await;
                }
                return outcome;
            }
        }
    }
}
