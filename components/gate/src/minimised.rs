//! The inbox behind the partners' privacy rules: what is not to be kept is never stored (source §9).

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::json::Tape;
use countersign_core::policy::Policy;
use countersign_core::signature::Place;
use countersign_core::store::AsyncStore;
use countersign_core::store::{Claim, ClaimAnswer, Settlement, StoreFault, Throttle, ThrottleAnswer};
use countersign_ledger::minimise::{self, minimise};
use countersign_ledger::rules;
use countersign_spin::inbox::Inbox;

/// The inbox, for payloads that were verified and hashed as they came.
pub(crate) struct Minimised {
    inbox: Inbox,
    /// The rules of each partner that has any.
    rules: BTreeMap<Arc<str>, minimise::MinimiseRules>,
}

impl Minimised {
    /// The inbox under these rules.
    pub(crate) fn new(inbox: Inbox, policy: &Policy, rules: &rules::Rules) -> Self {
        let of = |partner: &countersign_core::policy::Partner| {
            let mut kept = rules.agreement(&partner.name).minimise.clone()?;
            if let Place::Body(member) = &partner.signature.place {
                kept.signature = Some(member.clone());
            }
            Some((Arc::clone(&partner.name), kept))
        };
        Self { inbox, rules: policy.partners().filter_map(of).collect() }
    }
}

impl AsyncStore for Minimised {
    async fn throttle(&self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        self.inbox.throttle(throttle).await
    }

    async fn claim(&self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        let Some(rules) = self.rules.get(&claim.partner) else { return self.inbox.claim(claim).await };
        let mut claim = claim.clone();
        // What the gate verified is a JSON object.
        claim.row.payload = minimise(&claim.row.payload, rules, claim.now, &mut Tape::default())
            .map_err(|_| StoreFault::Unavailable)?;
        self.inbox.claim(&claim).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<(), StoreFault> {
        self.inbox.settle(settlement).await
    }
}
