//! Envoys that differ in one HTTP filter. Everything else is `envoy/envoy.yaml` and `listener.yaml` as they are shipped, but for the access log, which is
//! off, and the upstream, which is a second listener of the same Envoy.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::idle::Idle;
use countersign_benches::postbacks::{PARTNER, SECRET, SECRET_NAME};

/// The longest that Envoy may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// `/proc` counts processor time in hundredths of a second, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NoFilter,
    Lua,
    ExtAuthzHttp,
    ExtAuthzGrpc,
    Hold,
    Countersign,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::NoFilter, Self::Lua, Self::ExtAuthzHttp, Self::ExtAuthzGrpc, Self::Hold, Self::Countersign];

    /// As `--only` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoFilter => "none",
            Self::Lua => "lua",
            Self::ExtAuthzHttp => "ext_authz_http",
            Self::ExtAuthzGrpc => "ext_authz_grpc",
            Self::Hold => "hold",
            Self::Countersign => "countersign",
        }
    }

    /// As the table has it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::NoFilter => "no filter",
            Self::Lua => "Lua that reads the body",
            Self::ExtAuthzHttp => "ext_authz, HTTP, body, idle service",
            Self::ExtAuthzGrpc => "ext_authz, gRPC, body, idle service",
            Self::Hold => "wasm that holds headers, copies the body",
            Self::Countersign => "Countersign",
        }
    }

    /// What the body of every answer has in it.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::NoFilter | Self::Lua | Self::ExtAuthzHttp | Self::ExtAuthzGrpc | Self::Hold => {
                UPSTREAM_BODY
            }
            Self::Countersign => r#""idempotent":false"#,
        }
    }

    fn filter(self, shipped: &Value) -> Result<Option<Value>> {
        Ok(match self {
            Self::NoFilter => None,
            Self::Lua => Some(json!({
                "name": "lua",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    "default_source_code": { "inline_string": "function envoy_on_request(handle) handle:body() end" },
                },
            })),
            Self::ExtAuthzHttp => Some(ext_authz(
                "http_service",
                json!({ "server_uri": { "uri": "http://idle", "cluster": "idle_http", "timeout": "5s" } }),
            )),
            Self::ExtAuthzGrpc => Some(ext_authz(
                "grpc_service",
                json!({ "envoy_grpc": { "cluster_name": "idle_grpc" }, "timeout": "5s" }),
            )),
            Self::Hold => {
                let mut filter = shipped.clone();
                let config = pointer(&mut filter, "/typed_config/config")?;
                config["configuration"] = Value::Null;
                config["vm_config"]["vm_id"] = json!("hold");
                set(&mut filter, CODE, json!(wasm("countersign_bench_hold.wasm")?))?;
                Some(filter)
            }
            Self::Countersign => {
                let mut filter = shipped.clone();
                set(&mut filter, CODE, json!(wasm("countersign_envoy.wasm")?))?;
                let variables = json!({ "key_values": { SECRET_NAME: SECRET, "COUNTERSIGN_SANDBOX": "1" } });
                set(&mut filter, "/typed_config/config/vm_config/environment_variables", variables)?;
                let document = pointer(&mut filter, "/typed_config/config/configuration/value")?;
                *document = with_partner(document)?;
                Some(filter)
            }
        })
    }
}

fn ext_authz(kind: &str, service: Value) -> Value {
    json!({
        "name": "ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            kind: service,
            "with_request_body": { "max_request_bytes": 65536 },
        },
    })
}

const CODE: &str = "/typed_config/config/vm_config/code/local/filename";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
const UPSTREAM_BODY: &str = r#"{"upstream":"ok"}"#;

/// The shipped document, and a partner whose quota the bench cannot spend.
fn with_partner(document: &Value) -> Result<Value> {
    let mut document: Value = serde_json::from_str(document.as_str().context("the document is a string")?)?;
    document["partners"][PARTNER] = json!({
        "signature": { "keys": [{ "id": "bench", "secret": { "name": SECRET_NAME } }] },
        "rate": { "per_second": 100_000, "burst": 1_000_000 },
    });
    Ok(json!(document.to_string()))
}

/// Reads a file of `envoy/`.
fn read_yaml(name: &str) -> Result<Value> {
    let path = workspace().join("envoy").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not YAML", path.display()))
}

fn bootstrap(kind: Kind, folder: &Path, idle: Idle) -> Result<Value> {
    let mut document = read_yaml("envoy.yaml")?;
    let mut listener = pointer(&mut read_yaml("listener.yaml")?, "/resources/0")?.take();
    listener.as_object_mut().context("listener.yaml has no listener")?.remove("@type");
    document.as_object_mut().context("envoy.yaml is a mapping")?.remove("dynamic_resources");
    document["static_resources"]["listeners"] = json!([listener]);
    set(&mut document, "/admin/address/socket_address/port_value", json!(0))?;
    set(&mut document, "/static_resources/listeners/0/address/socket_address/port_value", json!(0))?;

    let manager = pointer(&mut document, MANAGER)?;
    set(manager, "/access_log", json!([]))?;
    let filters = pointer(manager, "/http_filters")?.as_array_mut().context("http_filters is a list")?;
    // countersign.peer, countersign, router.
    let shipped = filters.remove(1);
    match kind.filter(&shipped)? {
        Some(filter) => filters.insert(1, filter),
        None => drop(filters.remove(0)),
    }

    let socket = json!({ "pipe": { "path": folder.join("upstream") } });
    let clusters = pointer(&mut document, "/static_resources/clusters")?;
    set(clusters, "/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address", socket.clone())?;
    let clusters = clusters.as_array_mut().context("clusters is a list")?;
    clusters.push(cluster("idle_http", idle.http, "http_protocol_options"));
    clusters.push(cluster("idle_grpc", idle.grpc, "http2_protocol_options"));
    let listeners = pointer(&mut document, "/static_resources/listeners")?.as_array_mut();
    listeners.context("listeners is a list")?.push(upstream(&socket));
    Ok(document)
}

fn cluster(name: &str, address: SocketAddr, protocol: &str) -> Value {
    let address = json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } });
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { protocol: {} },
        } },
    })
}

/// A listener that takes the whole request and answers 200.
fn upstream(socket: &Value) -> Value {
    let extension = "type.googleapis.com/envoy.extensions.filters";
    let manager = json!({
        "@type": format!("{extension}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "upstream",
        "http_filters": [
            { "name": "buffer",
              "typed_config": { "@type": format!("{extension}.http.buffer.v3.Buffer"), "max_request_bytes": 65536 } },
            { "name": "router", "typed_config": { "@type": format!("{extension}.http.router.v3.Router") } },
        ],
        "route_config": { "virtual_hosts": [{
            "name": "upstream",
            "domains": ["*"],
            "routes": [{
                "match": { "prefix": "/" },
                "direct_response": { "status": 200, "body": { "inline_string": UPSTREAM_BODY } },
            }],
        }] },
    });
    json!({
        "name": "upstream",
        "address": socket,
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    })
}

fn pointer<'v>(document: &'v mut Value, pointer: &str) -> Result<&'v mut Value> {
    document.pointer_mut(pointer).with_context(|| format!("envoy.yaml has no {pointer}"))
}

fn set(document: &mut Value, path: &str, value: Value) -> Result<()> {
    *pointer(document, path)? = value;
    Ok(())
}

/// An Envoy that ends with this value.
pub(crate) struct Envoy {
    child: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Envoy {
    /// Starts one with a single worker.
    pub(crate) fn start(kind: Kind, idle: Idle) -> Result<Self> {
        let name = format!("countersign-bench-{}-{}", std::process::id(), kind.name());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let config = folder.join("envoy.json");
        fs::write(&config, serde_json::to_vec(&bootstrap(kind, &folder, idle)?)?)?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new(binary()?)
            .args([
                "--use-dynamic-base-id",
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "--concurrency",
                "1",
            ])
            .arg("--admin-address-path")
            .arg(folder.join("admin"))
            .arg("--config-path")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting Envoy")?;
        let mut envoy = Self { child, folder, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        envoy.address = envoy.until_it_listens()?;
        Ok(envoy)
    }

    fn until_it_listens(&mut self) -> Result<SocketAddr> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("Envoy ended ({status}); it said\n{}", fs::read_to_string(self.folder.join("log"))?);
            }
            if let Some(address) = self.listener() {
                return Ok(address);
            }
            sleep(Duration::from_millis(20));
        }
        bail!("Envoy does not listen after {PATIENCE:?}")
    }

    /// The address of the listener `postbacks`, once the admin interface tells it and Envoy is ready.
    fn listener(&self) -> Option<SocketAddr> {
        let admin = fs::read_to_string(self.folder.join("admin")).ok()?.trim().parse().ok()?;
        let listeners = get(admin, "/listeners").ok()?;
        get(admin, "/ready").ok().filter(|answer| answer.contains("LIVE"))?;
        listeners.lines().find_map(|line| line.strip_prefix("postbacks::")?.trim().parse().ok())
    }

    /// Processor time of the whole process so far.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may have spaces; utime and stime are the 14th and 15th field.
        let (_, fields) = stat.rsplit_once(')').context("/proc/…/stat has another form")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(TICK * ticks.sum::<Result<u32, _>>()?)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // An error means that it has ended already, or that the folder is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn get(admin: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Envoy's binary: in `$COUNTERSIGN_TOOLS`, else in `target/tools`.
fn binary() -> Result<PathBuf> {
    let tools = folder("COUNTERSIGN_TOOLS", "tools");
    let folders = fs::read_dir(&tools).into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("envoy-")))
        .map(|path| path.join("envoy"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("no Envoy in {}: run `cargo xtask bench envoy`, which installs it", tools.display())
        })
}

/// A wasm file: in `$COUNTERSIGN_WASM`, else in `target/wasm`.
fn wasm(name: &str) -> Result<PathBuf> {
    let file = folder("COUNTERSIGN_WASM", "wasm").join(name);
    if file.is_file() {
        Ok(file)
    } else {
        bail!("{} is not built: run `cargo xtask bench envoy`", file.display())
    }
}

fn folder(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| workspace().join("target").join(name), PathBuf::from)
}

fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
