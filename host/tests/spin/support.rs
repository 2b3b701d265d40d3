//! Builds the guest once, lays out an application around it, and speaks to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest};
use countersign_host::spin::{BlockingSpinApp, LogLine, Logs, SpinOptions, State};

/// The guest's wasm file, built on the first use.
fn guest_wasm() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let status = Command::new(env!("CARGO"))
            .current_dir(root)
            .args([
                "build",
                "--quiet",
                "--package",
                "countersign-test-guest",
                "--target",
                "wasm32-wasip2",
                "--target-dir",
            ])
            .arg(&target)
            .status()
            .unwrap();
        assert!(status.success(), "the guest does not build: run `rustup target add wasm32-wasip2`");
        target.join("wasm32-wasip2/debug/countersign_test_guest.wasm")
    })
}

/// An application in a directory of its own, with everything a test may turn.
pub struct World {
    pub app: BlockingSpinApp,
    pub clock: Clock,
    pub faults: Faults,
    pub lines: Arc<Mutex<Vec<LogLine>>>,
    pub directory: tempfile::TempDir,
}

/// Writes the application's files and the manifest, changed by `edit`.
pub fn lay_out(edit: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::copy(guest_wasm(), at("guest.wasm")).unwrap();
    for (file, text) in [
        ("assets/a.txt", "asset"),
        ("assets/deep/.b", "hidden"),
        ("notes/n.txt", "note"),
        ("notes/secret.key", "secret"),
    ] {
        std::fs::create_dir_all(at(file).parent().unwrap()).unwrap();
        std::fs::write(at(file), text).unwrap();
    }
    std::fs::write(at("spin.toml"), edit(include_str!("../guest-spin/spin.toml").to_owned())).unwrap();
    directory
}

/// What `lay_out` leaves open: the required variable, the second database, a fixed clock, a seed.
pub fn options() -> SpinOptions {
    let mut options = SpinOptions::new(State::temporary().unwrap());
    options.variables = BTreeMap::from([("partner_key".to_owned(), "s3cret".to_owned())]);
    options.databases = BTreeSet::from(["second".to_owned()]);
    options.clock = Clock::fixed(1_700_000_000_123);
    options.seed = Some(7);
    options
}

impl World {
    pub fn new() -> Self {
        Self::with(|manifest| manifest, |_| {})
    }

    pub fn with(edit: impl FnOnce(String) -> String, turn: impl FnOnce(&mut SpinOptions)) -> Self {
        let directory = lay_out(edit);
        let mut options = options();
        let (logs, lines) = Logs::collected();
        options.logs = logs;
        turn(&mut options);
        let (clock, faults) = (options.clock.clone(), options.faults.clone());
        let app = BlockingSpinApp::load(&directory.path().join("spin.toml"), options).unwrap();
        Self { app, clock, faults, lines, directory }
    }

    /// The status and the body that `path` answers to a POST of `body`.
    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        let reply = self.app.handle(request(path, body)).unwrap();
        (reply.status, text(&reply))
    }

    /// The body of a 200.
    pub fn ok(&self, path: &str, body: &str) -> String {
        let (status, text) = self.post(path, body);
        assert_eq!(status, 200, "{path}: {text}");
        text
    }
}

pub fn request(path: &str, body: &str) -> HttpRequest {
    HttpRequest {
        method: b"POST".to_vec(),
        path: path.as_bytes().to_vec(),
        authority: b"gate.example".to_vec(),
        headers: Vec::new(),
        body: if body.is_empty() { Vec::new() } else { vec![body.as_bytes().to_vec()] },
        peer: "203.0.113.9:4711".parse().unwrap(),
        certificate: None,
    }
}

pub fn text(reply: &HttpReply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}
