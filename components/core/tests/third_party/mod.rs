//! Third-party test data: read where it lies, never copied (`docs/architecture.md`).

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file or folder at `$COUNTERSIGN_THIRD_PARTY`, else at `../shared/data` beside the workspace.
///
/// Where there is no such data at all, says so by name and answers `None`: the test then counts as skipped for that reason.
/// Data that is there but lacks the file fails the test.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("COUNTERSIGN_THIRD_PARTY")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    if root.exists() {
        panic!("{} is missing, though its folder is there", path.display());
    }
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    // Straight to standard output, which the harness does not hide: a skipped suite must be seen.
    let line = format!("SKIPPED {test}: {} is missing; set COUNTERSIGN_THIRD_PARTY\n", root.display());
    let _unseen = std::io::stdout().write_all(line.as_bytes());
    None
}

/// The text of such a file.
pub(crate) fn read(name: &str) -> Option<String> {
    let path = path(name)?;
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
