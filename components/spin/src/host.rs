//! What an instance gets from its host besides requests and stores: the time, random bytes, two logs, and work after the reply.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::time::Timestamp;
use spin_sdk::wasip3;

/// The time by the host's clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the host that gives the core its clock")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// What happened: one line of JSON, without anything secret or personal.
#[expect(clippy::print_stdout, reason = "Spin collects a component's standard output as its log")]
pub fn log(line: &str) {
    println!("{line}");
}

/// What the operator should do something about.
#[expect(clippy::print_stderr, reason = "Spin collects a component's standard error as its log")]
pub fn complain(line: &str) {
    eprintln!("countersign: {line}");
}

/// Random bytes from the host's secure source.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = Vec::with_capacity(N);
    // The host may give fewer bytes than it is asked for, and gives at least one.
    while bytes.len() < N {
        let missing = N.saturating_sub(bytes.len());
        bytes.extend(wasip3::random::random::get_random_bytes(u64::try_from(missing).unwrap_or(u64::MAX)));
    }
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// Lets work go on after the reply to this request is sent. The instance lives until the work is done, and serves others meanwhile.
pub fn after_reply(work: impl Future<Output = ()> + 'static) {
    wasip3::spawn(work);
}
