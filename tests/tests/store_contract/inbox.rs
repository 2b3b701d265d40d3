//! The adapter of the Spin components: the SQLite inbox inside a component of its own, on real instances.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use countersign_core::store::Store;
use countersign_core::store::{Claim, ClaimAnswer, Settlement, StoreFault, Throttle, ThrottleAnswer};
use countersign_host::fault::{Fault, Faults};
use countersign_host::http::HttpRequest;
use countersign_host::spin::{BlockingSpinApp, SpinOptions, State};
use countersign_store_guest::wire::{Operation, Told};

use crate::adapter::{Act, Adapter, Part, Until, Worker};

/// More failing calls than any operation makes.
const CRASH_CALLS: usize = 40;

/// Two applications on one database. Workers take turns between them, so racers meet in two instances, and, where there are
/// more than two, inside each instance as well.
pub(crate) struct Sqlite {
    applications: [Arc<BlockingSpinApp>; 2],
    workers: AtomicUsize,
    state: State,
    directory: tempfile::TempDir,
}

impl Adapter for Sqlite {
    const REMEMBERS_FOR_GOOD: bool = true;

    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(guest_wasm(), directory.path().join("store.wasm")).unwrap();
        std::fs::write(directory.path().join("spin.toml"), include_str!("../../guest-store/spin.toml"))
            .unwrap();
        let state = State::directory(&directory.path().join("state")).unwrap();
        let applications = [(), ()].map(|()| application(&directory, &state, Faults::none()));
        Self { applications, workers: AtomicUsize::new(0), state, directory }
    }

    fn worker(&self) -> Worker {
        let number = self.workers.fetch_add(1, Ordering::SeqCst);
        Box::new(Instance(Arc::clone(&self.applications[number % 2])))
    }

    fn failing(&self, from: u64, until: Until, act: Act) -> Worker {
        let faults = Faults::none();
        let fault = match act {
            Act::Fault => Fault::Error,
            Act::EffectThenFault => Fault::ErrorAfterEffect,
        };
        let calls = match until {
            Until::Next => 1,
            Until::End => CRASH_CALLS,
        };
        for _ in 0..calls {
            faults.plan("sqlite.execute", from, fault.clone());
        }
        Box::new(Instance(application(&self.directory, &self.state, faults)))
    }

    fn garble(&self, part: Part, way: usize) -> bool {
        // STRICT tables keep the types, so garbage is what has the right type and cannot be: lengths, signs, ranges, no UTF-8.
        let ways: &[&str] = match part {
            Part::Event => &[
                "UPDATE {} SET payload_hash = x''",
                "UPDATE {} SET payload_hash = zeroblob(31)",
                "UPDATE {} SET payload_hash = zeroblob(33)",
                "UPDATE {} SET receipt_key = -1",
                "UPDATE {} SET receipt_key = 256",
            ],
            Part::Fallback => &[
                "UPDATE fallback SET claimed_by = x''",
                "UPDATE fallback SET claimed_by = zeroblob(17)",
                "UPDATE fallback SET event_id = ''",
                "UPDATE fallback SET event_id = CAST(x'ff' AS TEXT)",
                "UPDATE fallback SET event_id = hex(zeroblob(65))",
                "UPDATE fallback SET lease_until = -1",
                "UPDATE fallback SET remembered_until = -1",
                "UPDATE fallback SET remembered_until = 9223372036854775807",
            ],
            Part::Quota => &["UPDATE quota SET tat = -1", "UPDATE quota SET tat = -9223372036854775808"],
            Part::Source => {
                &["UPDATE throttle SET tat = -1", "UPDATE throttle SET tat = -9223372036854775808"]
            }
        };
        let Some(sql) = ways.get(way) else { return false };
        let database = rusqlite::Connection::open(self.state.database("default")).unwrap();
        let mut changed = 0;
        for table in ["claim", "inbox"] {
            changed += database.execute(&sql.replace("{}", table), []).unwrap();
        }
        assert!(changed > 0, "{sql}: there was nothing to garble");
        true
    }
}

fn application(directory: &tempfile::TempDir, state: &State, faults: Faults) -> Arc<BlockingSpinApp> {
    let mut options = SpinOptions::new(state.clone());
    options.faults = faults;
    Arc::new(BlockingSpinApp::load(&directory.path().join("spin.toml"), options).unwrap())
}

/// The guest's wasm file, built on the first use: for release, as the gate is, so that they share what they are built of.
fn guest_wasm() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let status = Command::new(env!("CARGO"))
            .current_dir(root)
            .args([
                "build",
                "--release",
                "--quiet",
                "--package",
                "countersign-store-guest",
                "--target",
                "wasm32-wasip2",
            ])
            .arg("--target-dir")
            .arg(&target)
            .status()
            .unwrap();
        assert!(status.success(), "the guest does not build: run `cargo xtask setup`");
        target.join("wasm32-wasip2/release/countersign_store_guest.wasm")
    })
}

/// Speaks to an instance; whichever the application has free.
struct Instance(Arc<BlockingSpinApp>);

impl Instance {
    fn tell(&self, operation: &Operation) -> Told {
        let request = HttpRequest {
            method: b"POST".to_vec(),
            path: b"/".to_vec(),
            authority: b"store.example".to_vec(),
            headers: Vec::new(),
            body: vec![serde_json::to_vec(operation).unwrap()],
            peer: "127.0.0.1:4711".parse().unwrap(),
            certificate: None,
        };
        let reply = self.0.handle(request).unwrap();
        assert_eq!(reply.status, 200, "{operation:?}: the instance is gone");
        serde_json::from_slice(&reply.body).unwrap()
    }
}

impl Store for Instance {
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        self.tell(&Operation::Throttle(throttle.into())).into_throttle().unwrap()
    }

    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        self.tell(&Operation::Claim(claim.into())).into_claim().unwrap()
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        self.tell(&Operation::Settle(settlement.into())).into_settlement().unwrap()
    }
}
