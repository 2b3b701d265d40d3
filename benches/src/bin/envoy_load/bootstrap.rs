//! Envoy's configuration for a row: `envoy/envoy.yaml` and `listener.yaml` as they are shipped, but for the row's filter, the access
//! log, which is off, and the upstream, which is a second listener of the same Envoy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::kind::{Kind, UPSTREAM_BODY};
use crate::shipped::{self, pointer, workspace};
use countersign_benches::postbacks::{SECRET, SECRET_NAME};

const CODE: &str = "/typed_config/config/vm_config/code/local/filename";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
const ROUTE: &str = "/route_config/virtual_hosts/0/routes/0/route";
const APPLICATION: &str =
    "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
/// The cluster of the service that `ext_authz` asks.
const SERVICE: &str = "service";

/// The configuration of a row. `upstream` is the socket of the upstream's listener, `service` where the row's service listens.
///
/// # Errors
/// The shipped files have another form; a wasm file is not built; or the row has a service and `service` is `None`.
pub(crate) fn bootstrap(
    kind: Kind,
    workers: usize,
    upstream: &Path,
    service: Option<SocketAddr>,
) -> Result<Value> {
    let mut document = shipped::read_yaml("envoy.yaml")?;
    document.as_object_mut().context("envoy.yaml is a mapping")?.remove("dynamic_resources");
    let socket = json!({ "pipe": { "path": upstream } });
    document["static_resources"]["listeners"] = json!([shipped::listener()?, upstream_listener(&socket)]);
    set(&mut document, "/admin/address/socket_address/port_value", json!(0))?;
    set(&mut document, "/static_resources/listeners/0/address/socket_address/port_value", json!(0))?;
    set(&mut document, APPLICATION, socket)?;
    if workers > 1 {
        // Left to the kernel, one worker may get most of the connections.
        for listener in
            pointer(&mut document, "/static_resources/listeners")?.as_array_mut().into_iter().flatten()
        {
            listener["connection_balance_config"] = json!({ "exact_balance": {} });
        }
    }

    let manager = pointer(&mut document, MANAGER)?;
    set(manager, "/access_log", json!([]))?;
    let filters = pointer(manager, "/http_filters")?.as_array_mut().context("http_filters is a list")?;
    // countersign.peer, countersign, router. The first serves the second, and nobody else pays for it.
    let router = filters.pop();
    let shipped = filters.pop().context("the shipped listener has a filter")?;
    if kind != Kind::Countersign {
        filters.clear();
    }
    filters.extend(filter(kind, shipped)?);
    filters.extend(router);
    place_service(kind, &mut document, service)?;
    Ok(document)
}

/// The row's HTTP filter.
fn filter(kind: Kind, mut shipped: Value) -> Result<Option<Value>> {
    Ok(match kind {
        Kind::NoFilter | Kind::NativeProxy => None,
        Kind::Lua => Some(json!({
            "name": "lua",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                "default_source_code": { "inline_string": "function envoy_on_request(handle) handle:body() end" },
            },
        })),
        Kind::ExtAuthzHttp => Some(ext_authz(
            "http_service",
            json!({ "server_uri": { "uri": "http://service", "cluster": SERVICE, "timeout": "5s" } }),
        )),
        Kind::ExtAuthzGrpc => Some(ext_authz("grpc_service", grpc_service())),
        Kind::ExtAuthzNative => {
            let mut filter = ext_authz("grpc_service", grpc_service());
            // Bytes as they were sent: a signature is over them.
            filter["typed_config"]["with_request_body"]["pack_as_bytes"] = json!(true);
            filter["typed_config"]["encode_raw_headers"] = json!(true);
            Some(filter)
        }
        Kind::Hold => {
            let config = pointer(&mut shipped, "/typed_config/config")?;
            config["configuration"] = Value::Null;
            config["vm_config"]["vm_id"] = json!("hold");
            set(&mut shipped, CODE, json!(wasm("countersign_bench_hold.wasm")?))?;
            Some(shipped)
        }
        Kind::Countersign => {
            set(&mut shipped, CODE, json!(wasm("countersign_envoy.wasm")?))?;
            let variables = json!({ "key_values": { SECRET_NAME: SECRET, "COUNTERSIGN_SANDBOX": "1" } });
            set(&mut shipped, "/typed_config/config/vm_config/environment_variables", variables)?;
            let document = json!(shipped::document()?.to_string());
            set(&mut shipped, "/typed_config/config/configuration/value", document)?;
            Some(shipped)
        }
    })
}

/// Lets Envoy reach the row's service: as a cluster of its own, or in the application's place.
fn place_service(kind: Kind, document: &mut Value, service: Option<SocketAddr>) -> Result<()> {
    let address = || service.map(address).context("the row has a service");
    let protocol = match kind {
        Kind::NoFilter | Kind::Lua | Kind::Hold | Kind::Countersign => return Ok(()),
        Kind::NativeProxy => {
            set(document, APPLICATION, address()?)?;
            let manager = pointer(document, MANAGER)?;
            // The proxy needs the path as it was sent, and the client's address.
            set(manager, "/skip_xff_append", json!(false))?;
            let route = pointer(manager, ROUTE)?.as_object_mut().context("the route is a mapping")?;
            route.remove("regex_rewrite");
            return Ok(());
        }
        Kind::ExtAuthzHttp => "http_protocol_options",
        Kind::ExtAuthzGrpc | Kind::ExtAuthzNative => "http2_protocol_options",
    };
    let clusters = pointer(document, "/static_resources/clusters")?;
    clusters.as_array_mut().context("clusters is a list")?.push(json!({
        "name": SERVICE,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": SERVICE,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address()? } }] }],
        },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { protocol: {} },
        } },
    }));
    Ok(())
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

fn grpc_service() -> Value {
    json!({ "envoy_grpc": { "cluster_name": SERVICE }, "timeout": "5s" })
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

/// A listener that takes the whole request and answers 200.
fn upstream_listener(socket: &Value) -> Value {
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

fn set(document: &mut Value, path: &str, value: Value) -> Result<()> {
    *pointer(document, path)? = value;
    Ok(())
}

/// A wasm file: in `$COUNTERSIGN_WASM`, else in `target/wasm`.
fn wasm(name: &str) -> Result<PathBuf> {
    let folder = std::env::var_os("COUNTERSIGN_WASM");
    let file = folder.map_or_else(|| workspace().join("target/wasm"), PathBuf::from).join(name);
    if file.is_file() {
        Ok(file)
    } else {
        bail!("{} is not built: run `cargo xtask bench envoy`", file.display())
    }
}
