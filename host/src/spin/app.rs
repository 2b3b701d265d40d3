//! The running application: from a request to the component that answers it, as Spin's HTTP trigger does it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme, Uri};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::{Error, WasiBody};

use super::guest::Factory;
use super::logs::{Logs, Stream};
use super::routes::{Match, Routes};

/// Paths under this prefix are Spin's own.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// Hosts under this domain name components of the application.
const CHAINING_DOMAIN: &str = "spin.internal";

/// Routes and the components behind them.
pub(super) struct Application {
    routes: Routes,
    components: BTreeMap<String, ProxyHandler<Factory>>,
    logs: Logs,
}

impl Application {
    pub(super) fn new(
        routes: Routes,
        logs: Logs,
        components: impl FnOnce(&Weak<Self>) -> BTreeMap<String, ProxyHandler<Factory>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|application| Self { routes, logs, components: components(application) })
    }

    /// Answers a request from outside.
    ///
    /// A request whose `Host` says nothing, or something else than its target, is 400 and a line of the log. Spin closes the
    /// connection there without a byte (*read*), and nobody can tell that from a crash.
    ///
    /// # Errors
    /// The application has no such component.
    pub(super) async fn receive(
        &self,
        mut request: http::Request<WasiBody>,
        scheme: Scheme,
        peer: SocketAddr,
    ) -> anyhow::Result<http::Response<WasiBody>> {
        strip(request.headers_mut());
        let path = request.uri().path();
        if let Some(name) = path.strip_prefix(WELL_KNOWN) {
            let healthy = Full::new(Bytes::from_static(b"OK")).map_err(Error::from).boxed_unsync();
            return Ok(if name == "health" {
                http::Response::new(healthy)
            } else {
                empty(http::StatusCode::NOT_FOUND)
            });
        }
        let Some(found) = self.routes.find(path) else {
            return Ok(empty(http::StatusCode::NOT_FOUND));
        };
        if let Err(error) = make_absolute(&mut request, scheme) {
            self.logs.write(&found.component, Stream::Host, format!("request refused: {error:#}").as_bytes());
            return Ok(empty(http::StatusCode::BAD_REQUEST));
        }
        self.run(found, request, peer).await
    }

    /// Answers a request that one component sends to another by name.
    ///
    /// # Errors
    /// The application has no such component, or no trigger for it.
    pub(super) async fn call(
        &self,
        component: &str,
        mut request: http::Request<WasiBody>,
        peer: SocketAddr,
    ) -> anyhow::Result<http::Response<WasiBody>> {
        let found = Match::chained(component, request.uri().path());
        make_absolute(&mut request, Scheme::HTTP)?;
        self.run(found, request, peer).await
    }

    async fn run(
        &self,
        found: Match,
        mut request: http::Request<WasiBody>,
        peer: SocketAddr,
    ) -> anyhow::Result<http::Response<WasiBody>> {
        let handler = self
            .components
            .get(&found.component)
            .with_context(|| format!("unknown component {:?}", found.component))?;
        let answered = match prepare(&mut request, &found, peer) {
            Ok(()) => handler.handle((), request).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        Ok(answered.unwrap_or_else(|error| {
            self.logs.write(&found.component, Stream::Host, format!("request failed: {error:#}").as_bytes());
            empty(http::StatusCode::INTERNAL_SERVER_ERROR)
        }))
    }
}

/// Takes away what only the listener may see; nobody outside may name a component as `Host`.
fn strip(headers: &mut http::HeaderMap) {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host
        .is_some_and(|host| chained_component(host.rsplit_once(':').map_or(host, |(name, _)| name)).is_some())
    {
        headers.remove(HOST);
    }
    headers.remove(CONNECTION);
}

/// Gives the request's URI its scheme and authority.
fn make_absolute(request: &mut http::Request<WasiBody>, scheme: Scheme) -> anyhow::Result<()> {
    let host = match request.headers().get(HOST) {
        Some(host) => Some(host.to_str()?.parse::<Authority>().context("the Host header is no authority")?),
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    parts.authority = match (host, parts.authority) {
        (None, None) => bail!("the request has no Host header"),
        (Some(host), Some(authority)) => {
            ensure!(host == authority, "the Host header differs from the URI's authority");
            Some(host)
        }
        (host, authority) => host.or(authority),
    };
    parts.scheme = Some(scheme);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

/// Appends Spin's own header fields. Those of the same name that the sender sent stay in front of them, as in Spin: a
/// component must read the last `spin-client-addr`, not the first.
fn prepare(request: &mut http::Request<WasiBody>, found: &Match, peer: SocketAddr) -> anyhow::Result<()> {
    for (name, value) in request.headers() {
        ensure!(std::str::from_utf8(value.as_bytes()).is_ok(), "the header {name} is not UTF-8");
    }
    // Over HTTP/2 there is no Host header, and Spin then says localhost.
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let full_url = format!("{}://{host}{path}", uri.scheme_str().unwrap_or("http"));
    for (name, value) in found.headers(full_url, peer.to_string()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.headers_mut().append(name, value);
        }
    }
    Ok(())
}

/// The component that a host such as `gate.spin.internal` names.
pub(super) fn chained_component(host: &str) -> Option<&str> {
    let (component, domain) = host.split_once('.')?;
    (domain == CHAINING_DOMAIN).then_some(component)
}

/// An empty reply with a status.
pub(super) fn empty(status: http::StatusCode) -> http::Response<WasiBody> {
    let mut reply = http::Response::new(Full::new(Bytes::new()).map_err(Error::from).boxed_unsync());
    *reply.status_mut() = status;
    reply
}
