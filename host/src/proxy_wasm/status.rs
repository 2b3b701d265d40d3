//! What a host call answers its guest.

/// The ABI's result codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Status {
    NotFound = 1,
    BadArgument = 2,
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// Why a host call did not answer `Ok`.
#[derive(Debug)]
pub(super) enum Stop {
    /// The guest reads this code.
    Status(Status),
    /// The guest does not go on: its own allocator trapped.
    Trap(wasmtime::Error),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<wasmtime::Error> for Stop {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}
