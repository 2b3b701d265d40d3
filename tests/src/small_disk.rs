//! A disk of a few MiB, to fill up.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Bytes that a file grows by at once: a page of memory.
const STEP: usize = 4_096;

/// A file system of its own in memory (tmpfs), unmounted when this value goes.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// A disk of so many MiB.
    ///
    /// # Errors
    /// Mounting is not permitted: this needs root, or the capability `CAP_SYS_ADMIN`.
    pub fn mount(mib: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700"), "countersign-test"])
            .arg(folder.path());
        let ended = mount.stdin(Stdio::null()).output().context("starting mount")?;
        if !ended.status.success() {
            bail!("{}", String::from_utf8_lossy(&ended.stderr).trim());
        }
        Ok(Self { folder })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it up, but for so many bytes.
    ///
    /// # Errors
    /// What writing fails with, besides that there is no room.
    pub fn fill_but(&self, bytes: u64) -> anyhow::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let mut written: u64 = 0;
        loop {
            match ballast.write(&[0; STEP]) {
                Ok(0) => break,
                Ok(more) => written += u64::try_from(more)?,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        ballast.set_len(written.saturating_sub(bytes))?;
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// It was not filled up.
    pub fn make_room(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever has a file open there keeps it until that is closed.
        _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
