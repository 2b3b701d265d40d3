//! The two loops over the step machine, and no policy: waits go to the store, answers go back.

use crate::gate::{Outcome, Step};
use crate::seen::{Table, TableStore};
use crate::store::{Claim, ClaimAnswer, Settlement, StoreFault, Throttle, ThrottleAnswer};

/// A store that answers at once. The contract is in [`crate::store`].
pub trait Store {
    /// Looks at, or counts against, a source's refusals.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer.
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault>;

    /// Spends quota and claims an event.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer; the event may or may not be claimed then.
    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault>;

    /// Commits or releases a claim.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer; the claim's lease then ends it.
    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault>;
}

/// A store that may take its time. The contract is in [`crate::store`].
#[expect(async_fn_in_trait, reason = "hosts are single-threaded wasm instances: no future has to be Send")]
pub trait AsyncStore {
    /// As [`Store::throttle`].
    ///
    /// # Errors
    /// As [`Store::throttle`].
    async fn throttle(&self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault>;

    /// As [`Store::claim`].
    ///
    /// # Errors
    /// As [`Store::claim`].
    async fn claim(&self, claim: &Claim) -> Result<ClaimAnswer, StoreFault>;

    /// As [`Store::settle`].
    ///
    /// # Errors
    /// As [`Store::settle`].
    async fn settle(&self, settlement: &Settlement) -> Result<(), StoreFault>;
}

impl<T: Table> Store for TableStore<T> {
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        Self::throttle(self, throttle)
    }

    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        Self::claim(self, claim)
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        Self::settle(self, settlement)
    }
}

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
