//! The one way into the core: a typed step machine. Waiting is a value that the host must consume.
//!
//! ```text
//! begin ─▶ Throttle(wait) ─▶ Claim(wait) ─▶ Done(Forward(claimed)) ─ host hands on ─▶ Claimed::settle ─▶ reply
//!              └────────────────┴─────────▶ Done(Answer(reply))
//! ```
//!
//! The order of the checks is normative (`docs/architecture.md`): the first that fails decides the answer. `begin` does
//! checks 1 and 2, the throttle is 3, its `resume` does 4 to 9 (in `gate/checks.rs`), the claim is 10 to 12, and
//! [`Claimed::settle`] is 13.
//!
//! In front of an inbox the claim asks about the source too, and `begin` does 4 to 9 beforehand; a refusal without a claim goes by way
//! of the throttle to its answer. What the sender hears is the same (`docs/decisions/0013-one-question.md`).

mod checks;
mod reply;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;

use self::reply::{More, RETRY_AFTER_FAILURE_MS};
use crate::event::EventId;
use crate::headers::Headers;
use crate::json::Tape;
use crate::outcome::{Code, Facts, Reply};
use crate::policy::Policy;
use crate::rate::Quota;
use crate::source::Identity;
use crate::store::{
    Claim, ClaimAnswer, End, HandOn, Settlement, SourceKey, StoreFault, Throttle, ThrottleAnswer,
};
use crate::text::Text;
use crate::time::Timestamp;

/// Every decision about a postback, for one configuration.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    mode: Mode,
    /// Stands where a partner's key id stands, for events that a filter vouches for.
    hop_key_id: Arc<str>,
}

/// What stands behind the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An upstream: a claimed event is handed on, and the claim is settled by how that went.
    Forward,
    /// The inbox: the claim is the hand-on. Attested events are taken at `POST /collect` too.
    Inbox,
}

/// A request as the host received it.
#[derive(Debug)]
pub struct Request<'r> {
    /// The method, as sent.
    pub method: &'r [u8],
    /// Path and query, as sent.
    pub path: &'r [u8],
    /// Header fields, as sent, without pseudo headers.
    pub headers: Headers<'r>,
    /// The body.
    pub body: Body<'r>,
    /// The other end of the connection.
    pub peer: Peer<'r>,
    /// Memory that the host keeps between requests.
    pub scratch: &'r mut Scratch,
}

/// A request's body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'r> {
    /// All of it.
    Whole(&'r [u8]),
    /// It went over the limit; the host read no further.
    TooLarge,
}

/// The other end of the connection, as the host knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'r> {
    /// The socket's address; `None` where the host cannot tell (a pipe).
    pub address: Option<IpAddr>,
    /// What the host itself verified of the client certificate; nothing where there is none.
    pub certificate: &'r [Identity<'r>],
}

/// Memory for reading one request at a time; kept between requests, it makes a request allocate nothing but its reply (and, with
/// an inbox, the canonical payload that the inbox keeps).
#[derive(Default)]
pub struct Scratch {
    tape: Tape,
}

impl fmt::Debug for Scratch {
    /// Without what is in it: that was a sender's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// What a request needs next.
#[derive(Debug)]
#[must_use = "a step that is dropped leaves the sender without an answer"]
pub enum Step<'r> {
    /// An answer about the source, at once and from this machine.
    Throttle(ThrottleWait<'r>),
    /// An answer about quota and event; it may take its time, so the wait borrows nothing.
    Claim(ClaimWait),
    /// Nothing more.
    Done(Outcome),
}

/// How a request ends.
#[derive(Debug)]
#[must_use = "an outcome that is dropped leaves the sender without an answer"]
#[expect(
    clippy::large_enum_variant,
    reason = "an outcome lives on the stack: boxing it would cost an allocation per request"
)]
pub enum Outcome {
    /// Send this reply.
    Answer(Answer),
    /// Hand the event on, then settle the claim.
    Forward(Claimed),
}

impl Outcome {
    /// The refusal to count against the source, if there is one; hosts apply it and ignore its answer.
    #[must_use]
    pub fn penalty(&self) -> Option<Throttle> {
        match self {
            Self::Answer(answer) => answer.penalty,
            Self::Forward(_) => None,
        }
    }
}

/// A reply, and whether it counts against the source.
#[derive(Debug)]
pub struct Answer {
    /// What the sender hears.
    pub reply: Box<Reply>,
    /// The refusal to count; only unauthenticated refusals count.
    pub penalty: Option<Throttle>,
}

impl Gate {
    /// A gate for `policy`, in front of what `mode` says.
    #[must_use]
    pub fn new(policy: Policy, mode: Mode) -> Self {
        Self { policy, mode, hop_key_id: Arc::from("hop") }
    }

    /// The configuration that this gate applies.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a `content-length` of this value declares a body over the limit. A host then need not wait for the body: it passes
    /// [`Body::TooLarge`], and the checks decide in their order. Any number of digits is a length; what is none declares nothing.
    #[must_use]
    pub fn declares_too_much(&self, content_length: &[u8]) -> bool {
        checks::declares_too_much(&self.policy, content_length)
    }

    /// Begins with a request that was received at `now`.
    pub fn begin<'r>(&'r self, request: Request<'r>, now: Timestamp) -> Step<'r> {
        let route = match checks::shape(&self.policy, self.mode, &request) {
            Ok(route) => route,
            Err(reply) => return Step::answer(reply, None),
        };
        let address = crate::source::client_address(
            request.peer.address,
            &self.policy.trusted_proxies,
            request.headers,
        );
        let throttle = address.map(|address| Throttle {
            source: SourceKey::of(address),
            rate: self.policy.limits.source_refusals,
            count: false,
            now,
        });
        let examination = checks::Examination::new(self, request, route, address, now);
        match (throttle, self.mode) {
            (None, _) => examination.examine().map_or_else(|reply| Step::answer(reply, None), Step::Claim),
            (Some(throttle), Mode::Forward) => {
                Step::Throttle(ThrottleWait { throttle, next: Next::Examine(examination) })
            }
            (Some(throttle), Mode::Inbox) => match examination.examine() {
                Ok(mut wait) => {
                    wait.claim.throttle = Some(throttle);
                    Step::Claim(wait)
                }
                Err(reply) => Step::Throttle(ThrottleWait { throttle, next: Next::Refuse(reply) }),
            },
        }
    }

    /// The answer of a host that cannot ask a gate: it has no policy, no inbox, no clock, or no whole request. Nothing passes.
    #[must_use]
    pub fn internal_error(detail: &'static str) -> Box<Reply> {
        let more = More::RetryAfter { milliseconds: RETRY_AFTER_FAILURE_MS, quota: None };
        let facts = Facts::of(Code::InternalError, detail);
        Box::new(reply::refusal(facts, Code::InternalError.status(), &more))
    }

    /// The answer of a host that a proxy's configuration keeps from the body: nothing passes, and the log has the remedy.
    #[must_use]
    pub fn filter_misconfigured(&self) -> Box<Reply> {
        Box::new(reply::refusal(
            Facts::of(
                Code::FilterMisconfigured,
                "no request body arrives: set allow_on_headers_stop_iteration",
            ),
            Code::FilterMisconfigured.status(),
            &More::RetryAfter { milliseconds: RETRY_AFTER_FAILURE_MS, quota: None },
        ))
    }
}

/// Check 3 is under way: whether the source has had too many refusals.
#[derive(Debug)]
#[must_use = "resume it with the store's answer"]
pub struct ThrottleWait<'r> {
    throttle: Throttle,
    next: Next<'r>,
}

/// What comes of a request whose source may go on.
#[derive(Debug)]
enum Next<'r> {
    /// Checks 4 to 9.
    Examine(checks::Examination<'r>),
    /// They were made, and this is their answer.
    Refuse(Box<Reply>),
}

impl<'r> ThrottleWait<'r> {
    /// What to ask the store.
    #[must_use]
    pub const fn operation(&self) -> &Throttle {
        &self.throttle
    }

    /// Goes on with the store's answer.
    pub fn resume(self, answer: Result<ThrottleAnswer, StoreFault>) -> Step<'r> {
        match answer {
            Ok(ThrottleAnswer::Pass) => {
                let examined = match self.next {
                    Next::Examine(examination) => examination.examine(),
                    Next::Refuse(reply) => Err(reply),
                };
                match examined {
                    Ok(wait) => Step::Claim(wait),
                    Err(reply) => {
                        let authenticated = reply.facts.key_id.is_some();
                        let penalty = Throttle { count: true, ..self.throttle };
                        Step::answer(reply, (!authenticated).then_some(penalty))
                    }
                }
            }
            Ok(ThrottleAnswer::Limited { retry_after_ms }) => source_limited(retry_after_ms),
            Err(fault) => {
                Step::answer(store_unavailable(Facts::of(Code::StoreUnavailable, fault.as_str())), None)
            }
        }
    }
}

/// Checks 10 to 12 are under way: quota, event, fallback; in front of an inbox check 3 as well.
#[derive(Debug)]
#[must_use = "resume it with the store's answer"]
pub struct ClaimWait {
    claim: Claim,
    facts: Facts,
    attestation: Option<Text<96>>,
    in_flight_status: u16,
}

impl ClaimWait {
    /// What to ask the store.
    #[must_use]
    pub const fn operation(&self) -> &Claim {
        &self.claim
    }

    /// Goes on with the store's answer.
    pub fn resume<'r>(mut self, answer: Result<ClaimAnswer, StoreFault>) -> Step<'r> {
        let receipt = self.claim.row.receipt;
        let reply = match answer {
            Ok(ClaimAnswer::Fresh { quota }) => match self.claim.hand_on {
                HandOn::AfterClaim { .. } => {
                    return Step::Done(Outcome::Forward(Claimed { wait: self, quota }));
                }
                HandOn::WithClaim => {
                    self.facts.code = Code::Accepted;
                    reply::success(self.facts, Some(&receipt), None, quota)
                }
            },
            Ok(ClaimAnswer::Seen { same_payload: true }) => {
                self.facts.code = Code::Duplicate;
                reply::success(self.facts, Some(&receipt), None, None)
            }
            Ok(ClaimAnswer::Seen { same_payload: false }) => {
                self.facts.refuse(Code::EventIdReused, "committed with another payload");
                reply::refusal(self.facts, Code::EventIdReused.status(), &More::Nothing)
            }
            Ok(ClaimAnswer::DuplicateOf { event_id }) => {
                self.facts.code = Code::FallbackDuplicate;
                reply::success(self.facts, None, Some(&event_id), None)
            }
            Ok(ClaimAnswer::InFlight { retry_after_ms }) => {
                self.facts.refuse(Code::InFlight, "another attempt is under way");
                let more = More::RetryAfter { milliseconds: retry_after_ms, quota: None };
                reply::refusal(self.facts, self.in_flight_status, &more)
            }
            Ok(ClaimAnswer::SourceLimited { retry_after_ms }) => return source_limited(retry_after_ms),
            Ok(ClaimAnswer::Limited { retry_after_ms, quota }) => {
                self.facts.refuse(Code::RateLimited, "the partner's quota is spent");
                let more = More::RetryAfter { milliseconds: retry_after_ms, quota: Some(quota) };
                reply::refusal(self.facts, Code::RateLimited.status(), &more)
            }
            Err(fault) => {
                self.facts.refuse(Code::StoreUnavailable, fault.as_str());
                return Step::answer(store_unavailable(self.facts), None);
            }
        };
        Step::answer(Box::new(reply), None)
    }
}

/// An event that is claimed and must now be handed on.
#[derive(Debug)]
#[must_use = "hand it on and settle it; dropped, it stays in flight until its lease ends"]
pub struct Claimed {
    wait: ClaimWait,
    quota: Option<Quota>,
}

/// How the hand-on went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The upstream has it (2xx). `replayed`: it said that it had it before (`Idempotent-Replayed: true`).
    Acknowledged {
        /// Whether the upstream called it a repeat.
        replayed: bool,
    },
    /// The upstream refused it (4xx); its own answer goes to the sender.
    Refused,
    /// The upstream answered with a redirect (3xx).
    Redirected,
    /// The upstream failed (5xx).
    Failed,
    /// Nobody knows: timeout, reset, a sender that hung up.
    Unknown,
}

impl Delivery {
    /// The delivery that an upstream's own status tells of. A status below 200 is no final answer.
    #[must_use]
    pub const fn of_status(status: u16, replayed: bool) -> Self {
        match status {
            200..=299 => Self::Acknowledged { replayed },
            300..=399 => Self::Redirected,
            400..=499 => Self::Refused,
            500..=599 => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

/// What is left to do once the hand-on is over.
#[derive(Debug)]
#[must_use = "apply the settlement, then reply"]
pub struct Settled {
    /// For the store; none where the outcome is unknown, so that the lease ends the claim. A fault in it changes nothing
    /// for the sender: the lease stands in.
    pub settlement: Option<Settlement>,
    /// What the sender hears; with [`Delivery::Refused`] the host passes the upstream's own answer on instead, and uses
    /// this one only where there is none.
    pub reply: Box<Reply>,
}

impl Claimed {
    /// The event's id.
    #[must_use]
    pub const fn event_id(&self) -> &EventId {
        &self.wait.claim.row.event_id
    }

    /// What metrics and logs may know, before the hand-on is over.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.wait.facts
    }

    /// The end of the lease.
    #[must_use]
    pub const fn lease_until(&self) -> Timestamp {
        self.wait.claim.key.lease_until
    }

    /// The header fields to set on what is handed on, in place of any `x-countersign-*` that the sender sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let claim = &self.wait.claim;
        [
            Some(("x-countersign-partner", &*claim.partner)),
            Some(("x-countersign-event-id", claim.row.event_id.as_str())),
            Some(("x-countersign-receipt", claim.row.receipt.as_str())),
            self.wait.attestation.as_ref().map(|value| ("x-countersign-attestation", value.as_str())),
        ]
        .into_iter()
        .flatten()
    }

    /// Ends the claim: commit on a durable hand-on, release on a failure that is known, neither where nobody knows.
    pub fn settle(self, delivery: Delivery, now: Timestamp) -> Settled {
        let Self { wait: ClaimWait { claim, mut facts, .. }, quota } = self;
        let settlement = |end| {
            Some(Settlement {
                end,
                key: claim.key,
                payload_hash: claim.payload_hash,
                fallback: claim.fallback,
                retention_ms: claim.retention_ms,
                now,
            })
        };
        let after_failure = More::RetryAfter { milliseconds: RETRY_AFTER_FAILURE_MS, quota: None };
        let (settlement, reply) = match delivery {
            Delivery::Acknowledged { replayed } => {
                facts.code = if replayed { Code::Duplicate } else { Code::Accepted };
                (settlement(End::Commit), reply::success(facts, Some(&claim.row.receipt), None, quota))
            }
            Delivery::Refused => {
                facts.refuse(Code::UpstreamRefused, "the upstream answered 4xx");
                (
                    settlement(End::Release),
                    reply::refusal(facts, Code::UpstreamRefused.status(), &More::Nothing),
                )
            }
            Delivery::Redirected => {
                facts.refuse(Code::UpstreamRedirectRefused, "the upstream answered 3xx");
                let reply = reply::refusal(facts, Code::UpstreamRedirectRefused.status(), &after_failure);
                (settlement(End::Release), reply)
            }
            Delivery::Failed => {
                facts.refuse(Code::UpstreamUnavailable, "the upstream answered 5xx");
                let reply = reply::refusal(facts, Code::UpstreamUnavailable.status(), &after_failure);
                (settlement(End::Release), reply)
            }
            Delivery::Unknown => {
                facts.refuse(Code::UpstreamUnavailable, "the upstream did not answer; the lease stands");
                // A retry before the lease ends would only hear in_flight.
                let milliseconds = claim.key.lease_until.since_ms(now);
                let more = More::RetryAfter { milliseconds, quota: None };
                (None, reply::refusal(facts, Code::UpstreamUnavailable.status(), &more))
            }
        };
        Settled { settlement, reply: Box::new(reply) }
    }
}

impl Step<'_> {
    fn answer(reply: Box<Reply>, penalty: Option<Throttle>) -> Self {
        Self::Done(Outcome::Answer(Answer { reply, penalty }))
    }
}

impl Facts {
    const fn of(code: Code, detail: &'static str) -> Self {
        Self {
            code,
            partner: None,
            key_id: None,
            token_key_id: None,
            click_key_id: None,
            ts_event: None,
            event_id: None,
            event: None,
            detail,
        }
    }

    const fn refuse(&mut self, code: Code, detail: &'static str) {
        self.code = code;
        self.detail = detail;
    }
}

/// The answer to a source that was refused too often. It tells nothing else of the request, and a log no more than that.
fn source_limited<'r>(retry_after_ms: u64) -> Step<'r> {
    let facts = Facts::of(Code::SourceLimited, "the source was refused too often");
    let more = More::RetryAfter { milliseconds: retry_after_ms, quota: None };
    Step::answer(Box::new(reply::refusal(facts, Code::SourceLimited.status(), &more)), None)
}

fn store_unavailable(facts: Facts) -> Box<Reply> {
    let more = More::RetryAfter { milliseconds: RETRY_AFTER_FAILURE_MS, quota: None };
    Box::new(reply::refusal(facts, Code::StoreUnavailable.status(), &more))
}

/// Names something claimed: 128 bits of a SHA-256 over its domain and its length-prefixed parts, so that no two lists of
/// parts read alike.
fn fingerprint(domain: &str, parts: [&str; 3]) -> crate::store::Fingerprint {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in core::iter::once(domain).chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(digest) {
        *to = from;
    }
    name
}
