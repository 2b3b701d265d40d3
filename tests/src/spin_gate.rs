//! The gate as a Spin component, in an application of its own, alone or with the redirector: what tests have in common.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Deref;
use std::path::PathBuf;

use anyhow::Context as _;
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest};

use crate::spin_app::{Setup, SpinApp, Wakes};

/// `gate.wasm` on the Spin host, with a database in a directory that goes with this value. Its clock stands still.
pub struct SpinGate {
    app: SpinApp,
    clock: Clock,
}

impl SpinGate {
    /// The gate with this configuration document, these secrets (name → value), and a database that fails as `faults` plans.
    ///
    /// # Errors
    /// Where the component is not built, with the remedy; or where the application does not load.
    pub fn new(document: &str, secrets: &BTreeMap<String, String>, faults: Faults) -> anyhow::Result<Self> {
        Self::with_components(&[("gate", "/...")], document, secrets, faults)
    }

    /// The same with the redirector, `click.wasm`, on the same database.
    ///
    /// # Errors
    /// As [`SpinGate::new`].
    pub fn with_redirector(
        document: &str,
        secrets: &BTreeMap<String, String>,
        faults: Faults,
    ) -> anyhow::Result<Self> {
        Self::with_components(&[("gate", "/..."), ("click", "/c/...")], document, secrets, faults)
    }

    fn with_components(
        components: &[(&str, &str)],
        document: &str,
        secrets: &BTreeMap<String, String>,
        faults: Faults,
    ) -> anyhow::Result<Self> {
        let clock = Clock::fixed(0);
        let setup = Setup {
            document: document.to_owned(),
            secrets: secrets.clone(),
            faults,
            clock: clock.clone(),
            wakes: Wakes::Nobody,
        };
        Ok(Self { app: SpinApp::of_manifest(&manifest(components, secrets)?, &setup)?, clock })
    }

    /// Sends a request that arrives at `at_ms`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Where the request cannot stand on the wire, or the reply broke off.
    pub fn send(&self, at_ms: u64, request: HttpRequest) -> anyhow::Result<HttpReply> {
        self.clock.set_ms(at_ms);
        self.app.send(request)
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
}

impl Deref for SpinGate {
    type Target = SpinApp;

    fn deref(&self) -> &SpinApp {
        &self.app
    }
}

/// A component's file: in the folder `COUNTERSIGN_WASM`, else in `target/wasm`.
pub(crate) fn wasm(component: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("COUNTERSIGN_WASM")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/wasm"), PathBuf::from);
    let path = folder.join(format!("{component}.wasm"));
    path.canonicalize().with_context(|| {
        let path = path.display();
        format!("{path} cannot be found: run `cargo xtask build`, or set COUNTERSIGN_WASM to the folder of the wasm files")
    })
}

/// The manifest: the components by route, their document, their database, and a variable for each secret.
fn manifest(components: &[(&str, &str)], secrets: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut manifest =
        "spin_manifest_version = 2\n[application]\nname = \"countersign\"\n[variables]\n".to_owned();
    let mut passed = String::new();
    for name in secrets.keys() {
        writeln!(manifest, "{name} = {{ required = true, secret = true }}")?;
        writeln!(passed, "{name} = \"{{{{ {name} }}}}\"")?;
    }
    for (component, route) in components {
        let wasm = wasm(component)?;
        write!(
            manifest,
            r#"
[[trigger.http]]
route = "{route}"
component = "{component}"

[component.{component}]
source = {wasm:?}
files = ["countersign.json"]
sqlite_databases = ["default"]

[component.{component}.variables]
{passed}"#
        )?;
    }
    Ok(manifest)
}
