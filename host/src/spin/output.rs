//! A guest's stdout and stderr, cut into lines.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::component::Component;
use super::logs::Stream;

/// Bytes of a line that has no end yet; a longer one is cut into several.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// One of an instance's output streams.
pub(super) struct GuestOutput(Arc<Lines>);

/// The line that is being written, and where it goes.
struct Lines {
    component: Arc<Component>,
    stream: Stream,
    unfinished: Mutex<Vec<u8>>,
}

impl GuestOutput {
    pub(super) fn new(component: &Arc<Component>, stream: Stream) -> Self {
        Self(Arc::new(Lines { component: component.clone(), stream, unfinished: Mutex::default() }))
    }
}

impl Lines {
    fn write(&self, bytes: &[u8]) {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if *byte != b'\n' {
                unfinished.push(*byte);
            }
            if *byte == b'\n' || unfinished.len() == LINE_BYTES_MAX {
                self.component.shared.logs.write(
                    &self.component.id,
                    self.stream,
                    &std::mem::take(&mut *unfinished),
                );
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let unfinished = std::mem::take(self.unfinished.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !unfinished.is_empty() {
            self.component.shared.logs.write(&self.component.id, self.stream, &unfinished);
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Writer(self.0.clone()))
    }

    // As in Spin, which writes at once. wasmtime's own stream hands each write to a task and stops the instance until that has run.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer(self.0.clone()))
    }
}

/// A handle on the stream; all handles write the same lines.
struct Writer(Arc<Lines>);

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Bytes of one write, as in Spin.
const WRITE_BYTES_MAX: usize = 1 << 20;

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}
