//! A sender as cheap as can be: one thread, so many connections, one request under way on each, every answer looked at.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::postbacks::Batch;

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a request is sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as a connection is free.
    Unbounded,
    /// At instants of its own, so many a second. One whose connection is late is measured from its instant all the same.
    PerSecond(u32),
}

/// What every answer must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The status.
    pub status: &'static str,
    /// What its head or its body has.
    pub text: &'static str,
}

impl Expected {
    /// A 200 with a text.
    #[must_use]
    pub const fn ok(text: &'static str) -> Self {
        Self { status: "200", text }
    }
}

/// How a batch went.
pub struct Load {
    /// From the first request to the last answer.
    pub took: Duration,
    /// Of each request, in microseconds, sorted.
    pub latencies_us: Vec<u32>,
}

impl Load {
    /// Requests by the second, over the whole batch.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency, in milliseconds, that a share of the requests did not exceed.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let index = (self.latencies_us.len() as f64 * share) as usize;
        let index = index.min(self.latencies_us.len().saturating_sub(1));
        self.latencies_us.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
    }
}

/// Sends the whole batch over `connections` connections.
///
/// # Errors
/// An answer is not the one that is expected: then nothing was measured.
pub fn send(
    to: SocketAddr,
    batch: Rc<Batch>,
    connections: usize,
    pace: Pace,
    expected: Expected,
) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let next = Rc::new(Cell::new(0_usize));
        let mut senders = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(to).await.context("connecting")?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let started = Instant::now();
        for stream in streams {
            let (batch, next) = (Rc::clone(&batch), Rc::clone(&next));
            senders.push(tokio::task::spawn_local(connection(
                stream,
                batch,
                next,
                (started, pace),
                expected,
            )));
        }
        let mut latencies_us = Vec::with_capacity(batch.len());
        for sender in senders {
            latencies_us.extend(sender.await??);
        }
        let took = started.elapsed();
        latencies_us.sort_unstable();
        Ok(Load { took, latencies_us })
    })
}

async fn connection(
    mut stream: TcpStream,
    batch: Rc<Batch>,
    next: Rc<Cell<usize>>,
    (first, pace): (Instant, Pace),
    expected: Expected,
) -> Result<Vec<u32>> {
    let mut latencies_us = Vec::with_capacity(batch.len() / 16);
    let mut answer = Vec::with_capacity(4096);
    loop {
        let index = next.get();
        if index >= batch.len() {
            return Ok(latencies_us);
        }
        next.set(index + 1);
        let started = match pace {
            Pace::Unbounded => Instant::now(),
            Pace::PerSecond(count) => {
                let at = first + Duration::from_secs_f64(index as f64 / f64::from(count));
                tokio::time::sleep_until(at.into()).await;
                at
            }
        };
        stream.write_all(batch.request(index)).await?;
        tokio::time::timeout(PATIENCE, read_answer(&mut stream, &mut answer))
            .await
            .context("no answer")??;
        latencies_us.push(u32::try_from(started.elapsed().as_micros())?);
        let text = String::from_utf8_lossy(&answer);
        let is_status = text.get(..12).is_some_and(|line| line.ends_with(expected.status));
        if !is_status || !text.contains(expected.text) {
            bail!("the run is void: a request was answered\n{text}");
        }
    }
}

/// Reads one answer, which has a `content-length`, and nothing behind it.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the connection was closed after\n{}", String::from_utf8_lossy(answer));
        }
        let Some(length) = length(answer)? else { continue };
        if answer.len() >= length {
            return Ok(());
        }
    }
}

/// Bytes of head and body together; `None` where the head is not over yet.
///
/// # Errors
/// The head is no text, or has no `content-length`.
pub fn length(message: &[u8]) -> Result<Option<usize>> {
    let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&message[..end])?;
    let value = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    let body: usize = value.with_context(|| format!("no content-length:\n{head}"))?.parse()?;
    Ok(Some(end + 4 + body))
}
