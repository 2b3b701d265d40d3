//! `envoy/envoy.yaml` with a test's listeners: the prototype is the file that is shipped.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{filter, workspace};

/// What one Envoy process runs.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The listeners, each with a filter of its own.
    pub listeners: Vec<ListenerSpec>,
    /// Where verified events go.
    pub upstream: SocketAddr,
    /// Worker threads; each has its own VMs, and all share the data of one `vm_id`.
    pub concurrency: u32,
    /// The wall clock stands at this many milliseconds since 1970 until `set_clock_ms` moves it; none: the machine's clock.
    pub clock_ms: Option<u64>,
    /// Variables of the process. Those that `host_env_keys` in envoy.yaml names reach the filter, as in production.
    pub environment: BTreeMap<String, String>,
}

impl Bootstrap {
    /// One listener as it is shipped, with one worker and the machine's clock.
    #[must_use]
    pub fn new(upstream: SocketAddr) -> Self {
        Self {
            listeners: vec![ListenerSpec::default()],
            upstream,
            concurrency: 1,
            clock_ms: None,
            environment: BTreeMap::new(),
        }
    }
}

/// What a listener has that the shipped one has not.
#[derive(Clone, Debug)]
pub struct ListenerSpec {
    /// Listeners of one id share their claims; another id begins with an empty store.
    pub vm_id: String,
    /// The filter's document; none: the shipped sandbox.
    pub configuration: Option<String>,
    /// Variables of this VM alone, by value. They are readable at the admin interface: for keys of tests only.
    pub environment: BTreeMap<String, String>,
    /// `false`: the field is left out, as in a configuration for an older Envoy.
    pub allow_on_headers_stop_iteration: bool,
    /// How long the upstream may take; none: as shipped.
    pub upstream_timeout: Option<Duration>,
    /// The filter chain's `transport_socket`; none: plain text.
    pub transport_socket: Option<Value>,
    /// Members of the connection manager that are set, or replaced, in the shipped one.
    pub connection_manager: Vec<(&'static str, Value)>,
    /// The whole filter in place of the shipped one, as `http_filters` has it; the fields above that are about the filter then do
    /// not count.
    pub http_filter: Option<Value>,
}

impl Default for ListenerSpec {
    fn default() -> Self {
        Self {
            vm_id: "countersign".to_owned(),
            configuration: None,
            environment: BTreeMap::new(),
            allow_on_headers_stop_iteration: true,
            upstream_timeout: None,
            transport_socket: None,
            connection_manager: Vec::new(),
            http_filter: None,
        }
    }
}

/// Reads a YAML file of `envoy/`.
///
/// # Errors
/// It cannot be read, or is not YAML.
pub fn read_yaml(name: &str) -> Result<Value> {
    let path = workspace().join("envoy").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not YAML", path.display()))
}

const LISTENER: &str = "/static_resources/listeners/0";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const UPSTREAM: &str =
    "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";

impl Bootstrap {
    /// The bootstrap document. The listeners are in a file beside it, so that they can be replaced.
    pub(super) fn document(&self, folder: &Path) -> Result<Value> {
        let mut document = read_yaml("envoy.yaml")?;
        set(&mut document, "/static_resources/listeners", json!([]))?;
        set(&mut document, "/admin/address/socket_address/port_value", json!(0))?;
        let upstream = json!({ "address": self.upstream.ip(), "port_value": self.upstream.port() });
        set(&mut document, &format!("{UPSTREAM}/socket_address"), upstream)?;
        let listeners = json!({ "path_config_source": { "path": folder.join("listeners.json") }, "resource_api_version": "V3" });
        document["dynamic_resources"] = json!({ "lds_config": listeners });
        Ok(document)
    }

    /// The same with the listeners in it, as an operator would write it.
    pub(super) fn whole_document(&self, folder: &Path) -> Result<Value> {
        let mut document = self.document(folder)?;
        document.as_object_mut().context("envoy.yaml is no mapping")?.remove("dynamic_resources");
        let mut listeners = self.listeners(folder)?["resources"].take();
        for listener in listeners.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            listener.remove("@type");
        }
        set(&mut document, "/static_resources/listeners", listeners)?;
        Ok(document)
    }

    /// The file of listeners, as a discovery response.
    pub(super) fn listeners(&self, folder: &Path) -> Result<Value> {
        let mut document = read_yaml("envoy.yaml")?;
        let prototype = document.pointer_mut(LISTENER).context("envoy.yaml has no listener")?.take();
        let listeners = self.listeners.iter().enumerate().map(|(index, spec)| {
            let mut listener = prototype.clone();
            spec.apply(&mut listener, &format!("listener_{index}"), folder)?;
            Ok(listener)
        });
        Ok(json!({ "resources": listeners.collect::<Result<Vec<_>>>()? }))
    }
}

impl ListenerSpec {
    fn apply(&self, listener: &mut Value, name: &str, folder: &Path) -> Result<()> {
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        set(listener, "/name", json!(name))?;
        set(listener, "/address/socket_address/port_value", json!(0))?;
        if let Some(socket) = &self.transport_socket {
            listener["filter_chains"][0]["transport_socket"] = socket.clone();
        }
        let manager = listener.pointer_mut(MANAGER).context("envoy.yaml has no connection manager")?;
        set(manager, "/access_log/0/typed_config/path", json!(folder.join("access")))?;
        if let Some(timeout) = self.upstream_timeout {
            let timeout = json!(format!("{}s", timeout.as_secs_f64()));
            set(manager, "/route_config/virtual_hosts/0/routes/0/route/timeout", timeout)?;
        }
        for (name, value) in &self.connection_manager {
            manager[*name] = value.clone();
        }
        let shipped = manager.pointer_mut("/http_filters/0").context("envoy.yaml has no filter")?;
        if let Some(filter) = &self.http_filter {
            *shipped = filter.clone();
        }
        let Some(config) = shipped.pointer_mut("/typed_config/config") else {
            // Somebody else's filter: it has no code to load.
            return if self.http_filter.is_some() { Ok(()) } else { bail!("the filter has no config") };
        };
        set(config, "/vm_config/code/local/filename", json!(filter()?))?;
        if self.http_filter.is_some() {
            return Ok(());
        }
        set(config, "/vm_config/vm_id", json!(self.vm_id))?;
        if let Some(configuration) = &self.configuration {
            set(config, "/configuration/value", json!(configuration))?;
        }
        if !self.environment.is_empty() {
            config["vm_config"]["environment_variables"] = json!({ "key_values": self.environment });
        }
        if !self.allow_on_headers_stop_iteration
            && let Some(config) = config.as_object_mut()
        {
            config.remove("allow_on_headers_stop_iteration").context("envoy.yaml does not set the field")?;
        }
        Ok(())
    }
}

/// Replaces a value that must be there: a test never changes what is not in the shipped file.
fn set(document: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let place = document.pointer_mut(pointer).with_context(|| format!("envoy.yaml has no {pointer}"))?;
    *place = value;
    Ok(())
}
