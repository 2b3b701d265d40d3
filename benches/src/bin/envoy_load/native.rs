//! The gate in a native process, over a table in its memory that all its threads share.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use countersign_core::dedup::{MemoryTable, TableStore};
use countersign_core::drive::drive_now;
use countersign_core::gate::{self, Body, Gate, Mode, Outcome, Peer, Request, Scratch};
use countersign_core::headers::Headers;
use countersign_core::policy::Policy;
use countersign_core::source;
use countersign_core::store::{Claim, ClaimAnswer, Settlement, Store, StoreFault, Throttle, ThrottleAnswer};
use countersign_core::time::Timestamp;
use serde_json::json;

use crate::shipped;
use countersign_benches::postbacks::{SECRET, SECRET_NAME};

thread_local! {
    /// A thread reads one request at a time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The gate and its store.
pub(crate) struct Native {
    gate: Gate,
    store: Mutex<TableStore<MemoryTable>>,
    requests: AtomicU64,
}

/// A request as a service received it.
pub(crate) struct Received<'r> {
    /// The method.
    pub(crate) method: &'r [u8],
    /// Path and query.
    pub(crate) path: &'r [u8],
    /// Header fields, without pseudo headers.
    pub(crate) fields: &'r [(&'r [u8], &'r [u8])],
    /// The body.
    pub(crate) body: Body<'r>,
    /// The other end of the connection.
    pub(crate) address: Option<IpAddr>,
}

impl Native {
    /// Compiles the filter's own document, with so many slots for events.
    ///
    /// # Errors
    /// The document does not compile.
    pub(crate) fn start(slots: u32) -> Result<Self> {
        let mut document = shipped::document()?;
        document["dedup"]["slots"] = json!(slots);
        let mut secret = |name: &str| (name == SECRET_NAME).then(|| SECRET.as_bytes().to_vec());
        let policy = match Policy::compile(&document.to_string(), &mut secret) {
            Ok(policy) => policy,
            Err(errors) => bail!("the document does not compile: {errors:?}"),
        };
        let store = TableStore::new(MemoryTable::default(), &policy.scope, policy.dedup.size);
        Ok(Self {
            gate: Gate::new(policy, Mode::Forward),
            store: Mutex::new(store),
            requests: AtomicU64::new(0),
        })
    }

    /// Longest body, in bytes.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.gate.policy().limits.body_bytes_max
    }

    /// Takes a request to its outcome.
    pub(crate) fn examine(&self, received: &Received<'_>) -> Outcome {
        let headers = Headers(received.fields);
        let number = || u128::from(self.requests.fetch_add(1, Ordering::Relaxed));
        SCRATCH.with_borrow_mut(|scratch| {
            let request = Request {
                id: gate::request_id(headers.get("x-request-id"), number),
                method: received.method,
                path: received.path,
                headers,
                body: received.body,
                peer: Peer { address: received.address, certificate: &[] },
                scratch,
            };
            drive_now(&mut Shared(&self.store), self.gate.begin(request, now()))
        })
    }

    /// The client's address, as far as the trusted proxies tell it: what is handed on as `x-forwarded-for`.
    pub(crate) fn client_address(&self, received: &Received<'_>) -> Option<IpAddr> {
        let trusted = &self.gate.policy().trusted_proxies;
        source::client_address(received.address, trusted, Headers(received.fields))
    }

    /// Settles a claim. Where the store fails, the lease ends the claim.
    pub(crate) fn settle(&self, settlement: &Settlement) {
        let _lease_stands_in = Shared(&self.store).settle(settlement);
    }
}

/// The instant by this machine's clock. A clock before 1970 reads as 1970, and then no event is in time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(since.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The store, locked for one operation at a time: signatures are verified outside of it.
struct Shared<'s>(&'s Mutex<TableStore<MemoryTable>>);

impl Shared<'_> {
    fn lock(&self) -> Result<MutexGuard<'_, TableStore<MemoryTable>>, StoreFault> {
        self.0.lock().map_err(|_poisoned| StoreFault::Unavailable)
    }
}

impl Store for Shared<'_> {
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        self.lock()?.throttle(throttle)
    }

    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        self.lock()?.claim(claim)
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        self.lock()?.settle(settlement)
    }
}
