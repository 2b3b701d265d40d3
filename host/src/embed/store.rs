//! The store that the component imports: the caller's, behind the plan of faults.

use super::bindings::countersign::gate::store::Host;
use super::records::{
    ClaimAnswer, ClaimOperation, Settlement, StoreFault, ThrottleAnswer, ThrottleOperation,
};
use crate::fault::{Fault, Faults};

/// What a caller keeps for the component. The contract is in `wit/gate.wit`, and in `components/core/src/store.rs` with the
/// attack that each clause stops. It travels with its host, so two hosts on two threads may share what is behind it.
pub trait EmbedStore: Send {
    /// Looks at, or counts against, the refusals of a source.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    fn throttle(&mut self, operation: &ThrottleOperation) -> Result<ThrottleAnswer, StoreFault>;

    /// Spends quota and claims an event.
    ///
    /// # Errors
    ///
    /// When the store cannot answer; the event may or may not be claimed then.
    fn claim(&mut self, operation: &ClaimOperation) -> Result<ClaimAnswer, StoreFault>;

    /// Commits or releases a claim.
    ///
    /// # Errors
    ///
    /// When the store cannot answer; the claim's lease then ends it.
    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault>;
}

/// The caller's store, lent to one instance. Each call may be struck by a fault, under the names `store.throttle`,
/// `store.claim` and `store.settle`.
pub(super) struct Lent {
    store: Box<dyn EmbedStore>,
    faults: Faults,
}

impl Lent {
    pub(super) fn new(store: Box<dyn EmbedStore>, faults: Faults) -> Self {
        Self { store, faults }
    }

    /// Makes one call, or lets it fail as planned. `garbage` is what a call answers whose stored bytes are not what was stored.
    fn call<A>(
        &mut self,
        name: &str,
        garbage: impl FnOnce(Vec<u8>) -> Result<A, StoreFault>,
        call: impl FnOnce(&mut dyn EmbedStore) -> Result<A, StoreFault>,
    ) -> Result<A, StoreFault> {
        match self.faults.strike(name) {
            None => call(&mut *self.store),
            Some(Fault::Error) => Err(StoreFault::Unavailable),
            Some(Fault::Conflict) => Err(StoreFault::Contended),
            Some(Fault::Garbage(bytes)) => garbage(bytes),
            Some(Fault::ErrorAfterEffect) => call(&mut *self.store).and(Err(StoreFault::Unavailable)),
        }
    }
}

impl Host for Lent {
    fn throttle(&mut self, operation: ThrottleOperation) -> Result<ThrottleAnswer, StoreFault> {
        self.call("store.throttle", |_| Err(StoreFault::Corrupt), |store| store.throttle(&operation))
    }

    fn claim(&mut self, operation: ClaimOperation) -> Result<ClaimAnswer, StoreFault> {
        // The id of another event is the one stored text that an answer carries.
        let garbage =
            |bytes: Vec<u8>| Ok(ClaimAnswer::DuplicateOf(Some(String::from_utf8_lossy(&bytes).into_owned())));
        self.call("store.claim", garbage, |store| store.claim(&operation))
    }

    fn settle(&mut self, settlement: Settlement) -> Result<(), StoreFault> {
        self.call("store.settle", |_| Err(StoreFault::Corrupt), |store| store.settle(&settlement))
    }
}
