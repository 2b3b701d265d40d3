//! `files` of a component: directories and copies of files that it sees, read-only.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::manifest::{Files, Placement};

/// What one component mounts; single files and what patterns match are copied into a directory that goes with this value.
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
                Files::Placement(entry) => mounts.place(&path, root, entry)?,
                Files::Pattern(pattern) => {
                    mounts.copy(root, pattern).with_context(|| format!("{path}: {pattern:?}"))?
                }
            }
        }
        Ok(mounts)
    }

    /// A directory is mounted; of a single file a copy is, under the name that the destination gives it.
    fn place(&mut self, path: &str, root: &Path, entry: &Placement) -> anyhow::Result<()> {
        let source = root.join(&entry.source);
        let Some(destination) = entry.destination.strip_prefix('/') else {
            bail!("{path}.destination: {:?} must start with /", entry.destination);
        };
        if source.is_dir() {
            self.directories.push((source, entry.destination.clone()));
            return Ok(());
        }
        ensure!(source.is_file(), "{path}.source: {} is no file and no directory", source.display());
        // Spin copies a file to exactly this name, and refuses one that is a directory's.
        let is_name = !destination.is_empty() && !destination.ends_with('/');
        ensure!(is_name, "{path}.destination: {:?} is no file name", entry.destination);
        let inside = Path::new(destination).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(inside, "{path}.destination: {:?} may not have . or ..", entry.destination);
        let target = self.copies()?.join(destination);
        copy_file(&source, &target)
    }

    /// The directory of copies; it is the guest's `/`.
    fn copies(&mut self) -> anyhow::Result<PathBuf> {
        let copied = match &self.copied {
            Some(copied) => copied,
            None => {
                let directory = tempfile::tempdir()?;
                self.directories.push((directory.path().to_owned(), "/".to_owned()));
                self.copied.insert(directory)
            }
        };
        Ok(copied.path().to_owned())
    }

    /// Copies what matches, with its path below the manifest, to the guest's `/`.
    fn copy(&mut self, root: &Path, pattern: &str) -> anyhow::Result<()> {
        let copies = self.copies()?;
        let mut found = false;
        let absolute = Path::new(&glob::Pattern::escape(&root.to_string_lossy())).join(pattern);
        for file in glob::glob(&absolute.to_string_lossy())? {
            let file = file?;
            if file.is_file() {
                let place = file.strip_prefix(root).context("lies outside of the manifest's directory")?;
                copy_file(&file, &copies.join(place))?;
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

fn copy_file(source: &Path, target: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(target.parent().context("has no directory")?)?;
    std::fs::copy(source, target).with_context(|| format!("{}", source.display()))?;
    Ok(())
}
