//! The application over real HTTP/1.1 and h2c.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::uri::Scheme;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::app::Application;

/// How long a stop waits for requests under way.
const GRACE: Duration = Duration::from_secs(10);

/// A listener that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    stop: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Serving {
    pub(super) async fn start(application: Arc<Application>, address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        let accepting = tokio::spawn(accept(listener, application, stopped));
        Ok(Self { address, stop, accepting })
    }

    /// The address bound, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, lets the requests under way finish (for 10 s at the most), and returns.
    pub async fn stop(self) {
        drop(self.stop);
        // The task ends by itself; it fails only if the runtime goes away, and then there is nothing left to wait for.
        _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, application: Arc<Application>, mut stopped: watch::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, peer)) => serve(stream, peer, application.clone(), &graceful),
            // Out of descriptors, or a peer that is gone already: the listener itself is sound.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop(listener);
    // Whoever has not finished by then is cut off with the runtime.
    _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

fn serve(stream: TcpStream, peer: SocketAddr, application: Arc<Application>, graceful: &GracefulShutdown) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let application = application.clone();
        let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
        answer(application, request, peer)
    });
    let connection =
        Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    // A connection that breaks is its sender's loss, and no news.
    tokio::spawn(async move { _ = connection.await });
}

/// A boxed future: the compiler cannot name the service's own.
type Answer = Pin<Box<dyn Future<Output = anyhow::Result<http::Response<WasiBody>>> + Send>>;

fn answer(application: Arc<Application>, request: http::Request<WasiBody>, peer: SocketAddr) -> Answer {
    Box::pin(async move { application.receive(request, Scheme::HTTP, peer).await })
}
