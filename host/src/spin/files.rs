//! `files` of a component: directories and copies of files that it sees, read-only.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::manifest::Files;

/// What one component mounts; patterns are copied into a directory that goes with this value.
pub(super) struct Mounts {
    directories: Vec<(PathBuf, String)>,
    copied: Option<tempfile::TempDir>,
}

impl Mounts {
    /// Finds the files of the component at `path`, relative to the manifest's directory `root`.
    pub(super) fn new(path: &str, root: &Path, files: &[Files]) -> anyhow::Result<Self> {
        let mut mounts = Self { directories: Vec::new(), copied: None };
        for (index, entry) in files.iter().enumerate() {
            let path = format!("{path}.files[{index}]");
            match entry {
                Files::Directory(entry) => {
                    let directory = root.join(&entry.source);
                    ensure!(directory.is_dir(), "{path}.source: {} is no directory", directory.display());
                    ensure!(
                        entry.destination.starts_with('/'),
                        "{path}.destination: {:?} must start with /",
                        entry.destination
                    );
                    mounts.directories.push((directory, entry.destination.clone()));
                }
                Files::Pattern(pattern) => {
                    mounts.copy(root, pattern).with_context(|| format!("{path}: {pattern:?}"))?
                }
            }
        }
        Ok(mounts)
    }

    /// Copies what matches, with its path below the manifest, to the guest's `/`.
    fn copy(&mut self, root: &Path, pattern: &str) -> anyhow::Result<()> {
        let copied = match &self.copied {
            Some(copied) => copied,
            None => {
                let directory = tempfile::tempdir()?;
                self.directories.push((directory.path().to_owned(), "/".to_owned()));
                self.copied.insert(directory)
            }
        };
        let mut found = false;
        let absolute = Path::new(&glob::Pattern::escape(&root.to_string_lossy())).join(pattern);
        for file in glob::glob(&absolute.to_string_lossy())? {
            let file = file?;
            if file.is_file() {
                let target = copied
                    .path()
                    .join(file.strip_prefix(root).context("lies outside of the manifest's directory")?);
                std::fs::create_dir_all(target.parent().context("has no directory")?)?;
                std::fs::copy(&file, &target).with_context(|| format!("{}", file.display()))?;
                found = true;
            }
        }
        ensure!(found, "matches no file");
        Ok(())
    }

    /// Host directory → place in the guest.
    pub(super) fn directories(&self) -> Vec<(PathBuf, String)> {
        self.directories.clone()
    }
}
