//! The process of a service: listens, and spreads connections over its threads.

use std::future::Future;
use std::io::{Read as _, stdin};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::kind::Service;
use crate::native::Native;
use crate::{authz, idle, proxy};

/// Serves until standard input ends. The arguments are the service's name, its number of threads and the upstream's socket.
///
/// # Errors
/// The arguments are wrong; or the configuration does not compile; or the machine has no free port.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let name = arguments.next().context("which service?")?;
    let workers = arguments.next().context("how many threads?")?.parse()?;
    let upstream = Arc::new(PathBuf::from(arguments.next().context("which upstream?")?));
    let service = Service::ALL.into_iter().find(|service| service.name() == name);
    match service.with_context(|| format!("there is no service `{name}`"))? {
        Service::IdleHttp => listen(workers, idle::http),
        Service::IdleGrpc => listen(workers, idle::grpc),
        Service::Authz => {
            let native = Arc::new(Native::start(authz::SLOTS)?);
            listen(workers, move |stream| authz::connection(Arc::clone(&native), stream))
        }
        Service::Proxy => {
            let native = Arc::new(Native::start(proxy::SLOTS)?);
            listen(workers, move |stream| {
                proxy::connection(Arc::clone(&native), Arc::clone(&upstream), stream)
            })
        }
    }
}

/// Prints the address, and gives the connections to `workers` threads in turn.
fn listen<S, C>(workers: usize, serve: S) -> Result<()>
where
    S: Fn(TcpStream) -> C + Clone + Send + 'static,
    C: Future<Output = Result<()>> + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening")?;
    println!("{}", listener.local_addr()?);
    let mut threads = Vec::new();
    for _ in 0..workers {
        let (sender, receiver) = mpsc::unbounded_channel();
        let serve = serve.clone();
        thread::spawn(move || work(receiver, serve));
        threads.push(sender);
    }
    thread::spawn(move || {
        for (thread, stream) in threads.iter().cycle().zip(listener.incoming()) {
            thread.send(stream?)?;
        }
        Ok::<_, anyhow::Error>(())
    });
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// One thread: serves the connections that it is given.
fn work<S, C>(mut streams: mpsc::UnboundedReceiver<std::net::TcpStream>, serve: S) -> Result<()>
where
    S: Fn(TcpStream) -> C,
    C: Future<Output = Result<()>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        while let Some(stream) = streams.recv().await {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            // A connection that breaks is Envoy's to notice: its request is then refused, and the run is void.
            drop(spawn_local(serve(TcpStream::from_std(stream)?)));
        }
        Ok(())
    })
}
