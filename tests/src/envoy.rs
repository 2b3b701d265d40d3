//! The real Envoy with the filter, as a process that a test starts, asks and ends. What runs is `envoy/envoy.yaml` and its
//! `listener.yaml` as they are shipped; a test changes ports, paths, and what its [`ListenerSpec`] names, and nothing else.
//!
//! | file | what it does |
//! |---|---|
//! | `bootstrap` | `envoy.yaml` and `listener.yaml` with a test's listeners |
//! | `canary` | the upstream: records every request that arrives |
//! | `client` | a sender that controls every byte |

pub mod bootstrap;
pub mod canary;
pub mod client;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub use self::bootstrap::{Bootstrap, ListenerSpec};
pub use self::canary::{Behaviour, Canary};
pub use self::client::{Client, Response};

/// The longest that Envoy may take to start, to reload, or to write to its log.
const PATIENCE: Duration = Duration::from_secs(60);
/// Counts the files of listeners that Envoy took up.
const TAKEN: &str = "listener_manager.lds.update_success";
/// Counts those that it refused.
const REFUSED: &str = "listener_manager.lds.update_rejected";
/// How long it gets to end by itself.
const GOODBYE: Duration = Duration::from_secs(5);

/// A running Envoy; it ends with this value, and its folder goes with it.
#[derive(Debug)]
pub struct EnvoyProcess {
    child: Child,
    folder: Folder,
    bootstrap: Bootstrap,
    admin: SocketAddr,
    addresses: Vec<SocketAddr>,
}

impl EnvoyProcess {
    /// Starts Envoy and waits until every listener listens.
    ///
    /// # Errors
    /// Envoy, the filter or the clock is missing (the message has the remedy), or Envoy does not start: then its log is in the message.
    pub fn start(bootstrap: Bootstrap) -> Result<Self> {
        let folder = Folder::new()?;
        write_listeners(&bootstrap, &folder)?;
        let child = spawn(&bootstrap, &folder, "serve", &bootstrap.document(&folder.0)?)?;
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self { child, folder, bootstrap, admin, addresses: Vec::new() };
        envoy.admin = envoy.until("the admin interface", |envoy| {
            Ok(fs::read_to_string(envoy.folder.path("admin")).ok().and_then(|text| text.trim().parse().ok()))
        })?;
        envoy.addresses = envoy.until("its listeners", Self::listening)?;
        Ok(envoy)
    }

    /// Lets Envoy check a bootstrap without serving it, listeners and filters included; whether it takes it, and its log.
    ///
    /// # Errors
    /// Envoy or the filter is missing.
    pub fn validate(bootstrap: &Bootstrap) -> Result<(bool, String)> {
        let folder = Folder::new()?;
        let document = bootstrap.whole_document(&folder.0)?;
        let status = spawn(bootstrap, &folder, "validate", &document)?.wait()?;
        Ok((status.success(), fs::read_to_string(folder.path("log"))?))
    }

    /// Starts Envoy with a bootstrap that it must refuse, as an operator would who did not check it; its log.
    ///
    /// # Errors
    /// Envoy or the filter is missing, or Envoy serves it.
    pub fn refusal(bootstrap: &Bootstrap) -> Result<String> {
        let folder = Folder::new()?;
        let document = bootstrap.whole_document(&folder.0)?;
        let mut child = spawn(bootstrap, &folder, "serve", &document)?;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(folder.path("log"))?;
                return if status.success() { bail!("Envoy ended in order:\n{log}") } else { Ok(log) };
            }
            sleep(Duration::from_millis(10));
        }
        child.kill()?;
        child.wait()?;
        bail!("Envoy serves what it must refuse")
    }

    /// Where listener `index` of [`Bootstrap::listeners`] listens.
    ///
    /// # Panics
    /// Where there is no such listener.
    #[must_use]
    pub fn address(&self, index: usize) -> SocketAddr {
        self.addresses[index]
    }

    /// A new connection to a listener.
    ///
    /// # Errors
    /// Envoy does not accept it.
    pub fn connect(&self, index: usize) -> Result<Client> {
        Client::connect(self.address(index), None)
    }

    /// Sets the clock of the whole process; needs [`Bootstrap::clock_ms`].
    ///
    /// # Errors
    /// The process was started with the machine's clock.
    pub fn set_clock_ms(&self, milliseconds: u64) -> Result<()> {
        if self.bootstrap.clock_ms.is_none() {
            bail!("this Envoy runs on the machine's clock: set Bootstrap::clock_ms");
        }
        write_clock(&self.folder.path("clock"), milliseconds)
    }

    /// What the admin interface answers, such as `/stats/prometheus`.
    ///
    /// # Errors
    /// It does not answer 200.
    pub fn admin_get(&self, path: &str) -> Result<String> {
        let mut client = Client::connect(self.admin, None)?;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").as_bytes())?;
        let response = client.response()?;
        if response.status != 200 {
            bail!("the admin interface answers {path} with {}", response.status);
        }
        Ok(response.text())
    }

    /// What Envoy has logged, the filter's lines included.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path("log"))?)
    }

    /// The lines of the access log that are written by now, for all listeners.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not JSON.
    pub fn access_log(&self) -> Result<Vec<serde_json::Value>> {
        let text = fs::read_to_string(self.folder.path("access")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).context("a line of the access log"));
        lines.collect()
    }

    /// Waits until the access log has `count` lines; Envoy writes it every second.
    ///
    /// # Errors
    /// It has fewer after a minute.
    pub fn access_log_of(&self, count: usize) -> Result<Vec<serde_json::Value>> {
        let started = Instant::now();
        loop {
            let lines = self.access_log()?;
            if lines.len() >= count {
                return Ok(lines);
            }
            if started.elapsed() > PATIENCE {
                bail!("the access log has {} lines, not {count}", lines.len());
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Puts `listeners` in place of the present ones, and waits until Envoy has taken them up.
    ///
    /// # Errors
    /// Envoy refuses them; its log says why.
    pub fn reload(&mut self, listeners: Vec<ListenerSpec>) -> Result<()> {
        let taken = self.counter(TAKEN)?;
        let refused = self.counter(REFUSED)?;
        self.bootstrap.listeners = listeners;
        write_listeners(&self.bootstrap, &self.folder)?;
        self.until("the new listeners", |envoy| {
            if envoy.counter(REFUSED)? > refused {
                bail!("Envoy refuses the listeners. Its log:\n{}", envoy.log()?);
            }
            let warm = envoy.counter("listener_manager.total_listeners_warming")? == 0;
            Ok((warm && envoy.counter(TAKEN)? > taken).then_some(()))
        })?;
        self.addresses = self.until("its listeners", Self::listening)?;
        Ok(())
    }

    /// A counter or gauge of Envoy's, by its whole name; 0 where it does not exist.
    ///
    /// # Errors
    /// The admin interface does not answer.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let text = self.admin_get(&format!("/stats?filter=^{name}$"))?;
        Ok(text.lines().find_map(|line| line.rsplit_once(": ")?.1.parse().ok()).unwrap_or(0))
    }

    /// Where the listeners listen, in order; none as long as one is missing.
    fn listening(&mut self) -> Result<Option<Vec<SocketAddr>>> {
        let Ok(text) = self.admin_get("/listeners") else { return Ok(None) };
        if self.addresses.is_empty() && self.counter(REFUSED)? > 0 {
            bail!("Envoy refuses the listeners. Its log:\n{}", self.log()?);
        }
        let address = |index: usize| {
            let prefix = format!("listener_{index}::");
            text.lines().find_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok())
        };
        let ready = self.admin_get("/ready").is_ok();
        Ok((0..self.bootstrap.listeners.len()).map(address).collect::<Option<_>>().filter(|_| ready))
    }

    fn until<T>(&mut self, what: &str, mut probe: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(found) = probe(self)? {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("Envoy ended ({status}) before {what} was there. Its log:\n{}", self.log()?);
            }
            sleep(Duration::from_millis(10));
        }
        bail!("{what} was not there after {PATIENCE:?}. Envoy's log:\n{}", self.log()?)
    }
}

impl Drop for EnvoyProcess {
    fn drop(&mut self) {
        // Asked by its own interface, Envoy closes its connections; one that does not end is killed.
        let asked = Client::connect(self.admin, None).and_then(|mut client| {
            client.send(b"POST /quitquitquit HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n")
        });
        let started = Instant::now();
        while asked.is_ok() && started.elapsed() < GOODBYE {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

fn spawn(bootstrap: &Bootstrap, folder: &Folder, mode: &str, document: &serde_json::Value) -> Result<Child> {
    fs::write(folder.path("envoy.json"), serde_json::to_vec(document)?)?;
    let log = File::create(folder.path("log"))?;
    let version = bootstrap.version.unwrap_or_default();
    let mut command = Command::new(tool("Envoy", &format!("envoy-{version}"), "envoy")?);
    command
        .args(["--mode", mode, "--use-dynamic-base-id", "--disable-hot-restart", "--drain-time-s", "1"])
        .args(["--log-level", "warning", "--concurrency", &bootstrap.concurrency.to_string()])
        .arg("--config-path")
        .arg(folder.path("envoy.json"))
        .arg("--admin-address-path")
        .arg(folder.path("admin"))
        .envs(&bootstrap.environment)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(milliseconds) = bootstrap.clock_ms {
        let clock = folder.path("clock");
        fs::write(&clock, [0; 8])?;
        write_clock(&clock, milliseconds)?;
        command
            .env("LD_PRELOAD", tool("the clock", "clock", "wall_clock.so")?)
            .env("COUNTERSIGN_CLOCK_FILE", clock);
    }
    command.spawn().context("starting Envoy")
}

/// Envoy takes a file of listeners up when another is renamed over it.
fn write_listeners(bootstrap: &Bootstrap, folder: &Folder) -> Result<()> {
    let next = folder.path("listeners.next");
    fs::write(&next, serde_json::to_vec(&bootstrap.listeners(&folder.0)?)?)?;
    fs::rename(next, folder.path("listeners.json")).context("replacing the listeners")
}

/// Writes the time in place: the file is mapped into Envoy, and another file of that name would not be seen.
fn write_clock(path: &Path, milliseconds: u64) -> Result<()> {
    let milliseconds = i64::try_from(milliseconds)?;
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(&milliseconds.to_ne_bytes())
        .context("setting the clock")
}

/// A file of the tools' folder: `$COUNTERSIGN_TOOLS`, else `target/tools`.
fn tool(what: &str, folder: &str, file: &str) -> Result<PathBuf> {
    let tools = std::env::var_os("COUNTERSIGN_TOOLS").map_or_else(|| target().join("tools"), PathBuf::from);
    let mut folders: Vec<_> = fs::read_dir(&tools)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(folder)))
        .filter(|path| path.join(file).is_file())
        .collect();
    folders.sort();
    let found = folders.pop().map(|folder| folder.join(file));
    found.with_context(|| {
        format!("{what} is not in {}: run `cargo xtask test`, which installs it", tools.display())
    })
}

/// The folder in which node finds the packages of the interop tests.
///
/// # Errors
/// They are not installed; the message has the remedy.
pub fn node_packages() -> Result<PathBuf> {
    let manifest = tool("jose", "npm", "node_modules/jose/package.json")?;
    Ok(manifest.ancestors().nth(3).unwrap_or(&manifest).to_owned())
}

/// The filter that the tests load: in `$COUNTERSIGN_WASM`, else in `target/wasm`.
///
/// # Errors
/// It is not built; the message has the remedy.
pub fn filter() -> Result<PathBuf> {
    let folder = std::env::var_os("COUNTERSIGN_WASM").map_or_else(|| target().join("wasm"), PathBuf::from);
    let file = folder.join("countersign_envoy.wasm");
    if file.is_file() {
        return Ok(file);
    }
    bail!("{} is not built: run `cargo xtask test`, or `cargo xtask build`", file.display())
}

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

fn target() -> PathBuf {
    workspace().join("target")
}

/// A folder of one process; it is removed with the value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("countersign-envoy-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}
