//! The steps of a request, and how its waits go on.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::attested;
use super::claimed::Claimed;
use super::identified;
use super::reject::{More, RETRY_AFTER_FAILURE_MS, Reject};
use super::reply;
use super::routed::{Route, Routed};
use super::valid::Valid;
use crate::outcome::{Code, Facts, Reply};
use crate::store::{Claim, ClaimAnswer, HandOn, StoreFault, Throttle, ThrottleAnswer};

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

/// Check 3 is under way: whether the source has had too many refusals.
#[derive(Debug)]
#[must_use = "resume it with the store's answer"]
pub struct ThrottleWait<'r> {
    pub(super) throttle: Throttle,
    pub(super) routed: Routed<'r>,
}

impl<'r> ThrottleWait<'r> {
    /// What to ask the store.
    #[must_use]
    pub const fn operation(&self) -> &Throttle {
        &self.throttle
    }

    /// Goes on with the store's answer.
    pub fn resume(self, answer: Result<ThrottleAnswer, StoreFault>) -> Step<'r> {
        let Self { throttle, routed } = self;
        match answer {
            Ok(ThrottleAnswer::Pass) => examine(routed, Some(throttle)),
            Ok(ThrottleAnswer::Limited { retry_after_ms }) => {
                let (url, now) = (&*routed.exchange.policy.documentation_url, routed.exchange.now);
                Step::answer(source_limited(routed.exchange.facts, retry_after_ms).into_reply(url, now))
            }
            Err(fault) => {
                let (url, now) = (&*routed.exchange.policy.documentation_url, routed.exchange.now);
                Step::answer(store_unavailable(routed.exchange.facts, fault).into_reply(url, now))
            }
        }
    }
}

/// Checks 4 to 9, each stage consuming the one before it. A check that is left out does not compile.
pub(super) fn examine(routed: Routed<'_>, throttle: Option<Throttle>) -> Step<'_> {
    let (policy, now) = (routed.exchange.policy, routed.exchange.now);
    match valid(routed) {
        Ok(valid) => Step::Claim(ClaimWait { valid }),
        Err(reject) => {
            // What a filter hands on is its sender's: a hop that is misconfigured must not shut the sender out.
            let counts = reject.facts.key_id.is_none() && reject.not_accepted.is_none();
            let penalty = throttle.filter(|_| counts);
            let penalty = penalty.map(|throttle| Throttle { count: true, ..throttle });
            let reply = reject.into_reply(&policy.documentation_url, now);
            Step::Done(Outcome::Answer(Answer { reply, penalty }))
        }
    }
}

fn valid(routed: Routed<'_>) -> Result<Valid, Box<Reject>> {
    let authorised = match routed.route {
        Route::Postback => identified::by_token(routed)?.authorise()?,
        Route::PartnerPostback(name) => identified::by_path(routed, name)?.authorise()?,
        Route::Collect => attested::attested(routed)?,
    };
    authorised.read()?.authenticate()?.validate()
}

/// Checks 10 to 13 are under way: event, age, fallback, quota.
#[derive(Debug)]
#[must_use = "resume it with the store's answer"]
pub struct ClaimWait {
    valid: Valid,
}

impl ClaimWait {
    /// What to ask the store.
    #[must_use]
    pub const fn operation(&self) -> &Claim {
        &self.valid.claim
    }

    /// Goes on with the store's answer.
    pub fn resume<'r>(self, answer: Result<ClaimAnswer, StoreFault>) -> Step<'r> {
        let Self { valid } = self;
        let (url, now) = (Arc::clone(&valid.documentation_url), valid.claim.now);
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                let reject = store_unavailable(valid.facts, fault);
                return Step::answer(reject.into_reply(&url, now));
            }
        };
        let hop = valid.hop;
        let refused = |mut reject: Box<Reject>| {
            reject.not_accepted = hop;
            Step::answer(reject.into_reply(&url, now))
        };
        match answer {
            ClaimAnswer::Fresh { quota } => match valid.claim.hand_on {
                HandOn::AfterClaim { .. } => Step::Done(Outcome::Forward(Claimed { valid, quota })),
                HandOn::WithClaim => {
                    let receipt = valid.claim.row.receipt;
                    Step::answer(reply::accepted(valid.facts, Code::Accepted, &receipt, quota))
                }
            },
            ClaimAnswer::Seen { same_payload: true, receipt_key } => {
                let receipt = valid.receipt_of(receipt_key);
                Step::answer(reply::accepted(valid.facts, Code::Duplicate, &receipt, None))
            }
            ClaimAnswer::DuplicateOf { event_id } => {
                Step::answer(reply::fallback_duplicate(valid.facts, event_id.as_ref()))
            }
            ClaimAnswer::TooOld { ts_event_min } => {
                let detail = "the event is not known, and older than what is remembered";
                refused(Reject::new(valid.facts, Code::EventTooOld, detail, More::TsEventMin(ts_event_min)))
            }
            ClaimAnswer::Seen { same_payload: false, receipt_key: _ } => {
                let detail = "committed with another payload";
                refused(Reject::new(valid.facts, Code::EventIdReused, detail, More::Nothing))
            }
            ClaimAnswer::InFlight { retry_after_ms } => {
                let more = More::RetryAfter(retry_after_ms);
                let detail = "another attempt is under way";
                let mut reject = Reject::new(valid.facts, Code::InFlight, detail, more);
                reject.status = Some(valid.in_flight_status);
                refused(reject)
            }
            ClaimAnswer::Limited { retry_after_ms, quota } => {
                let more = More::Quota(retry_after_ms, quota);
                let detail = "the partner's quota is spent";
                refused(Reject::new(valid.facts, Code::RateLimited, detail, more))
            }
        }
    }
}

impl Step<'_> {
    /// An answer that does not count against the source.
    pub(super) fn answer(reply: Box<Reply>) -> Self {
        Self::Done(Outcome::Answer(Answer { reply, penalty: None }))
    }
}

/// The refusal of a source that was refused too often. It tells nothing else of the request, and a log no more than that.
fn source_limited(facts: Facts, retry_after_ms: u64) -> Box<Reject> {
    let detail = "the source was refused too often";
    let facts = Facts::of_request(facts.request_id);
    Reject::new(facts, Code::SourceLimited, detail, More::RetryAfter(retry_after_ms))
}

fn store_unavailable(facts: Facts, fault: StoreFault) -> Box<Reject> {
    let more = More::RetryAfter(RETRY_AFTER_FAILURE_MS);
    Reject::new(facts, Code::StoreUnavailable, fault.as_str(), more)
}
