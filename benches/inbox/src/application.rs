//! The application as its own `spin.toml` has it, gate, redirector and worker, with a database in a folder beside this program: on a
//! disk, where a commit has to be flushed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use countersign_benches::postbacks::{PARTNER, SECRET, SECRET_NAME};
use countersign_host::spin::{BlockingSpinApp, Serving, SpinOptions, State};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;
use toml::Table;

/// An application that serves until it is dropped.
pub(crate) struct Application {
    serving: Serving,
    _application: BlockingSpinApp,
    database: PathBuf,
    _folder: TempDir,
}

impl Application {
    /// With this configuration and an empty database; an instance serves so many requests at a time.
    pub(crate) fn start(document: &Value, requests_at_a_time: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let folder = TempDir::new_in(program.parent().context("a program is in a folder")?)?;
        fs::write(folder.path().join("countersign.json"), document.to_string())?;
        let manifest = folder.path().join("spin.toml");
        fs::write(&manifest, self::manifest()?)?;
        let state = State::directory(&folder.path().join("state"))?;
        let database = state.database("default");
        let mut options = SpinOptions::new(state);
        options.variables = BTreeMap::from([(SECRET_NAME.to_owned(), SECRET.to_owned())]);
        options.requests_at_a_time = requests_at_a_time;
        let application = BlockingSpinApp::load(&manifest, options)?;
        let serving = application.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { serving, _application: application, database, _folder: folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// One number from the database.
    pub(crate) fn number(&self, sql: &str) -> Result<i64> {
        let database = Connection::open(&self.database)?;
        database.busy_timeout(std::time::Duration::from_secs(30))?;
        database.query_row(sql, [], |row| row.get(0)).with_context(|| sql.to_owned())
    }

    /// Puts events into the queue, past the gate: so many copies of the first one that it accepted, each of a player of its own. Answers
    /// the last one's row.
    pub(crate) fn queue(&self, count: u32) -> Result<i64> {
        let database = Connection::open(&self.database)?;
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
                   INSERT INTO inbox (payload_hash, receipt_key, partner, event_id, event, click_id, ts_event, key_id, source, \
                   receipt, payload, received_at) \
                   SELECT payload_hash, receipt_key, partner, 'backlog_' || i, event, click_id, ts_event, key_id, source, \
                   receipt, json_set(payload, '$.account_id', 'backlog_' || i), received_at \
                   FROM n CROSS JOIN inbox ON inbox.id = (SELECT min(id) FROM inbox)";
        database.execute(sql, params![count])?;
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(database.query_row("SELECT max(id) FROM inbox", [], |row| row.get(0))?)
    }
}

/// A sandbox with a partner whose quota the bench cannot spend, and with whom a first deposit is worth something: each event has three
/// postings.
pub(crate) fn document() -> Value {
    let mut document = json!({
        "version": 1, "environment": "sandbox", "partners": {},
        // The clicks of these events are nobody's, and no rates are there.
        "ledger": { "report_currency": "USD", "unknown_click_seconds": 0 },
    });
    document["partners"][PARTNER] = json!({
        "signature": { "keys": [{ "id": "bench", "secret": { "name": SECRET_NAME } }] },
        "rate": { "per_second": 100_000, "burst": 1_000_000 },
        "contract": [{ "from": "2025-01-01T00:00:00Z", "cpa": { "amount": "80.00", "currency": "USD" }, "revenue_share_percent": "25" }],
    });
    document
}

/// The repository's manifest, for the wasm files that were built, with the bench's document and key.
fn manifest() -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spin.toml");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut manifest: Table = text.parse()?;
    let declared =
        Table::from_iter([("required".to_owned(), true.into()), ("secret".to_owned(), true.into())]);
    table(&mut manifest, "variables")?.insert(SECRET_NAME.to_owned(), declared.into());
    for (id, component) in table(&mut manifest, "component")? {
        let component = component.as_table_mut().with_context(|| format!("component.{id} is no table"))?;
        component.insert("source".to_owned(), wasm(id)?.display().to_string().into());
        component.insert("files".to_owned(), toml::Value::Array(vec!["countersign.json".into()]));
        table(component, "variables")?
            .insert(SECRET_NAME.to_owned(), format!("{{{{ {SECRET_NAME} }}}}").into());
    }
    Ok(toml::to_string(&manifest)?)
}

fn table<'t>(parent: &'t mut Table, name: &str) -> Result<&'t mut Table> {
    let entry = parent.entry(name).or_insert_with(|| Table::new().into());
    entry.as_table_mut().with_context(|| format!("{name} is no table"))
}

/// A component's file.
pub(crate) fn wasm(component: &str) -> Result<PathBuf> {
    let remedy = "run `cargo xtask bench inbox`, which builds the components and says where they are";
    let folder = std::env::var_os("COUNTERSIGN_WASM").context(remedy)?;
    let path = PathBuf::from(folder).join(format!("{component}.wasm"));
    path.canonicalize().with_context(|| format!("{}: {remedy}", path.display()))
}
