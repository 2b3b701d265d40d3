//! The manifest that runs: the application's own, for this configuration and the secrets that it names.
//!
//! It is written beside the inbox, so that what runs can be read, and Spin itself can run the same.

use std::env;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use toml::{Table, Value};

use crate::failure::unusable;
use crate::input;

/// Where components read their configuration.
const CONFIGURATION: &str = "/countersign.json";
/// Names the folder of the wasm files, where it is not the one in the manifest.
const WASM_FOLDER: &str = "COUNTERSIGN_WASM";
/// The component that the whole world may call.
const REDIRECTOR: &str = "click";

/// A `spin.toml`.
#[derive(Debug)]
pub(super) struct Application {
    manifest: Table,
    /// The folder that its paths are relative to, absolute.
    root: PathBuf,
}

impl Application {
    /// Reads the manifest.
    ///
    /// # Errors
    /// There is none, or it is not TOML.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let remedy = "run it in the folder of the project, or name the file with --app";
        let text = input::text(file).map_err(|error| unusable(format!("{error:#}: {remedy}")))?;
        let manifest = text.parse().map_err(|error| unusable(format!("{}: {error}", file.display())))?;
        let file = std::path::absolute(file)?;
        let root = file.parent().context("the manifest has no folder")?.to_owned();
        Ok(Self { manifest, root })
    }

    /// The configuration that the components mount.
    ///
    /// # Errors
    /// No component does.
    pub(super) fn configuration(&self) -> Result<PathBuf> {
        let components = self.manifest.get("component").and_then(Value::as_table).into_iter().flatten();
        let source = components
            .flat_map(|(_, component)| component.get("files").and_then(Value::as_array).into_iter().flatten())
            .find(|entry| is_configuration(entry))
            .and_then(|entry| entry.get("source")?.as_str());
        let source = source.ok_or_else(|| {
            unusable(format!("no component mounts {CONFIGURATION}: name the file with --config"))
        })?;
        let path = self.root.join(source);
        // As the caller would write it, where that is shorter.
        let here = env::current_dir().ok().and_then(|here| Some(path.strip_prefix(here).ok()?.to_owned()));
        Ok(here.unwrap_or(path))
    }

    /// The manifest for `folder`, with this configuration, and with a variable for each secret. The redirector gets its own alone.
    ///
    /// # Errors
    /// The manifest has a part that cannot be moved.
    pub(super) fn for_folder(
        &self,
        folder: &Path,
        configuration: &Path,
        secrets: &[String],
        of_redirector: &[String],
    ) -> Result<String> {
        let mut manifest = self.manifest.clone();
        for (id, component) in table(&mut manifest, "component")? {
            let component = component.as_table_mut().ok_or_else(|| anyhow!("component.{id} is no table"))?;
            self.place(component)?;
            if self.mount(component, folder, configuration)? {
                let variables = table(component, "variables")?;
                for name in if id == REDIRECTOR { of_redirector } else { secrets } {
                    variables.insert(name.clone(), format!("{{{{ {name} }}}}").into());
                }
            }
        }
        let variables = table(&mut manifest, "variables")?;
        for name in secrets {
            let required =
                Table::from_iter([("required".into(), true.into()), ("secret".into(), true.into())]);
            variables.insert(name.clone(), required.into());
        }
        Ok(format!("# Written by `countersign up` at each start.\n{}", toml::to_string(&manifest)?))
    }

    /// Makes the path of the component's wasm file absolute.
    fn place(&self, component: &mut Table) -> Result<()> {
        let source = component.get("source").and_then(Value::as_str).context("a component has no source")?;
        let file = match env::var_os(WASM_FOLDER) {
            Some(folder) => Path::new(&folder).join(Path::new(source).file_name().unwrap_or_default()),
            None => self.root.join(source),
        };
        if !file.is_file() {
            return Err(unusable(format!("{} is not there: run `cargo xtask build`", file.display())));
        }
        component.insert("source".into(), std::path::absolute(file)?.display().to_string().into());
        Ok(())
    }

    /// Makes the paths of the component's files relative to `folder`, for Spin refuses absolute ones; says whether it reads
    /// the configuration.
    fn mount(&self, component: &mut Table, folder: &Path, configuration: &Path) -> Result<bool> {
        let mut is_configured = false;
        for entry in component.get_mut("files").and_then(Value::as_array_mut).into_iter().flatten() {
            let path = if is_configuration(entry) {
                is_configured = true;
                configuration.to_owned()
            } else {
                let source = entry.get("source").and_then(Value::as_str);
                self.root.join(
                    source.context("files: write { source = …, destination = … } instead of a pattern")?,
                )
            };
            let entry = entry.as_table_mut().context("files: no table")?;
            entry.insert("source".into(), relative(&path, folder)?.display().to_string().into());
        }
        Ok(is_configured)
    }
}

/// The way to `path` from `folder`; both exist.
fn relative(path: &Path, folder: &Path) -> Result<PathBuf> {
    let canonical = |path: &Path| path.canonicalize().with_context(|| format!("finding {}", path.display()));
    let (path, folder) = (canonical(path)?, canonical(folder)?);
    let shared = path.components().zip(folder.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    Ok(up.chain(path.components().skip(shared)).collect())
}

fn is_configuration(entry: &Value) -> bool {
    entry.get("destination").and_then(Value::as_str) == Some(CONFIGURATION)
}

/// The table of that name, made where it is missing.
fn table<'t>(parent: &'t mut Table, name: &str) -> Result<&'t mut Table> {
    let entry = parent.entry(name).or_insert_with(|| Table::new().into());
    entry.as_table_mut().ok_or_else(|| anyhow!("{name} is no table"))
}
