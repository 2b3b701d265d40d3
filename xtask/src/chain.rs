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
/// Where Envoy listens; the listener in `envoy/envoy.yaml` names the same address.
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
    let mut envoy = Running::start("Envoy", command.args(["--log-level", "warning"]))?;
    envoy.until_it_listens(ENVOY)?;

    let target = format!("http://{ENVOY}");
    println!("    Envoy with the filter   {target}");
    println!("    the application         http://{APPLICATION}");
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

/// Envoy's configuration, with the path of the filter in this build folder.
fn configuration(context: &Context) -> Result<PathBuf> {
    let source = context.root.join("envoy/envoy.yaml");
    let text = fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
    let folder = context.target.join("envoy");
    fs::create_dir_all(&folder)?;
    let file = folder.join("envoy.yaml");
    let filter = context.wasm().join("countersign_envoy.wasm");
    fs::write(&file, with_filter(&text, &filter.display().to_string())?)?;
    Ok(file)
}

/// Replaces the file name of each line that names the filter, whatever folder the line had.
fn with_filter(text: &str, path: &str) -> Result<String> {
    let mut replaced = false;
    let lines = text.lines().map(|line| match line.split_once("filename:") {
        Some((before, name)) if name.contains("countersign_envoy.wasm") => {
            replaced = true;
            let after = if name.trim_end().ends_with('}') { " }" } else { "" };
            let closing: String = name.chars().filter(|c| *c == '}').skip(1).collect();
            format!("{before}filename: {path:?}{after}{closing}\n")
        }
        _ => format!("{line}\n"),
    });
    let text = lines.collect();
    if replaced { Ok(text) } else { bail!("envoy.yaml has no `filename: …countersign_envoy.wasm`") }
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
    use super::with_filter;

    #[test]
    fn the_filter_s_path_is_replaced_in_both_yaml_styles() {
        let block = "code:\n  local:\n    filename: target/wasm/countersign_envoy.wasm\n  x: 1\n";
        let expected = "code:\n  local:\n    filename: \"/t/f.wasm\"\n  x: 1\n";
        assert_eq!(with_filter(block, "/t/f.wasm").unwrap(), expected);
        let flow = "code: { local: { filename: target/wasm/countersign_envoy.wasm } }\n";
        assert_eq!(with_filter(flow, "/t/f.wasm").unwrap(), "code: { local: { filename: \"/t/f.wasm\" }}\n");
    }

    #[test]
    fn a_configuration_without_the_filter_is_refused() {
        assert!(with_filter("filename: other.wasm\n", "/t/f.wasm").is_err());
    }
}
