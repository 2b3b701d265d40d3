//! `envoy/envoy.yaml` and `listener.yaml` with a test's listeners: the prototypes are the files that are shipped.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::workspace;

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
    /// Variables of the process. Those that `host_env_keys` in listener.yaml names reach the filter, as in production. At first
    /// the one that lets a sandbox start.
    pub environment: BTreeMap<String, String>,
    /// Fields of the upstream's cluster, by JSON pointer; null removes one.
    pub cluster: Vec<(&'static str, Value)>,
    /// The version of Envoy; none: the newest of the tools.
    pub version: Option<&'static str>,
}

/// Lets a sandbox start.
const SANDBOX: (&str, &str) = ("COUNTERSIGN_SANDBOX", "1");

impl Bootstrap {
    /// One listener as it is shipped, with one worker and the machine's clock.
    #[must_use]
    pub fn new(upstream: SocketAddr) -> Self {
        Self {
            listeners: vec![ListenerSpec::default()],
            upstream,
            concurrency: 1,
            clock_ms: None,
            environment: [SANDBOX].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            cluster: Vec::new(),
            version: None,
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
    /// The whole connection manager in place of the shipped one; the fields above that are about it or the filter then do not count.
    pub manager: Option<Value>,
    /// Fields of the connection manager, by JSON pointer; null removes one.
    pub manager_fields: Vec<(&'static str, Value)>,
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
            manager: None,
            manager_fields: Vec::new(),
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

const LISTENER: &str = "/resources/0";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const LISTENERS: &str = "/dynamic_resources/lds_config/path_config_source/path";
const UPSTREAM: &str =
    "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";

impl Bootstrap {
    /// The bootstrap document. The listeners are in a file beside it, so that they can be replaced.
    pub(super) fn document(&self, folder: &Path) -> Result<Value> {
        let mut document = read_yaml("envoy.yaml")?;
        set(&mut document, "/admin/address/socket_address/port_value", json!(0))?;
        let upstream = json!({ "address": self.upstream.ip(), "port_value": self.upstream.port() });
        set(&mut document, &format!("{UPSTREAM}/socket_address"), upstream)?;
        let cluster =
            document.pointer_mut("/static_resources/clusters/0").context("envoy.yaml has no cluster")?;
        change(cluster, &self.cluster)?;
        set(&mut document, LISTENERS, json!(folder.join("listeners.json")))?;
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
        document["static_resources"]["listeners"] = listeners;
        Ok(document)
    }

    /// The file of listeners, as a discovery response.
    pub(super) fn listeners(&self, folder: &Path) -> Result<Value> {
        let mut document = read_yaml("listener.yaml")?;
        let prototype = document.pointer_mut(LISTENER).context("listener.yaml has no listener")?.take();
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
        set(listener, "/name", json!(name))?;
        set(listener, "/address/socket_address/port_value", json!(0))?;
        if let Some(socket) = &self.transport_socket {
            listener["filter_chains"][0]["transport_socket"] = socket.clone();
        }
        let manager = listener.pointer_mut(MANAGER).context("listener.yaml has no connection manager")?;
        if let Some(whole) = &self.manager {
            *manager = whole.clone();
        }
        change(manager, &self.manager_fields)?;
        for log in manager["access_log"].as_array_mut().into_iter().flatten() {
            set(log, "/typed_config/path", json!(folder.join("access")))?;
        }
        if let Some(timeout) = self.upstream_timeout {
            let timeout = json!(format!("{}s", timeout.as_secs_f64()));
            set(manager, "/route_config/virtual_hosts/0/routes/0/route/timeout", timeout)?;
        }
        let mut filters = manager["http_filters"].as_array_mut().into_iter().flatten();
        // A test may put a proxy of another kind in front.
        let Some(filter) = filters.find(|filter| filter["name"] == "countersign") else { return Ok(()) };
        let config = filter.pointer_mut("/typed_config/config").context("the filter has no config")?;
        set(config, "/vm_config/code/local/filename", json!(super::filter()?))?;
        if self.manager.is_some() {
            return Ok(());
        }
        set(config, "/vm_config/vm_id", json!(self.vm_id))?;
        if let Some(configuration) = &self.configuration {
            set(config, "/configuration/value", json!(configuration))?;
        }
        if !self.environment.is_empty() {
            let mut values = self.environment.clone();
            values.insert(SANDBOX.0.to_owned(), SANDBOX.1.to_owned());
            config["vm_config"]["environment_variables"] = json!({ "key_values": values });
        }
        if !self.allow_on_headers_stop_iteration
            && let Some(config) = config.as_object_mut()
        {
            config
                .remove("allow_on_headers_stop_iteration")
                .context("listener.yaml does not set the field")?;
        }
        Ok(())
    }
}

/// Sets fields that need not be there; null removes one.
fn change(document: &mut Value, fields: &[(&str, Value)]) -> Result<()> {
    for (pointer, value) in fields {
        let (parent, name) = pointer.rsplit_once('/').context("a pointer begins with /")?;
        let parent = document.pointer_mut(parent).with_context(|| format!("there is no {parent}"))?;
        match (parent, value) {
            (Value::Object(members), Value::Null) => drop(members.remove(name)),
            (Value::Object(members), value) => drop(members.insert(name.to_owned(), value.clone())),
            (Value::Array(elements), value) => {
                *elements.get_mut(name.parse::<usize>()?).context("there is no such element")? =
                    value.clone();
            }
            _ => anyhow::bail!("{pointer} is not in a mapping"),
        }
    }
    Ok(())
}

/// Replaces a value that must be there: a test never changes what is not in the shipped file.
fn set(document: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let place =
        document.pointer_mut(pointer).with_context(|| format!("the shipped file has no {pointer}"))?;
    *place = value;
    Ok(())
}
