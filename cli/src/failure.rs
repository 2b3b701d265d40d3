//! What a command ends with when it does not end well.

use std::fmt;
use std::process::ExitCode;

/// The caller has to change the call or the configuration; everything else that goes wrong is a refusal or a failure.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// An error that tells the caller to change the call or the configuration.
pub(crate) fn unusable(message: impl Into<String>) -> anyhow::Error {
    Unusable(message.into()).into()
}

/// 2 for an [`Unusable`], 1 for anything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<Unusable>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
