//! Where an application keeps its SQLite files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

/// The directory of an application's databases and key-value store.
#[derive(Clone, Debug)]
pub struct State {
    directory: PathBuf,
    temporary: Option<Arc<tempfile::TempDir>>,
}

impl State {
    /// Keeps the files in `directory`, named as Spin names them in `.spin`.
    ///
    /// # Errors
    /// The directory is missing and cannot be made.
    pub fn directory(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("{}: cannot make the state directory", directory.display()))?;
        Ok(Self { directory: directory.to_owned(), temporary: None })
    }

    /// Keeps the files in a fresh directory that goes with the last clone of this value. In tests this stands for an
    /// in-memory database, with the locks and the journal of a real one.
    ///
    /// # Errors
    /// The machine's temporary directory cannot be written.
    pub fn temporary() -> anyhow::Result<Self> {
        let temporary = tempfile::tempdir().context("cannot make a temporary state directory")?;
        Ok(Self { directory: temporary.path().to_owned(), temporary: Some(Arc::new(temporary)) })
    }

    /// The file of the SQLite database `label`.
    #[must_use]
    pub fn database(&self, label: &str) -> PathBuf {
        let file = if label == "default" { "sqlite_db.db".to_owned() } else { format!("sqlite_{label}.db") };
        self.directory.join(file)
    }

    /// The file of all key-value stores.
    #[must_use]
    pub fn key_value(&self) -> PathBuf {
        self.directory.join("sqlite_key_value.db")
    }

    /// Whether the files go with this value.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }
}
