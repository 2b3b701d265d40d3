//! Gives a component exactly the interfaces that it imports, each for real.

use anyhow::{Context as _, anyhow, bail};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::bindings::{key_value, keyvalue, redis, sqlite, variables};
use super::guest::Guest;

/// Links a component and checks that it is an HTTP service.
///
/// # Errors
/// An import that this host does not have, by name; or no export of `wasi:http/handler@0.3`.
pub(super) fn service(engine: &Engine, component: &Component) -> anyhow::Result<ServicePre<Guest>> {
    let mut linker = Linker::<Guest>::new(engine);
    let mut wasi = [false, false];
    let mut http = false;
    for (import, _) in component.component_type().imports(engine) {
        let (interface, version) =
            import.split_once('@').with_context(|| format!("imports {import}, which Spin does not have"))?;
        match (interface, version) {
            ("wasi:http/types" | "wasi:http/client", version) if version.starts_with("0.3.") => http = true,
            (interface, version) if is_wasi(interface) && version.starts_with("0.2.") => wasi[0] = true,
            (interface, version) if is_wasi(interface) && version.starts_with("0.3.") => wasi[1] = true,
            ("spin:sqlite/sqlite", "3.1.0") => {
                sqlite::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            ("spin:variables/variables", "3.0.0") => {
                variables::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            ("spin:key-value/key-value", "3.0.0") => {
                key_value::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            ("spin:redis/redis", "3.0.0") => {
                redis::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            ("wasi:keyvalue/store", "0.2.0-draft2") => {
                keyvalue::store::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            ("wasi:keyvalue/atomics", "0.2.0-draft2") => {
                keyvalue::atomics::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            ("wasi:keyvalue/batch", "0.2.0-draft2") => {
                keyvalue::batch::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?
            }
            _ => bail!("imports {import}, which this host does not have"),
        }
    }
    if wasi[0] {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    if wasi[1] {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    }
    if http {
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    let instance = linker.instantiate_pre(component)?;
    ServicePre::new(instance)
        .map_err(|error| anyhow!("is no HTTP service of wasi:http@0.3 (build it with spin-sdk 7): {error:#}"))
}

fn is_wasi(interface: &str) -> bool {
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"]
        .iter()
        .any(|package| interface.starts_with(package))
}
