//! `files` of a component: copied at load into one folder, as Spin does it.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::manifest::{Files, Placement};

/// Copies the files of the component at `path`, which are relative to the manifest's directory `root`, into a folder that is the
/// guest's `/`. What changes at their sources afterwards is not seen. No folder where nothing is listed.
pub(super) fn copied(path: &str, root: &Path, files: &[Files]) -> anyhow::Result<Option<TempDir>> {
    if files.is_empty() {
        return Ok(None);
    }
    let root = absolute(root)?;
    let folder = tempfile::tempdir()?;
    for (index, entry) in files.iter().enumerate() {
        let path = format!("{path}.files[{index}]");
        match entry {
            Files::Placement(entry) => place(&path, &root, entry, folder.path())?,
            Files::Pattern(pattern) => {
                copy_matches(&root, pattern, folder.path())
                    .with_context(|| format!("{path}: {pattern:?}"))?;
            }
        }
    }
    Ok(Some(folder))
}

/// A file goes to exactly the destination's name, what a directory has to below the destination.
fn place(path: &str, root: &Path, entry: &Placement, folder: &Path) -> anyhow::Result<()> {
    let source = root.join(&entry.source);
    // Spin looks at the text of the path alone: a way out by .. is none to it.
    ensure!(
        source.starts_with(root),
        "{path}.source: {:?} is outside of the manifest's folder: write its path from there, such as \"../{}\", or copy it there",
        entry.source,
        source.file_name().unwrap_or_default().display()
    );
    let Some(destination) = entry.destination.strip_prefix('/') else {
        bail!("{path}.destination: {:?} must start with /", entry.destination);
    };
    let inside = Path::new(destination).components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(inside, "{path}.destination: {:?} may not have . or ..", entry.destination);
    let target = folder.join(destination);
    if source.is_dir() {
        return copy_below(&source, &target).with_context(|| format!("{path}.source"));
    }
    ensure!(source.is_file(), "{path}.source: {} is no file and no directory", source.display());
    let is_name = !destination.is_empty() && !destination.ends_with('/');
    ensure!(is_name, "{path}.destination: {:?} is no file name", entry.destination);
    copy_file(&source, &target).with_context(|| format!("{path}.source"))
}

/// Copies what a directory has at every depth.
fn copy_below(directory: &Path, target: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(target)?;
    for file in found(directory, "**/*")? {
        copy_file(&file, &target.join(file.strip_prefix(directory)?))?;
    }
    Ok(())
}

/// Copies what matches, with its path below the manifest.
fn copy_matches(root: &Path, pattern: &str, folder: &Path) -> anyhow::Result<()> {
    let is_below = Path::new(pattern).components().all(|part| part != Component::ParentDir);
    ensure!(is_below, "may not have ..: write {{ source = …, destination = … }}");
    let files = found(root, pattern)?;
    ensure!(!files.is_empty(), "matches no file");
    for file in files {
        let place = file.strip_prefix(root).context("is outside of the manifest's folder")?;
        copy_file(&file, &folder.join(place))?;
    }
    Ok(())
}

/// The files that match a pattern, which is relative to `directory`.
fn found(directory: &Path, pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let pattern = Path::new(&glob::Pattern::escape(&directory.to_string_lossy())).join(pattern);
    let mut files = glob::glob(&pattern.to_string_lossy())?.collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| file.is_file());
    Ok(files)
}

fn copy_file(source: &Path, target: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(target.parent().context("has no directory")?)?;
    std::fs::copy(source, target).with_context(|| format!("{}", source.display()))?;
    Ok(())
}

/// The path from the file system's root, without `.` and `..`. Symbolic links are not looked at.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in std::path::absolute(Path::new(".").join(path))?.components() {
        if part == Component::ParentDir {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_outside_is_a_relative_one() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("application");
        for file in ["outside.txt", "beside/c.txt", "application/inside.txt"] {
            let file = parent.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "text").unwrap();
        }
        let copied_from = |root: &Path, source: &Path| {
            let source = source.to_str().unwrap().to_owned();
            copied("c", root, &[Files::Placement(Placement { source, destination: "/to".to_owned() })])
        };
        let roundabout = parent.path().join("beside/../application");
        for root in [&root, &roundabout] {
            for source in [Path::new("../outside.txt"), &parent.path().join("application/inside.txt")] {
                let folder = copied_from(root, source).unwrap().unwrap();
                assert_eq!(std::fs::read_to_string(folder.path().join("to")).unwrap(), "text");
            }
            let folder = copied_from(root, Path::new("../beside")).unwrap().unwrap();
            assert!(folder.path().join("to/c.txt").is_file());
            for source in ["outside.txt", "beside"] {
                let message = copied_from(root, &parent.path().join(source)).unwrap_err().to_string();
                assert!(message.contains(&format!("such as \"../{source}\"")), "{message}");
            }
        }
    }
}
