//! The data files, and whether they are fresh.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::groups;
use super::layout::layout;
use crate::vector::{self, Suite};

/// Every file of the book: its path, its text, and how many vectors it has.
fn files() -> anyhow::Result<Vec<(PathBuf, String, usize)>> {
    let mut files = Vec::new();
    for (suite, name, group) in groups()? {
        let path = vector::folder().join(suite.folder()).join(name).with_extension("json");
        files.push((path, layout(&serde_json::to_string(&group)?)?, group.vectors.len()));
    }
    Ok(files)
}

/// Writes every file, removes those that the book no longer has, and says how many vectors there are.
///
/// # Errors
/// As [`groups`], or where a file cannot be written.
pub fn write() -> anyhow::Result<usize> {
    let files = files()?;
    for (path, text, _) in &files {
        let folder = path.parent().context("a file has a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    for stray in strays(&files)? {
        fs::remove_file(&stray).with_context(|| format!("{} cannot be removed", stray.display()))?;
    }
    Ok(files.iter().map(|(_, _, count)| count).sum())
}

/// Compares every file with the book, and says how many vectors there are.
///
/// # Errors
/// As [`groups`], and with the files that differ.
pub fn check() -> anyhow::Result<usize> {
    let files = files()?;
    let stale = |path: &PathBuf, text: &String| fs::read_to_string(path).is_ok_and(|held| held == *text);
    let mut wrong: Vec<_> =
        files.iter().filter(|(path, text, _)| !stale(path, text)).map(|(path, _, _)| path.clone()).collect();
    wrong.extend(strays(&files)?);
    if wrong.is_empty() {
        return Ok(files.iter().map(|(_, _, count)| count).sum());
    }
    let names: Vec<_> = wrong.iter().map(|path| path.display().to_string()).collect();
    bail!(
        "not as the book has them; run `cargo xtask vectors` and look at the difference:\n{}",
        names.join("\n")
    )
}

/// One line for each vector: suite, group, id, flags.
///
/// # Errors
/// As [`groups`].
pub fn list() -> anyhow::Result<Vec<String>> {
    let line = |(suite, name, group): (Suite, &str, vector::Group)| {
        let line = move |vector: vector::Vector| {
            format!("{}/{name} {} [{}]", suite.folder(), vector.id, vector.flags.join(" "))
        };
        group.vectors.into_iter().map(line).collect::<Vec<_>>()
    };
    Ok(groups()?.into_iter().flat_map(line).collect())
}

fn strays(files: &[(PathBuf, String, usize)]) -> anyhow::Result<Vec<PathBuf>> {
    let known: BTreeSet<_> = files.iter().map(|(path, _, _)| path.clone()).collect();
    let mut strays = Vec::new();
    for suite in Suite::ALL {
        let folder = vector::folder().join(suite.folder());
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if !known.contains(&path) {
                strays.push(path);
            }
        }
    }
    Ok(strays)
}
