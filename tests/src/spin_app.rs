//! The whole application as its own `spin.toml` has it, with a configuration of the test.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest};
use countersign_host::spin::{BlockingSpinApp, LogLine, Logs, Serving, SpinOptions, State, Stream};
use rusqlite::Connection;
use toml::{Table, Value};

use crate::spin_gate::wasm;

/// What an application is started with.
#[derive(Clone)]
pub struct Setup {
    /// The configuration document.
    pub document: String,
    /// Name → value.
    pub secrets: BTreeMap<String, String>,
    /// What its host calls fail with.
    pub faults: Faults,
    /// What it takes for the time.
    pub clock: Clock,
    /// Whom the gate wakes after an accept.
    pub wakes: Wakes,
}

/// Whom the gate wakes after an accept.
#[derive(Clone, Debug)]
pub enum Wakes {
    /// Nobody: what is to be posted waits for a tick.
    Nobody,
    /// The application's worker.
    Worker,
    /// Whoever listens at `http://` and this address.
    Other(String),
}

/// The repository's own application on the Spin host, with a database in a directory that goes with the last of those that
/// share it.
pub struct SpinApp {
    application: BlockingSpinApp,
    state: State,
    lines: Arc<Mutex<Vec<LogLine>>>,
    folder: PathBuf,
    /// Where the folder is one of its own.
    temporary: Option<Arc<tempfile::TempDir>>,
}

impl SpinApp {
    /// The application with a database of its own.
    ///
    /// # Errors
    /// Where a component is not built, with the remedy; or where the application does not load.
    pub fn start(setup: &Setup) -> anyhow::Result<Self> {
        Self::of_manifest(&manifest(setup)?, setup)
    }

    /// The application of this manifest, with a database of its own.
    pub(crate) fn of_manifest(manifest: &str, setup: &Setup) -> anyhow::Result<Self> {
        let temporary = Arc::new(tempfile::tempdir()?);
        let app = Self::load(temporary.path(), manifest, setup)?;
        Ok(Self { temporary: Some(temporary), ..app })
    }

    /// The application with a database of its own, in a directory below `folder`.
    ///
    /// # Errors
    /// As [`SpinApp::start`].
    pub fn start_below(folder: &Path, setup: &Setup) -> anyhow::Result<Self> {
        let temporary = Arc::new(tempfile::tempdir_in(folder)?);
        let app = Self::in_folder(temporary.path(), setup)?;
        Ok(Self { temporary: Some(temporary), ..app })
    }

    /// Another process's worth of the application on the same database: instances of its own, and connections of its own.
    ///
    /// # Errors
    /// As [`SpinApp::start`].
    pub fn beside(&self, setup: &Setup) -> anyhow::Result<Self> {
        let app = Self::in_folder(&self.folder, setup)?;
        Ok(Self { temporary: self.temporary.clone(), ..app })
    }

    /// The application with the database that is in this folder, or will be.
    ///
    /// # Errors
    /// As [`SpinApp::start`].
    pub fn in_folder(folder: &Path, setup: &Setup) -> anyhow::Result<Self> {
        Self::load(folder, &manifest(setup)?, setup)
    }

    fn load(folder: &Path, manifest: &str, setup: &Setup) -> anyhow::Result<Self> {
        std::fs::write(folder.join("countersign.json"), &setup.document)?;
        std::fs::write(folder.join("spin.toml"), manifest)?;
        let state = State::directory(&folder.join("state"))?;
        let (logs, lines) = Logs::collected();
        let mut options = SpinOptions::new(state.clone());
        options.variables.clone_from(&setup.secrets);
        options.clock = setup.clock.clone();
        options.faults = setup.faults.clone();
        options.logs = logs;
        let application = BlockingSpinApp::load(&folder.join("spin.toml"), options)?;
        Ok(Self { application, state, lines, folder: folder.to_owned(), temporary: None })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Where the request cannot stand on the wire, or the reply broke off.
    pub fn send(&self, request: HttpRequest) -> anyhow::Result<HttpReply> {
        self.application.handle(request)
    }

    /// Serves on a free port of this machine until the handle is dropped.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn serve(&self) -> anyhow::Result<Serving> {
        self.application.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The database's file.
    #[must_use]
    pub fn database_file(&self) -> PathBuf {
        self.state.database("default")
    }

    /// The database, past the application.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn database(&self) -> anyhow::Result<Connection> {
        Connection::open(self.database_file()).context("the application's database")
    }

    /// The files of the database: its own, and the log beside it.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn database_files(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let file = self.database_file();
        let folder = file.parent().context("the database's folder")?;
        std::fs::read_dir(folder)?.map(|entry| Ok(std::fs::read(entry?.path())?)).collect()
    }

    /// What the components and their host have logged, in order.
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

/// The repository's manifest, for the wasm files that were built, with the test's document and secrets.
fn manifest(setup: &Setup) -> anyhow::Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spin.toml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut manifest: Table = text.parse()?;
    let variables = table(&mut manifest, "variables")?;
    for name in setup.secrets.keys() {
        variables.insert(name.clone(), Table::from_iter([("default".to_owned(), "".into())]).into());
    }
    for (id, component) in table(&mut manifest, "component")? {
        let component = component.as_table_mut().ok_or_else(|| anyhow!("component.{id} is no table"))?;
        component.insert("source".to_owned(), wasm(id)?.display().to_string().into());
        component.insert("files".to_owned(), Value::Array(vec!["countersign.json".into()]));
        let variables = table(component, "variables")?;
        for name in setup.secrets.keys() {
            variables.insert(name.clone(), format!("{{{{ {name} }}}}").into());
        }
        match &setup.wakes {
            Wakes::Worker => {}
            Wakes::Nobody => {
                variables.remove("worker_url");
            }
            Wakes::Other(address) if variables.contains_key("worker_url") => {
                variables.insert("worker_url".to_owned(), format!("http://{address}/wake").into());
                let allowed = Value::Array(vec![format!("http://{address}").into()]);
                component.insert("allowed_outbound_hosts".to_owned(), allowed);
            }
            Wakes::Other(_) => {}
        }
    }
    Ok(toml::to_string(&manifest)?)
}

fn table<'t>(parent: &'t mut Table, name: &str) -> anyhow::Result<&'t mut Table> {
    let entry = parent.entry(name).or_insert_with(|| Table::new().into());
    entry.as_table_mut().ok_or_else(|| anyhow!("{name} is no table"))
}
