//! A Spin application, run from its own `spin.toml` and its own wasm files as Spin runs it.
//!
//! What Spin does with a request is in `app` and `routes`, how long an instance lives in `guest`, and each interface
//! in a file of its own. Deviations from Spin are said where they are; `docs/hosts.md` lists them.

mod allowed_hosts;
mod app;
mod bindings;
mod component;
mod files;
mod guest;
mod key_value;
mod key_value_file;
mod link;
mod logs;
mod manifest;
mod outbound;
mod output;
mod redis;
mod routes;
mod server;
mod spin_variables;
mod sqlite;
mod state;
mod stream;
mod strike;
mod variables;
mod wasi_keyvalue;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::Scheme;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use wasmtime::component::Component as Wasm;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::handler::ProxyHandler;

pub use self::logs::{LogLine, Logs, Stream};
pub use self::server::Serving;
pub use self::state::State;
pub use self::variables::variables_from_environment;

use self::allowed_hosts::AllowedHosts;
use self::app::Application;
use self::component::{Component, Random, Shared};
use self::guest::{Factory, REQUESTS_AT_A_TIME};
use self::key_value_file::KeyValueFile;
use self::manifest::{Manifest, Route, Source};
use self::outbound::Outbound;
use self::routes::Routes;
use self::variables::Variables;
use crate::clock::Clock;
use crate::fault::Faults;
use crate::http::{HttpReply, HttpRequest};

/// What a run of an application is given besides its manifest.
pub struct SpinOptions {
    /// Values of the application's `[variables]`; see [`variables_from_environment`]. Names that the manifest does not have are ignored, as in Spin.
    pub variables: BTreeMap<String, String>,
    /// Where SQLite databases and key-value stores live.
    pub state: State,
    /// Labels of SQLite databases besides `default`, which a runtime configuration file defines for Spin.
    pub databases: BTreeSet<String>,
    /// Labels of key-value stores besides `default`, likewise.
    pub stores: BTreeSet<String>,
    /// The wall clock that components see. Timers and the monotonic clock stay the machine's.
    pub clock: Clock,
    /// Faults of host calls: `sqlite.open`, `sqlite.execute`, `key_value.{open,get,set,delete,exists,get_keys}`,
    /// `wasi_keyvalue.{open,get,set,delete,exists,list_keys,get_many,set_many,delete_many,increment,current,swap}`,
    /// `redis.{open,…}`, `variables.get`, `http.send`.
    pub faults: Faults,
    /// Requests that one instance serves at a time, at least 1; Spin's `--max-instance-concurrent-reuse-count`.
    pub requests_at_a_time: usize,
    /// Seeds the random bytes that components get; `None` takes them from the system.
    pub seed: Option<u64>,
    /// Where output and failures go.
    pub logs: Logs,
}

impl SpinOptions {
    /// Nothing set: the machine's clock and random bytes, no faults, output dropped.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self {
            variables: BTreeMap::new(),
            state,
            databases: BTreeSet::new(),
            stores: BTreeSet::new(),
            clock: Clock::System,
            faults: Faults::none(),
            requests_at_a_time: REQUESTS_AT_A_TIME,
            seed: None,
            logs: Logs::to(|_| {}),
        }
    }
}

/// A loaded application: cheap to clone, ready to answer.
#[derive(Clone)]
pub struct SpinApp {
    application: Arc<Application>,
}

impl SpinApp {
    /// Loads the manifest and every component in it, compiled and linked, so that a bad one stops the start.
    ///
    /// # Errors
    /// The manifest cannot be read or is wrong, a variable that it requires has no value, a wasm file is missing or
    /// is no component, imports something that this host does not have, or does not export `wasi:http/handler@0.3`.
    /// The message names the path inside the manifest.
    pub fn load(manifest: &Path, options: SpinOptions) -> anyhow::Result<Self> {
        let root = manifest.parent().unwrap_or(Path::new("."));
        Self::assemble(&Manifest::read(manifest)?, root, options)
            .with_context(|| format!("{}", manifest.display()))
    }

    fn assemble(manifest: &Manifest, root: &Path, options: SpinOptions) -> anyhow::Result<Self> {
        let engine = crate::engine::engine()?;
        let variables = Variables::resolve(&manifest.variables, &options.variables)?;
        let key_value = KeyValueFile::new(options.state.key_value());
        let shared = Arc::new(Shared {
            clock: options.clock,
            requests_at_a_time: options.requests_at_a_time.max(1),
            faults: options.faults,
            logs: options.logs.clone(),
            random: options.seed.map(Random::seeded),
            state: options.state,
            key_value,
        });
        let mut public = Vec::new();
        for (index, trigger) in manifest.trigger.http.iter().enumerate() {
            if let Route::Public(route) = &trigger.route {
                public.push((format!("trigger.http[{index}]"), trigger.component.clone(), route.clone()));
            }
        }
        let mut loaded = Vec::new();
        for (id, declared) in &manifest.component {
            if !manifest.trigger.http.iter().any(|trigger| trigger.component == *id) {
                bail!(
                    "component.{id}: no [[trigger.http]] uses it: give it a route, or {{ private = true }}"
                );
            }
            let path = format!("component.{id}");
            let service = link::service(&engine, &load_wasm(&engine, root, &path, &declared.source)?)
                .with_context(|| path.clone())?;
            let component = Arc::new(Component {
                id: id.clone(),
                shared: shared.clone(),
                variables: variables.of_component(&path, &declared.variables)?,
                environment: declared.environment.clone().into_iter().collect(),
                files: files::copied(&path, root, &declared.files)?,
                databases: labelled(
                    &path,
                    "sqlite_databases",
                    &declared.sqlite_databases,
                    &options.databases,
                )?,
                stores: labelled(&path, "key_value_stores", &declared.key_value_stores, &options.stores)?,
            });
            let allowed = Arc::new(AllowedHosts::new(&path, &declared.allowed_outbound_hosts, &variables)?);
            loaded.push((component, allowed, service));
        }
        let application = Application::new(Routes::new(&public)?, options.logs, |application| {
            let factories = loaded.into_iter().map(|(component, allowed, service)| {
                let outbound =
                    Outbound { component: component.clone(), allowed, application: application.clone() };
                (component.id.clone(), ProxyHandler::new(Factory { component, service, outbound }))
            });
            factories.collect()
        });
        Ok(Self { application })
    }

    /// Answers one request without a network, as if it had come over HTTP/1.1. Needs a tokio runtime.
    ///
    /// # Errors
    /// The request cannot stand on the wire (a header name with a space), or the reply broke off.
    pub async fn handle(&self, request: HttpRequest) -> anyhow::Result<HttpReply> {
        let peer = request.peer;
        let reply = self.application.receive(into_http(request)?, Scheme::HTTP, peer).await?;
        let (head, body) = reply.into_parts();
        let body = body.collect().await.map_err(|error| anyhow!("the reply broke off: {error}"))?;
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into()));
        Ok(HttpReply {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body: body.to_bytes().into(),
        })
    }

    /// Serves the application over HTTP/1.1 and h2c until the handle is stopped or dropped. Needs a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn serve(&self, address: SocketAddr) -> anyhow::Result<Serving> {
        Serving::start(self.application.clone(), address).await
    }
}

/// The labels that a component may open: `default`, and those that this run defines.
fn labelled(
    path: &str,
    member: &str,
    labels: &[String],
    defined: &BTreeSet<String>,
) -> anyhow::Result<BTreeSet<String>> {
    for label in labels {
        ensure!(
            label == "default" || defined.contains(label),
            "{path}.{member}: {label:?} is not defined: write \"default\"; Spin knows others from a runtime configuration file alone"
        );
    }
    Ok(labels.iter().cloned().collect())
}

fn load_wasm(engine: &wasmtime::Engine, root: &Path, path: &str, source: &Source) -> anyhow::Result<Wasm> {
    let Source::Path(file) = source else { bail!("{path}.source: write the path of a wasm file") };
    let file = root.join(file);
    let bytes = std::fs::read(&file)
        .with_context(|| format!("{path}.source: {}: cannot read it: build it first", file.display()))?;
    Wasm::from_binary(engine, &bytes)
        .map_err(anyhow::Error::from)
        .with_context(|| format!("{path}.source: {}: no wasm component", file.display()))
}

fn into_http(request: HttpRequest) -> anyhow::Result<http::Request<wasmtime_wasi_http::WasiBody>> {
    let frames = request.body.into_iter().map(|chunk| Ok::<_, Error>(Frame::data(Bytes::from(chunk))));
    let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
    let mut converted = http::Request::new(body);
    *converted.method_mut() = http::Method::from_bytes(&request.method)?;
    *converted.uri_mut() = http::Uri::try_from(request.path)?;
    let headers = converted.headers_mut();
    if !request.authority.is_empty() {
        headers.insert(HOST, HeaderValue::from_bytes(&request.authority)?);
    }
    for (name, value) in request.headers {
        headers.append(HeaderName::from_bytes(&name)?, HeaderValue::from_bytes(&value)?);
    }
    Ok(converted)
}

/// A [`SpinApp`] with a runtime of its own, for callers that are not async.
pub struct BlockingSpinApp {
    app: SpinApp,
    runtime: tokio::runtime::Runtime,
}

impl BlockingSpinApp {
    /// Loads the application and starts a runtime for it.
    ///
    /// # Errors
    /// As [`SpinApp::load`]; or the system has no threads left.
    pub fn load(manifest: &Path, options: SpinOptions) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { app: SpinApp::load(manifest, options)?, runtime })
    }

    /// Answers one request; see [`SpinApp::handle`]. May be called from several threads at once.
    ///
    /// # Errors
    /// As [`SpinApp::handle`].
    pub fn handle(&self, request: HttpRequest) -> anyhow::Result<HttpReply> {
        self.runtime.block_on(self.app.handle(request))
    }

    /// Starts to serve; see [`SpinApp::serve`].
    ///
    /// # Errors
    /// As [`SpinApp::serve`].
    pub fn serve(&self, address: SocketAddr) -> anyhow::Result<Serving> {
        self.runtime.block_on(self.app.serve(address))
    }

    /// Stops a listener; see [`Serving::stop`].
    pub fn stop(&self, serving: Serving) {
        self.runtime.block_on(serving.stop());
    }
}
