//! The gate alone on the Spin host, with a database in a folder beside this program: on a disk, where a commit has to be flushed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use countersign_benches::postbacks::{SECRET, SECRET_NAME};
use countersign_host::fault::Faults;
use countersign_host::spin::{BlockingSpinApp, Serving, SpinOptions, State};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::application::{document, wasm};

/// A gate that serves until it is dropped.
pub(crate) struct Gate {
    serving: Serving,
    _application: BlockingSpinApp,
    calls: Faults,
    database: PathBuf,
    _folder: TempDir,
}

impl Gate {
    /// A gate with an empty inbox, whose instances serve so many requests at a time.
    pub(crate) fn start(requests_at_a_time: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let folder = TempDir::new_in(program.parent().context("a program is in a folder")?)?;
        fs::copy(wasm("gate")?, folder.path().join("gate.wasm"))?;
        fs::write(folder.path().join("countersign.json"), document().to_string())?;
        let manifest = folder.path().join("spin.toml");
        fs::write(&manifest, MANIFEST)?;
        let state = State::directory(&folder.path().join("state"))?;
        let database = state.database("default");
        let mut options = SpinOptions::new(state);
        options.variables = BTreeMap::from([(SECRET_NAME.to_owned(), SECRET.to_owned())]);
        options.requests_at_a_time = requests_at_a_time;
        // Nothing is planned: it counts the host's calls.
        let calls = options.faults.clone();
        let application = BlockingSpinApp::load(&manifest, options)?;
        let serving = application.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { serving, _application: application, calls, database, _folder: folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// The file of its inbox.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// SQL statements that the gate has run so far.
    pub(crate) fn statements(&self) -> u64 {
        self.calls.calls().get("sqlite.execute").copied().unwrap_or(0)
    }

    /// Events in the inbox.
    pub(crate) fn events(&self) -> Result<i64> {
        let database = Connection::open(&self.database)?;
        let is_made: bool = database.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'inbox')",
            [],
            |row| row.get(0),
        )?;
        if !is_made {
            return Ok(0);
        }
        Ok(database.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?)
    }
}

const MANIFEST: &str = r#"spin_manifest_version = 2

[application]
name = "bench"

[variables]
sandbox_bench_key = { required = true, secret = true }

[[trigger.http]]
route = "/..."
component = "gate"

[component.gate]
source = "gate.wasm"
files = ["countersign.json"]
sqlite_databases = ["default"]

[component.gate.variables]
sandbox_bench_key = "{{ sandbox_bench_key }}"
"#;
