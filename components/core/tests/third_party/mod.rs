//! Third-party test data: read where it lies, never copied (`docs/architecture.md`).

use std::path::{Path, PathBuf};

/// The text of a file at `$COUNTERSIGN_THIRD_PARTY`, else at `../shared/data` beside the workspace.
///
/// Where the data is not there, says so by name and answers `None`: the test then counts as skipped for that reason.
#[expect(clippy::panic, clippy::print_stdout, reason = "a test that stops has failed; a skip is told")]
pub(crate) fn read(path: &str) -> Option<String> {
    let root = std::env::var_os("COUNTERSIGN_THIRD_PARTY")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let file = root.join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if root.exists() => panic!("{}: {error}", file.display()),
        Err(_) => {
            println!("skipped: {} is missing: set COUNTERSIGN_THIRD_PARTY", file.display());
            None
        }
    }
}
