//! The process of an Envoy.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shipped::workspace;

/// The longest that Envoy may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// An Envoy that ends with this value.
pub(crate) struct Envoy {
    child: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Envoy {
    /// Starts one with so many workers; its files are in `folder`.
    ///
    /// # Errors
    /// There is no Envoy; or it does not take the configuration, and then the error has what it said.
    pub(crate) fn start(bootstrap: &Value, workers: usize, folder: &Path) -> Result<Self> {
        let config = folder.join("envoy.json");
        fs::write(&config, serde_json::to_vec(bootstrap)?)?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new(binary()?)
            .args(["--use-dynamic-base-id", "--disable-hot-restart", "--log-level", "warning"])
            .args(["--concurrency", &workers.to_string()])
            .arg("--admin-address-path")
            .arg(folder.join("admin"))
            .arg("--config-path")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting Envoy")?;
        let folder = folder.to_path_buf();
        let mut envoy = Self { child, folder, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        envoy.address = envoy.until_it_listens()?;
        Ok(envoy)
    }

    fn until_it_listens(&mut self) -> Result<SocketAddr> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("Envoy ended ({status}); it said\n{}", fs::read_to_string(self.folder.join("log"))?);
            }
            if let Ok(Some(address)) = self.listener() {
                return Ok(address);
            }
            sleep(Duration::from_millis(20));
        }
        bail!("Envoy does not listen after {PATIENCE:?}")
    }

    /// The address of the listener `postbacks`, once the admin interface tells it and Envoy is ready.
    fn listener(&self) -> Result<Option<SocketAddr>> {
        let listeners = self.admin("/listeners")?;
        if !self.admin("/ready")?.contains("LIVE") {
            return Ok(None);
        }
        Ok(listeners.lines().find_map(|line| line.strip_prefix("postbacks::")?.trim().parse().ok()))
    }

    /// The filter's own counters, by the names that `envoy/README.md` lists, such as `swap_retries.partner.acme`.
    ///
    /// # Errors
    /// The admin interface does not answer.
    pub(crate) fn counters(&self) -> Result<Vec<(String, u64)>> {
        let stats = self.admin("/stats?type=Counters&filter=countersign")?;
        let counter = |line: &str| {
            let (name, count) = line.split_once(": ")?;
            Some((name.split_once("countersign.")?.1.to_owned(), count.trim().parse().ok()?))
        };
        Ok(stats.lines().filter_map(counter).collect())
    }

    /// What the admin interface answers, head and body.
    fn admin(&self, path: &str) -> Result<String> {
        let address: SocketAddr = fs::read_to_string(self.folder.join("admin"))?.trim().parse()?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Envoy's binary: in `$COUNTERSIGN_TOOLS`, else in `target/tools`; of several versions the newest.
fn binary() -> Result<PathBuf> {
    let tools = std::env::var_os("COUNTERSIGN_TOOLS");
    let tools = tools.map_or_else(|| workspace().join("target/tools"), PathBuf::from);
    let folders = fs::read_dir(&tools).into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("envoy-")))
        .map(|path| path.join("envoy"))
        .filter(|path| path.is_file())
        .max()
        .with_context(|| {
            format!("no Envoy in {}: run `cargo xtask bench envoy`, which installs it", tools.display())
        })
}
