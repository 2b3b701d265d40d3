//! Outbound HTTP: what `allowed_outbound_hosts` permits, calls between components of the application, and faults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};

use http::uri::{Scheme, Uri};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::allowed_hosts::AllowedHosts;
use super::app::{Application, chained_component};
use super::component::Component;
use super::logs::Stream;
use crate::fault::Fault;

/// The peer that a component sees when another one of the application calls it, as in Spin.
const CHAINED_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// The peer of a request that an application sends to itself.
const SELF_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// One component's way out.
#[derive(Clone)]
pub(super) struct Outbound {
    pub(super) component: Arc<Component>,
    pub(super) allowed: Arc<AllowedHosts>,
    pub(super) application: Weak<Application>,
}

/// A reply, and what comes of the connection after it.
type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let outbound = self.clone();
        Box::new(async move {
            match outbound.component.shared.faults.strike("http.send") {
                None => outbound.send(request, options).await,
                Some(Fault::Error) => Err(Error::ConnectionRefused),
                Some(Fault::Conflict) => Err(Error::ConnectionReadTimeout),
                Some(Fault::Garbage(bytes)) => Ok(plain(http::Response::new(
                    Full::new(bytes.into()).map_err(Error::from).boxed_unsync(),
                ))),
                Some(Fault::ErrorAfterEffect) => {
                    let (reply, _) = outbound.send(request, options).await?;
                    reply.into_body().collect().await?;
                    Err(Error::ConnectionTerminated)
                }
            }
        })
    }
}

impl Outbound {
    async fn send(
        &self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Sent, Error> {
        // A relative URL reaches the host with an empty authority.
        let host = request.uri().authority().map(|authority| authority.host().to_owned()).unwrap_or_default();
        let to_self = host.is_empty() || host == "self.alt";
        let allowed = if to_self { self.allowed.allows_self() } else { self.allowed.allows(request.uri()) };
        if !allowed {
            let line = format!(
                "{}: not in allowed_outbound_hosts of component.{}",
                request.uri(),
                self.component.id
            );
            self.component.shared.logs.write(&self.component.id, Stream::Host, line.as_bytes());
            return Err(Error::HttpRequestDenied);
        }
        if to_self {
            let own = format!(
                "http://localhost{}",
                request.uri().path_and_query().map_or("/", |path| path.as_str())
            );
            *request.uri_mut() = own.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
            request.headers_mut().remove(http::header::HOST);
            return Ok(plain(
                self.application()?.receive(request, Scheme::HTTP, SELF_PEER).await.map_err(internal)?,
            ));
        }
        if let Some(component) = chained_component(&host) {
            request.headers_mut().remove(http::header::HOST);
            return Ok(plain(
                self.application()?.call(component, request, CHAINED_PEER).await.map_err(internal)?,
            ));
        }
        let (reply, rest) = wasmtime_wasi_http::default_send_request(request, options).await?;
        Ok((reply.map(|body| body.boxed_unsync()), Box::new(rest)))
    }

    fn application(&self) -> Result<Arc<Application>, Error> {
        self.application
            .upgrade()
            .ok_or_else(|| Error::InternalError(Some("the application is stopping".to_owned())))
    }
}

/// A reply with nothing to come after it.
fn plain(reply: http::Response<WasiBody>) -> Sent {
    (reply, Box::new(std::future::ready(Ok(()))))
}

fn internal(error: anyhow::Error) -> Error {
    Error::InternalError(Some(format!("{error:#}")))
}
