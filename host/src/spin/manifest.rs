//! `spin.toml`, manifest version 2: what this host understands of it. Everything else is an error that names its path.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) spin_manifest_version: u32,
    application: Application,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Variable>,
    pub(super) trigger: Triggers,
    #[serde(default)]
    pub(super) component: BTreeMap<String, Component>,
}

/// `[application]`: nothing of it changes how the application runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    #[expect(dead_code, reason = "for readers")]
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers")]
    version: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers")]
    description: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers")]
    authors: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "for other tools")]
    targets: Vec<toml::Value>,
    #[serde(default)]
    trigger: toml::Table,
    #[serde(default)]
    #[expect(dead_code, reason = "for other tools")]
    tool: toml::Table,
}

/// One of `[variables]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "this host shows no variable to anybody, secret or not")]
    secret: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers")]
    description: String,
}

/// `[[trigger.http]]`; Spin's other triggers have no host here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Triggers {
    pub(super) http: Vec<HttpTrigger>,
}

/// One route and the component behind it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTrigger {
    #[serde(default)]
    #[expect(dead_code, reason = "a name for tools")]
    id: String,
    pub(super) route: Route,
    pub(super) component: String,
    pub(super) executor: Option<Executor>,
}

/// `route = "/path"`, or `route = { private = true }` for a component that only others of the application may call.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a route such as \"/path/...\", or { private = true }")]
pub(super) enum Route {
    Public(String),
    Private(PrivateRoute),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrivateRoute {
    pub(super) private: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Executor {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// `[component.<id>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    /// The wasm file, relative to the manifest.
    pub(super) source: Source,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: Vec<Files>,
    #[serde(default)]
    pub(super) exclude_files: Vec<String>,
    #[serde(default)]
    pub(super) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(super) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(super) sqlite_databases: Vec<String>,
    #[serde(default)]
    pub(super) ai_models: Vec<String>,
    #[serde(default)]
    pub(super) dependencies: toml::Table,
    #[serde(default)]
    #[expect(dead_code, reason = "how to build is not the host's business")]
    build: toml::Table,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers")]
    description: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for other tools")]
    tool: toml::Table,
    #[serde(default)]
    #[expect(dead_code, reason = "for other tools")]
    targets: Vec<toml::Value>,
}

/// A path, or a download that this host refuses.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Source {
    Path(String),
    Remote(serde::de::IgnoredAny),
}

/// A glob pattern, or a file or directory with its place in the guest.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a pattern such as \"assets/**/*\", or { source = \"assets\", destination = \"/\" }"
)]
pub(super) enum Files {
    Pattern(String),
    Placement(Placement),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Placement {
    pub(super) source: String,
    pub(super) destination: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// The file cannot be read; it is not TOML of version 2; it holds something that this host does not know; it names a
    /// component that it does not have. The message names the path inside the manifest.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{}: cannot read the manifest", file.display()))?;
        Self::parse(&text).with_context(|| format!("{}", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        ensure!(
            manifest.spin_manifest_version == 2,
            "spin_manifest_version: {} is not supported: write 2",
            manifest.spin_manifest_version
        );
        // All that Spin's HTTP trigger knew here is `base`, and it refuses that by now.
        ensure!(
            manifest.application.trigger.is_empty(),
            "application.trigger: leave it out, and write a base in front of the route of each [[trigger.http]]"
        );
        for (index, trigger) in manifest.trigger.http.iter().enumerate() {
            let path = format!("trigger.http[{index}]");
            ensure!(
                manifest.component.contains_key(&trigger.component),
                "{path}.component: there is no [component.{}]",
                trigger.component
            );
            if let Route::Private(route) = &trigger.route {
                ensure!(route.private, "{path}.route: write a route, or {{ private = true }}");
            }
            if let Some(executor) = &trigger.executor {
                ensure!(
                    matches!(executor.kind.as_str(), "http" | "spin"),
                    "{path}.executor: {:?} has no host here: leave it out",
                    executor.kind
                );
            }
        }
        for (id, component) in &manifest.component {
            component.check(id)?;
        }
        Ok(manifest)
    }
}

impl Component {
    fn check(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("component.{id}");
        ensure!(
            id.split('-').all(is_word),
            "{path}: is no id: write words of letters and digits, each in one case and with a letter in front, joined by -, such as my-gate"
        );
        if let Source::Remote(_) = self.source {
            bail!("{path}.source: this host loads no remote components: write the path of a wasm file");
        }
        for (member, empty) in [
            ("exclude_files", self.exclude_files.is_empty()),
            ("ai_models", self.ai_models.is_empty()),
            ("dependencies", self.dependencies.is_empty()),
        ] {
            ensure!(empty, "{path}.{member}: this host does not support it: leave it out");
        }
        Ok(())
    }
}

/// Whether Spin takes it as a word of a component's id.
fn is_word(word: &str) -> bool {
    let in_one_case = |letter: fn(&u8) -> bool| {
        word.as_bytes().first().is_some_and(letter)
            && word.bytes().all(|byte| letter(&byte) || byte.is_ascii_digit())
    };
    in_one_case(u8::is_ascii_lowercase) || in_one_case(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
spin_manifest_version = 2
[application]
name = "app"
[variables]
key = { required = true, secret = true }
[[trigger.http]]
route = "/a/..."
component = "a"
[[trigger.http]]
route = { private = true }
component = "a"
[component.a]
source = "a.wasm"
variables = { key = "{{ key }}" }
files = [{ source = "assets", destination = "/" }, "*.txt"]
build.command = "true"
"#;

    fn error(text: &str) -> String {
        format!("{:#}", Manifest::parse(text).unwrap_err())
    }

    #[test]
    fn a_manifest_is_read() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.trigger.http.len(), 2);
        assert!(matches!(&manifest.trigger.http[0].route, Route::Public(route) if route == "/a/..."));
    }

    #[test]
    fn a_fault_names_its_path() {
        for (from, to, expected) in [
            ("= 2", "= 1", "spin_manifest_version: 1"),
            (
                "component = \"a\"\n[[",
                "component = \"b\"\n[[",
                "trigger.http[0].component: there is no [component.b]",
            ),
            ("private = true", "private = false", "trigger.http[1].route"),
            ("source = \"a.wasm\"", "source = { url = \"x\" }", "component.a.source"),
            ("build.command", "exclude_files = [\"x\"]\nbuild.command", "component.a.exclude_files"),
            ("source = \"a.wasm\"", "sauce = \"a.wasm\"", "unknown field `sauce`"),
            (
                "[variables]",
                "[application.trigger.http]\nbase = \"/x\"\n[variables]",
                "application.trigger: leave it out",
            ),
            ("route = \"/a/...\"", "route = 1", "expected a route such as"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let message = error(&GOOD.replacen(from, to, 1));
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }

    #[test]
    fn an_id_is_words_joined_by_hyphens() {
        let with_id = |id: &str| {
            GOOD.replace("component = \"a\"", &format!("component = {id:?}"))
                .replace("[component.a]", &format!("[component.{id:?}]"))
        };
        for id in ["a", "gate", "my-gate2", "GATE", "MY-gate"] {
            Manifest::parse(&with_id(id)).unwrap();
        }
        for id in ["", "Gate", "gA", "ga_te", "ga.te", "-gate", "gate-", "a--b", "2gate", "my-2", "gäte"] {
            let message = error(&with_id(id));
            assert!(message.starts_with(&format!("component.{id}: is no id: write words")), "{message}");
        }
    }
}
