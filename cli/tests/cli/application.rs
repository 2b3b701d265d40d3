//! The application as `countersign up` runs it, over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::{built, countersign, program};

/// The secret `sandbox_acme` of every application here.
pub(crate) const SECRET: &str = "the-secret-of-acme-for-tests-alone";

/// The folder of the wasm files.
pub(crate) fn wasm(test: &str) -> Option<PathBuf> {
    built(test, "COUNTERSIGN_WASM", "wasm", "gate.wasm")?.parent().map(Path::to_owned)
}

/// An application that runs.
pub(crate) struct Up {
    pub(crate) child: Child,
    pub(crate) lines: std::io::Lines<BufReader<ChildStdout>>,
    pub(crate) announced: Vec<String>,
    pub(crate) base: String,
    pub(crate) curl: String,
}

impl Up {
    /// Starts it on a free port and reads what it announces.
    pub(crate) fn start(wasm: &Path, state: &Path) -> Self {
        Self::start_with(wasm, state, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(wasm: &Path, state: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["up", "--listen", "127.0.0.1:0", "--state"]).arg(state).args(arguments);
        command.env("COUNTERSIGN_WASM", wasm).env("sandbox_acme", SECRET);
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced: Vec<String> =
            lines.by_ref().map(|line| line.unwrap()).take_while(|line| !line.starts_with("Ctrl-C")).collect();
        let address =
            announced.iter().find_map(|line| line.trim().strip_prefix("postbacks")).expect("an address");
        let base = address.trim().trim_end_matches("/postback/{partner}").to_owned();
        let curl = announced
            .iter()
            .skip_while(|line| !line.starts_with("curl"))
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        Self { child, lines, announced, base, curl }
    }

    /// Sends a request and answers status and body.
    pub(crate) fn send(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.base.trim_start_matches("http://")).unwrap();
        let request = format!(
            "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("content-length:"), "{head}");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// Signs a payload as the sandbox and posts it.
    pub(crate) fn post(&self, payload: &str) -> (u16, String) {
        let headers = countersign(&["sign", "--sandbox"]).input(payload).stdout();
        let head = format!(
            "POST /postback/sandbox HTTP/1.1\r\ncontent-type: application/json\r\n{}",
            headers.trim()
        );
        self.send(&head, payload)
    }

    /// Ends it as Ctrl-C does, and answers its exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        program(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
