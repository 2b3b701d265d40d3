//! The upstream behind Envoy: it records every request that arrives, and answers as it is told.

use std::collections::VecDeque;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// It answers.
    Reply(Reply),
    /// It answers after a while.
    Late(Duration, Reply),
    /// It sends these bytes, and closes the connection where they have to end so.
    Raw {
        /// The whole answer.
        bytes: Vec<u8>,
        /// Whether the end of the connection is the end of the answer.
        closes: bool,
    },
    /// It resets the connection before it answers.
    Reset,
    /// It does not answer as long as the proxy waits.
    Silent,
}

/// An answer of the upstream.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Name and value, without `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body; with 204 it must be empty.
    pub body: Vec<u8>,
}

impl Behaviour {
    /// An answer with a body of the upstream's own.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let body = if status == 204 { Vec::new() } else { b"the upstream's own body".to_vec() };
        Self::Reply(Reply { status, headers: Vec::new(), body })
    }
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of the one header field of that name; none where there is no such field, or more than one.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter().filter(|(field, _)| field == name);
        let (_, value) = fields.next()?;
        fields.next().is_none().then_some(value).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// An upstream on a port of its own; it ends with this value.
#[derive(Debug)]
pub struct Canary {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    script: VecDeque<Behaviour>,
    connections: Vec<TcpStream>,
    over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Canary {
    /// Starts to listen on 127.0.0.1. Without a script it answers 200.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("a port for the canary")?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut state = server.state();
                if state.over {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(connection) = stream.try_clone() {
                    state.connections.push(connection);
                }
                let connection = Arc::clone(&server);
                thread::spawn(move || {
                    // A connection that fails is Envoy's to report.
                    let _ended = serve(&stream, &connection);
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does with the next requests, in their order; after that it answers 200 again.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.state().script.extend(behaviours);
    }

    /// What it does with the next request, in place of what was scripted before; after that it answers 200 again.
    pub fn instead(&self, behaviour: Behaviour) {
        let mut state = self.shared.state();
        state.script.clear();
        state.script.push_back(behaviour);
    }

    /// Every request that has arrived, and forgets them.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.state().seen)
    }

    /// Whether a request has arrived that was not taken yet.
    #[must_use]
    pub fn has_seen(&self) -> bool {
        !self.shared.state().seen.is_empty()
    }

    /// Waits until `count` requests have arrived that were not taken yet.
    ///
    /// # Errors
    /// They have not after ten seconds.
    pub fn wait_for(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut state = self.shared.state();
        while state.seen.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the canary has seen {} requests, not {count}", state.seen.len());
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let connections = {
            let mut state = self.shared.state();
            state.over = true;
            std::mem::take(&mut state.connections)
        };
        for connection in connections {
            let _closed_already = connection.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _not_listening = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let behaviour = {
            let mut state = shared.state();
            state.seen.push(request);
            shared.changed.notify_all();
            state.script.pop_front().unwrap_or_else(|| Behaviour::status(200))
        };
        match behaviour {
            Behaviour::Reply(reply) => write_reply(stream, &reply)?,
            Behaviour::Late(after, reply) => {
                thread::sleep(after);
                write_reply(stream, &reply)?;
            }
            Behaviour::Raw { bytes, closes } => {
                (&mut &*stream).write_all(&bytes).context("answering")?;
                if closes {
                    stream.shutdown(Shutdown::Both)?;
                    return Ok(());
                }
            }
            Behaviour::Reset => {
                socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
                // The last handle closes the socket: the canary's own goes first.
                let address = stream.peer_addr()?;
                shared.state().connections.retain(|other| other.peer_addr().ok() != Some(address));
                return Ok(());
            }
            Behaviour::Silent => {
                // Ends when the proxy closes the connection.
                let _closed = std::io::copy(&mut reader, &mut std::io::sink());
                return Ok(());
            }
        }
    }
    Ok(())
}

fn write_reply(mut stream: &TcpStream, reply: &Reply) -> Result<()> {
    let mut bytes = format!("HTTP/1.1 {} Canary\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if reply.status != 204 {
        bytes.extend_from_slice(format!("content-length: {}\r\n", reply.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&reply.body);
    stream.write_all(&bytes).context("answering")
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Result<Option<Seen>> {
    let Some(line) = read_line(reader)? else { return Ok(None) };
    let line = String::from_utf8(line)?;
    let mut words = line.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { bail!("not a request: {line}") };
    let mut request =
        Seen { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() };
    loop {
        let line = read_line(reader)?.context("cut off in the headers")?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').context("a header without a colon")?;
        let name = String::from_utf8(line[..colon].to_ascii_lowercase())?;
        request.headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = request.header("content-length") {
        let mut body = vec![0; length.parse()?];
        reader.read_exact(&mut body)?;
        request.body = body;
    }
    Ok(Some(request))
}

/// A line without its end; none at the end of the stream.
pub(super) fn read_line(reader: &mut impl std::io::BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let end = line.strip_suffix(b"\r\n").context("a line without its end")?.len();
    line.truncate(end);
    Ok(Some(line))
}

/// A chunked body, its trailers thrown away.
pub(super) fn read_chunks(reader: &mut impl std::io::BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = String::from_utf8(read_line(reader)?.context("cut off in a chunk")?)?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
        if size == 0 {
            while read_line(reader)?.is_some_and(|line| !line.is_empty()) {}
            return Ok(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        read_line(reader)?;
    }
}
