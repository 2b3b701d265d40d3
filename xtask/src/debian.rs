//! Debian packages, unpacked into the build folder: nothing is installed, no service is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::context::fresh_folder;
use crate::process;

/// The machine's own archive: where its packages come from, and the keys that vouch for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    address: String,
    signed_by: Option<String>,
}

/// A suite of Debian's archive that the machine does not follow, read through a package list of its own.
#[derive(Debug)]
pub(crate) struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// Reads the suite's package list into `folder`.
    ///
    /// # Errors
    /// apt is missing, the machine has no Debian archive in its own source lists, or the list cannot be fetched.
    pub(crate) fn open(name: &str, folder: PathBuf) -> Result<Self> {
        if process::on_path("apt-get").is_none() || process::on_path("dpkg").is_none() {
            bail!("apt-get and dpkg are not on PATH: this is no Debian machine");
        }
        let archive = own_archive().context("/etc/apt names no Debian archive to derive the suite from")?;
        fresh_folder(&folder)?;
        for part in ["lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let keys = archive.signed_by.map_or_else(String::new, |keys| format!("[signed-by={keys}] "));
        fs::write(folder.join("sources.list"), format!("deb {keys}{} {name} main\n", archive.address))?;
        let suite = Self { folder };
        process::download(suite.apt("apt-get").arg("update"))?;
        Ok(suite)
    }

    /// Downloads and unpacks the newest package whose upstream version is exactly `version`, or the newest if `None`.
    ///
    /// # Errors
    /// The suite has no such version, or it cannot be fetched or unpacked.
    pub(crate) fn unpack(&self, package: &str, version: Option<&str>, into: &Path) -> Result<()> {
        let listing = process::output(self.apt("apt-cache").args(["madison", package]))?;
        let found = matching_version(&listing, version).with_context(|| {
            let seen = listing.lines().next().unwrap_or("nothing").trim();
            format!("the suite has no {package} {} (it has: {seen})", version.unwrap_or("at all"))
        })?;
        let folder = self.folder.join(package);
        fresh_folder(&folder)?;
        let chosen = format!("{package}={found}");
        process::download(self.apt("apt-get").args(["download", &chosen]).current_dir(&folder))?;
        unpack_all(&folder, into)
    }

    /// An apt program that sees this suite alone, and none of the machine's state.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (option, part) in [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "parts"),
            ("Dir::State::lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg("-o").arg(format!("{option}={}", self.folder.join(part).display()));
        }
        // As root, apt drops to its own user for downloads, and that user may not read the checkout.
        command.args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
        command
    }
}

/// Downloads packages, those of their dependencies that the machine lacks, and unpacks all of them.
///
/// # Errors
/// apt is missing, or a package cannot be fetched or unpacked.
pub(crate) fn unpack_with_dependencies(packages: &[&str], folder: &Path, into: &Path) -> Result<()> {
    if process::on_path("apt-get").is_none() {
        bail!("{} is missing, and so is apt-get to fetch it", packages.join(", "));
    }
    fresh_folder(&folder.join("partial"))?;
    let archives = format!("Dir::Cache::archives={}", folder.display());
    let fetch = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "-y", "--download-only", "--reinstall", "--no-install-recommends", "-o"]);
        process::download(command.args([&archives, "-o", "APT::Sandbox::User=root"]).args(packages))
    };
    if fetch().is_err() {
        // A fresh machine has no package lists yet, or old ones.
        process::download(Command::new("apt-get").arg("update"))?;
        fetch()?;
    }
    unpack_all(folder, into)
}

fn unpack_all(folder: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut unpacked = 0_usize;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            process::output(Command::new("dpkg").arg("-x").arg(&path).arg(into))?;
            unpacked += 1;
        }
    }
    if unpacked == 0 {
        bail!("apt-get left no package in {}", folder.display());
    }
    Ok(())
}

/// The newest version in the output of `apt-cache madison` whose upstream part is `wanted`.
fn matching_version(madison: &str, wanted: Option<&str>) -> Option<String> {
    let versions = madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let mut fitting = versions.filter(|version| wanted.is_none_or(|wanted| upstream(version) == wanted));
    fitting.next().map(str::to_owned)
}

/// `1.95.0` of `1:1.95.0+dfsg1-1~bpo13+1`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

fn own_archive() -> Option<Archive> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path()));
    files.sort();
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| archive_of(&text))
}

/// The Debian archive that a source list names, in either of apt's two formats. A security archive does not count:
/// it has no backports.
fn archive_of(text: &str) -> Option<Archive> {
    let is_debian = |address: &str| address.trim_end_matches('/').ends_with("/debian");
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        if let Some(address) = field("URIs:").filter(|address| is_debian(address)) {
            return Some(Archive { address, signed_by: field("Signed-By:") });
        }
    }
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("deb ")) {
        let signed_by = line.split(['[', ']', ' ']).find_map(|word| word.strip_prefix("signed-by="));
        if let Some(address) = line.split_whitespace().find(|word| is_debian(word)) {
            return Some(Archive { address: address.to_owned(), signed_by: signed_by.map(str::to_owned) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{archive_of, matching_version};

    #[test]
    fn both_formats_of_source_lists_are_read() {
        let new = "# c\nTypes: deb\nURIs: http://mirror.test/debian-security\nSigned-By: /k0\n\n\
                   Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\nSigned-By: /k.gpg\n";
        let archive = archive_of(new).unwrap();
        assert_eq!(archive.address, "http://mirror.test/debian");
        assert_eq!(archive.signed_by.as_deref(), Some("/k.gpg"));
        let old = "deb-src http://mirror.test/debian x main\ndeb [arch=amd64 signed-by=/k] http://mirror.test/debian/ x main\n";
        let archive = archive_of(old).unwrap();
        assert_eq!(archive.address, "http://mirror.test/debian/");
        assert_eq!(archive.signed_by.as_deref(), Some("/k"));
        assert_eq!(archive_of("deb http://mirror.test/node_20.x nodistro main\n"), None);
    }

    #[test]
    fn only_the_exact_upstream_version_fits() {
        let madison = " rust-src | 1.96.1+dfsg1-1~bpo13+1 | x\n rust-src | 1.95.0+dfsg1-1~bpo13+1 | x\n";
        assert_eq!(matching_version(madison, Some("1.95.0")).as_deref(), Some("1.95.0+dfsg1-1~bpo13+1"));
        assert_eq!(matching_version(madison, Some("1.95")), None);
        assert_eq!(matching_version(madison, None).as_deref(), Some("1.96.1+dfsg1-1~bpo13+1"));
        assert_eq!(matching_version("", None), None);
    }
}
