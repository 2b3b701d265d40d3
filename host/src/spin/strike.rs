//! What a planned fault makes of a host call.

use crate::fault::{Fault, Faults};

/// What a planned fault makes of a call that returns `R`.
pub(super) enum Struck<R> {
    /// The call fails before it does anything.
    Refused(String),
    /// The call does its work and then fails.
    AfterEffect,
    /// The call answers this.
    Answer(R),
    /// No fault.
    Pass,
}

/// Asks the plan for `call`; `garbage` makes an answer of the bytes, where the call has one to fake.
pub(super) fn strike<R>(
    faults: &Faults,
    call: &str,
    garbage: impl FnOnce(Vec<u8>) -> Option<R>,
) -> Struck<R> {
    match faults.strike(call) {
        None => Struck::Pass,
        Some(Fault::Error) => Struck::Refused("disk I/O error".to_owned()),
        Some(Fault::Conflict) => Struck::Refused("database is locked".to_owned()),
        Some(Fault::ErrorAfterEffect) => Struck::AfterEffect,
        Some(Fault::Garbage(bytes)) => {
            garbage(bytes).map_or_else(|| Struck::Refused("disk I/O error".to_owned()), Struck::Answer)
        }
    }
}

impl<R> Struck<R> {
    /// Makes the call, or what the fault makes of it.
    pub(super) async fn call(self, work: impl Future<Output = Result<R, String>>) -> Result<R, String> {
        match self {
            Self::Refused(why) => Err(why),
            Self::AfterEffect => work.await.and(Err("disk I/O error".to_owned())),
            Self::Answer(answer) => Ok(answer),
            Self::Pass => work.await,
        }
    }
}
