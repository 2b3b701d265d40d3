//! What an instance gets from its host besides requests and stores: random bytes, and work after the reply.

use spin_sdk::wasip3;

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
