//! The gate as a Spin component, in an application of its own: what the vectors and the faults have in common.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest};
use countersign_host::spin::{BlockingSpinApp, LogLine, Logs, Serving, SpinOptions, State, Stream};
use rusqlite::Connection;

/// `gate.wasm` on the Spin host, with a database in a directory that goes with this value.
pub struct SpinGate {
    application: BlockingSpinApp,
    clock: Clock,
    state: State,
    lines: Arc<Mutex<Vec<LogLine>>>,
    _directory: tempfile::TempDir,
}

impl SpinGate {
    /// The gate with this configuration document, these secrets (name → value), and a database that fails as `faults` plans.
    ///
    /// # Errors
    /// Where the component is not built, with the remedy; or where the application does not load.
    pub fn new(document: &str, secrets: &BTreeMap<String, String>, faults: Faults) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let wasm = wasm()?;
        std::fs::write(directory.path().join("countersign.json"), document)?;
        std::fs::write(directory.path().join("spin.toml"), manifest(&wasm, secrets)?)?;
        let state = State::directory(&directory.path().join("state"))?;
        let clock = Clock::fixed(0);
        let (logs, lines) = Logs::collected();
        let mut options = SpinOptions::new(state.clone());
        options.variables.clone_from(secrets);
        options.clock = clock.clone();
        options.faults = faults;
        options.logs = logs;
        let application = BlockingSpinApp::load(&directory.path().join("spin.toml"), options)?;
        Ok(Self { application, clock, state, lines, _directory: directory })
    }

    /// Sends a request that arrives at `at_ms`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Where the request cannot stand on the wire, or the reply broke off.
    pub fn send(&self, at_ms: u64, request: HttpRequest) -> anyhow::Result<HttpReply> {
        self.clock.set_ms(at_ms);
        self.application.handle(request)
    }

    /// Serves the gate on a free port of this machine until the handle is dropped.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn serve(&self) -> anyhow::Result<Serving> {
        self.application.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The gate's database, past the gate.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn database(&self) -> anyhow::Result<Connection> {
        Connection::open(self.state.database("default")).context("the gate's database")
    }

    /// Empties every table, so that the next request meets the state of a first one. Instances live on.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub fn empty(&self) -> anyhow::Result<()> {
        let database = self.database()?;
        let mut statement = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let tables =
            statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        for table in tables {
            database.execute(&format!("DELETE FROM {table}"), [])?;
        }
        Ok(())
    }

    /// What the component and its host have logged, in order.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the host says of instances that failed; nothing where all is well.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let lines = self.log().into_iter().filter(|line| line.stream == Stream::Host);
        lines.map(|line| line.text).collect()
    }
}

/// The component's file: in the folder `COUNTERSIGN_WASM`, else in `target/wasm`.
fn wasm() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("COUNTERSIGN_WASM")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/wasm"), PathBuf::from);
    let path = folder.join("gate.wasm");
    path.canonicalize().with_context(|| {
        let path = path.display();
        format!("{path} cannot be found: run `cargo xtask build`, or set COUNTERSIGN_WASM to the folder of the wasm files")
    })
}

/// The manifest: the gate, its document, its database, and a variable for each secret.
fn manifest(wasm: &std::path::Path, secrets: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut declared = String::new();
    let mut passed = String::new();
    for name in secrets.keys() {
        writeln!(declared, "{name} = {{ required = true, secret = true }}")?;
        writeln!(passed, "{name} = \"{{{{ {name} }}}}\"")?;
    }
    Ok(format!(
        r#"spin_manifest_version = 2

[application]
name = "countersign"

[variables]
{declared}
[[trigger.http]]
route = "/..."
component = "gate"

[component.gate]
source = {wasm:?}
files = ["countersign.json"]
sqlite_databases = ["default"]

[component.gate.variables]
{passed}"#
    ))
}
