//! The one way into the core: a typed step machine. Waiting is a value that the host must consume.
//!
//! ```text
//! begin ─▶ Throttle(wait) ─▶ Claim(wait) ─▶ Done(Forward(claimed)) ─ host hands on ─▶ Claimed::settle ─▶ reply
//!              └────────────────┴─────────▶ Done(Answer(reply))
//! ```
//!
//! The order of the checks is normative (`docs/architecture.md`): the first that fails decides the answer. Each stage is a type
//! that only the stage before it can make, so a check that is left out does not compile:
//!
//! | stage | checks | file |
//! |---|---|---|
//! | `Routed` | 1, 2: method, path, content type, size | `gate/routed.rs` |
//! | `ThrottleWait` | 3: sources with too many refusals | `gate/step.rs` |
//! | `Identified` | 4: partner | `gate/identified.rs` |
//! | `Authorised` | 5, 6: source, token; or, at `/collect`, the attestation | `gate/identified.rs`, `gate/attested.rs` |
//! | `Read` | 7: strict JSON | `gate/authorised.rs` |
//! | `Authentic` | 8: signature | `gate/authorised.rs` |
//! | `Valid` | 9: event, money, time, click | `gate/valid.rs` |
//! | `ClaimWait` | 10 to 13: event id, age, fallback, quota | `gate/step.rs` |
//! | `Claimed` | 14: hand-on | `gate/claimed.rs` |

mod attested;
mod authorised;
mod claimed;
mod identified;
mod reject;
mod reply;
mod request;
mod routed;
mod step;
mod valid;

use alloc::boxed::Box;

use self::reject::{More, RETRY_AFTER_FAILURE_MS, Reject};
use self::routed::Routed;
use crate::outcome::{Code, Facts, Reply, RequestId};
use crate::policy::Policy;
use crate::store::{SourceKey, Throttle};
use crate::time::Timestamp;

pub use self::claimed::{Claimed, Delivery, DeliveryFault, Settled, UpstreamAnswer};
pub use self::request::{Body, Mode, Peer, Request, Scratch, request_id};
pub use self::step::{Answer, ClaimWait, Outcome, Step, ThrottleWait};

/// Every decision about a postback, for one configuration.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    mode: Mode,
}

impl Gate {
    /// A gate for `policy`, in front of what `mode` says.
    #[must_use]
    pub const fn new(policy: Policy, mode: Mode) -> Self {
        Self { policy, mode }
    }

    /// The configuration that this gate applies.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a `content-length` of this value declares a body over the limit. A host then need not wait for the body: it passes
    /// [`Body::TooLarge`], and the checks decide in their order. Any number of digits is a length; other text declares nothing.
    #[must_use]
    pub fn declares_too_much(&self, content_length: &[u8]) -> bool {
        routed::declares_too_much(&self.policy, content_length)
    }

    /// Begins with a request that was received at `now`.
    pub fn begin<'r>(&'r self, request: Request<'r>, now: Timestamp) -> Step<'r> {
        let routed = match Routed::of(&self.policy, self.mode, request, now) {
            Ok(routed) => routed,
            Err(reject) => return Step::answer(reject.into_reply(&self.policy.documentation_url, now)),
        };
        match routed.exchange.address {
            // Nobody to count refusals against.
            None => step::examine(routed, None),
            Some(address) => {
                let rate = self.policy.limits.source_refusals;
                let throttle = Throttle { source: SourceKey::of(address), rate, count: false, now };
                Step::Throttle(ThrottleWait { throttle, routed })
            }
        }
    }

    /// The answer of a host that cannot ask a gate: it has no policy, no inbox, no clock, or no whole request. Nothing passes.
    #[must_use]
    pub fn internal_error(id: RequestId, detail: &'static str) -> Box<Reply> {
        let more = More::RetryAfter(RETRY_AFTER_FAILURE_MS);
        let reject = Reject::new(Facts::of_request(id), Code::InternalError, detail, more);
        reject.into_reply(crate::policy::DOCUMENTATION_URL, Timestamp::from_ms(0))
    }

    /// The answer of a host that a proxy's configuration keeps from the body: nothing passes, and the log has the remedy.
    #[must_use]
    pub fn filter_misconfigured(&self, id: RequestId) -> Box<Reply> {
        let detail = "no request body arrives: set allow_on_headers_stop_iteration";
        let more = More::RetryAfter(RETRY_AFTER_FAILURE_MS);
        let reject = Reject::new(Facts::of_request(id), Code::FilterMisconfigured, detail, more);
        reject.into_reply(&self.policy.documentation_url, Timestamp::from_ms(0))
    }
}
