//! `cargo xtask envoy`: the real Envoy with the filter, and the application's inbox behind it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::context::{Context, fresh_folder};
use crate::{process, test};

/// What to do when the chain does not start.
pub(crate) const REMEDY: &str =
    "read the last lines of both programs above; ports 3000 and 10000 of 127.0.0.1 must be free";

/// Where the application listens; the cluster in `envoy/envoy.yaml` names the same address.
const APPLICATION: &str = "127.0.0.1:3000";
/// Where Envoy listens; the listener in `envoy/listener.yaml` names the same address.
const ENVOY: &str = "127.0.0.1:10000";
/// The longest that a program may take until it listens.
const START_SECONDS_MAX: u64 = 60;

/// Starts the chain. With `--once` it plays the reference flow through Envoy and ends; else it runs until a program
/// ends or the terminal interrupts it.
///
/// # Errors
/// A program does not start or does not listen in time, or an answer of the flow is wrong.
pub(crate) fn run(context: &Context, envoy: &Path, countersign: &Path, arguments: &[String]) -> Result<()> {
    for address in [APPLICATION, ENVOY] {
        if listens(address)? {
            bail!("something listens on {address} already");
        }
    }
    let once = arguments.iter().any(|argument| argument == "--once");
    let mut command = Command::new(countersign);
    command.args(["up", "--listen", APPLICATION]).current_dir(&context.root);
    if once {
        let state = context.target.join("envoy/state");
        fresh_folder(&state)?;
        command.arg("--state").arg(state);
    }
    test::with_artefacts(context, &mut command);
    let mut application = Running::start("the application", command)?;
    application.until_it_listens(APPLICATION)?;

    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(configuration(context)?).current_dir(&context.root);
    // What is shipped is the sandbox, and it takes nothing without this.
    command.env("COUNTERSIGN_SANDBOX", "1");
    let mut envoy = Running::start("Envoy", command.args(["--log-level", "warning"]))?;
    envoy.until_it_listens(ENVOY)?;

    let target = format!("http://{ENVOY}");
    println!("    Envoy with the filter   {target}");
    println!("    the application         http://{APPLICATION}");
    println!("    the watched listener    {}", context.target.join("envoy/listener.yaml").display());
    if once {
        let mut flow = Command::new(countersign);
        flow.args(["up", "--once", "--against", &target]).current_dir(&context.root);
        return process::run(&mut flow);
    }
    println!("    A postback to paste:");
    process::run(Command::new(countersign).args(["sign", "--sandbox", "--sample", "--curl", &target]))?;
    println!("    Ctrl-C ends both.");
    loop {
        application.still_runs()?;
        envoy.still_runs()?;
        sleep(Duration::from_millis(200));
    }
}

/// Envoy's two files with the paths of this build folder. The listener is watched: rename another over it, and Envoy takes it up.
fn configuration(context: &Context) -> Result<PathBuf> {
    let folder = context.target.join("envoy");
    fs::create_dir_all(&folder)?;
    let listener = folder.join("listener.yaml");
    let filter = context.wasm().join("countersign_envoy.wasm");
    write_with(context, "listener.yaml", "target/wasm/countersign_envoy.wasm", &filter, &listener)?;
    let file = folder.join("envoy.yaml");
    write_with(context, "envoy.yaml", "envoy/listener.yaml", &listener, &file)?;
    Ok(file)
}

/// Writes a file of `envoy/` with another path in the place of the shipped one.
fn write_with(context: &Context, name: &str, shipped: &str, path: &Path, file: &Path) -> Result<()> {
    let source = context.root.join("envoy").join(name);
    let text = fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
    if text.matches(shipped).count() != 1 {
        bail!("{name} does not name {shipped} once");
    }
    let text = text.replace(shipped, &format!("{:?}", path.display().to_string()));
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

fn listens(address: &str) -> Result<bool> {
    let address: SocketAddr = address.parse()?;
    Ok(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
}

/// A program that ends with this one.
#[derive(Debug)]
struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    fn start(name: &'static str, mut command: impl std::borrow::BorrowMut<Command>) -> Result<Self> {
        let command = command.borrow_mut();
        let child = command.spawn().with_context(|| format!("starting {}", process::describe(command)))?;
        Ok(Self { name, child })
    }

    fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended ({status})", self.name),
            None => Ok(()),
        }
    }

    fn until_it_listens(&mut self, address: &str) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(START_SECONDS_MAX) {
            self.still_runs()?;
            if listens(address)? {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        bail!("{} does not listen on {address} after {START_SECONDS_MAX} s", self.name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::write_with;
    use crate::context::Context;

    #[test]
    fn the_shipped_files_name_each_path_once() {
        let context = Context::find().unwrap();
        let folder = std::env::temp_dir().join(format!("countersign-chain-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, path) = (folder.join("out.yaml"), folder.join("a path"));
        for (name, shipped) in
            [("listener.yaml", "target/wasm/countersign_envoy.wasm"), ("envoy.yaml", "envoy/listener.yaml")]
        {
            write_with(&context, name, shipped, &path, &file).unwrap();
            assert!(fs::read_to_string(&file).unwrap().contains(path.to_str().unwrap()), "{name}");
        }
        assert!(write_with(&context, "envoy.yaml", "no such path", &path, &file).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
