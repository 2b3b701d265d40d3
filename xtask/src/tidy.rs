//! House rules that can be computed: a rule that is not checked is not a rule.

mod rules;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::process;

/// What to do when a rule is broken.
pub(crate) const REMEDY: &str = "mend each line named above; `cargo xtask tidy` checks again in a second";

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) path: String,
    /// Counted from 1; `None` if the whole file is meant.
    pub(crate) line: Option<usize>,
    pub(crate) problem: String,
}

impl Violation {
    fn show(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}: {}", self.path, self.problem),
            None => format!("{}: {}", self.path, self.problem),
        }
    }
}

/// Checks every file that git knows or would add.
///
/// # Errors
/// A rule is broken (each place has been printed), git is missing, or a file cannot be read.
pub(crate) fn tidy(context: &Context) -> Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&context.root);
    let listing = process::output(&mut list).context("tidy asks git which files there are")?;
    let mut violations = Vec::new();
    let mut files = 0_usize;
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        // A file that was removed and not yet committed is still listed.
        let Ok(bytes) = fs::read(context.root.join(path)) else { continue };
        files += 1;
        violations.extend(rules::check_file(path, &bytes));
    }
    let manifest = fs::read_to_string(context.root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let reasons = fs::read_to_string(context.root.join(rules::DEPENDENCIES)).unwrap_or_default();
    violations.extend(rules::unexplained_dependencies(&manifest, &reasons));
    for violation in &violations {
        println!("    {}", violation.show());
    }
    if !violations.is_empty() {
        bail!("{} broken rules in {files} files", violations.len());
    }
    println!("    {files} files");
    Ok(())
}
