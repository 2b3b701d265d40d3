//! A sender that controls every byte, over plain text or whatever stream it is given.

use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, Socket, Type};

use super::canary::{read_chunks, read_line};

/// The longest that a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a listener.
#[derive(Debug)]
pub struct Client<S: Read + Write = TcpStream> {
    stream: BufReader<S>,
    /// Whether the request was `HEAD`, whose answer has no body.
    head: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// How many interim answers (1xx) came first.
    pub interim: usize,
}

impl Response {
    /// The value of the one header field of that name; none where there is no such field, or more than one.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter().filter(|(field, _)| field == name);
        let (_, value) = fields.next()?;
        fields.next().is_none().then_some(value).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is not.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    /// Connects, from an address in 127.0.0.0/8 where one is given.
    ///
    /// # Errors
    /// The address is not this machine's, or nobody listens.
    pub fn connect(to: SocketAddr, from: Option<IpAddr>) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        // A bound socket takes a port for itself; an unbound one shares it with connections to other addresses, and is sent from
        // `to`'s own address here.
        if let Some(from) = from.filter(|from| *from != to.ip()) {
            socket.bind(&SocketAddr::new(from, 0).into()).with_context(|| format!("sending from {from}"))?;
        }
        socket.connect(&to.into()).with_context(|| format!("connecting to {to}"))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    /// The connection itself, to be closed in odd ways.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

impl<S: Read + Write> Client<S> {
    /// A sender over a stream of its own, such as TLS.
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream), head: false }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.head = bytes.starts_with(b"HEAD ");
        let stream = self.stream.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).context("sending")
    }

    /// The next answer.
    ///
    /// # Errors
    /// The connection ends first, half a minute passes, or what comes is not HTTP/1.
    pub fn response(&mut self) -> Result<Response> {
        let mut interim = 0;
        loop {
            let line = read_line(&mut self.stream)?.context("the connection was closed without an answer")?;
            let line = String::from_utf8(line)?;
            let status = line.strip_prefix("HTTP/1.1 ").with_context(|| format!("not an answer: {line}"))?;
            let status = status.split(' ').next().unwrap_or_default().parse()?;
            let headers = self.headers()?;
            if status < 200 {
                interim += 1;
                continue;
            }
            let mut response = Response { status, headers, body: Vec::new(), interim };
            response.body = self.body(&response)?;
            return Ok(response);
        }
    }

    fn headers(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut headers = Vec::new();
        loop {
            let line = read_line(&mut self.stream)?.context("cut off in the headers")?;
            if line.is_empty() {
                return Ok(headers);
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                bail!("a header without a colon")
            };
            let name = String::from_utf8(line[..colon].to_ascii_lowercase())?;
            headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    fn body(&mut self, response: &Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.head || response.status == 204 || response.status == 304 {
            return Ok(body);
        }
        if response.header("transfer-encoding") == Some("chunked") {
            return read_chunks(&mut self.stream);
        }
        match response.header("content-length") {
            Some(length) => {
                body.resize(length.parse()?, 0);
                self.stream.read_exact(&mut body).context("cut off in the body")?;
            }
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }
}
