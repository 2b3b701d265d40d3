//! A filter's wasm file, compiled and linked.

use anyhow::{Context, bail};
use wasmtime::{Engine, InstancePre, Linker, Module};

use super::state::State;
use super::{abi, calls, wasi};
use crate::engine::engine;

/// A filter's module, compiled and linked once; clones share the code.
#[derive(Clone)]
pub struct FilterModule {
    linked: InstancePre<State>,
}

impl FilterModule {
    /// Compiles a filter.
    ///
    /// # Errors
    ///
    /// When the bytes are not a core module, name no proxy-wasm ABI of 0.2, or import what Envoy does not offer.
    pub fn load(wasm: &[u8]) -> anyhow::Result<Self> {
        Self::load_on(&engine()?, wasm)
    }

    /// Compiles a filter on an engine that is there already.
    ///
    /// # Errors
    ///
    /// As [`FilterModule::load`].
    pub fn load_on(engine: &Engine, wasm: &[u8]) -> anyhow::Result<Self> {
        let module = Module::new(engine, wasm)?;
        if !module
            .exports()
            .any(|export| matches!(export.name(), "proxy_abi_version_0_2_0" | "proxy_abi_version_0_2_1"))
        {
            bail!("the module exports no proxy_abi_version_0_2_0 or _0_2_1: Envoy would not load it");
        }
        let mut linker = Linker::new(engine);
        abi::link(&mut linker)?;
        calls::link(&mut linker)?;
        wasi::link(&mut linker)?;
        let linked = linker.instantiate_pre(&module).map_err(anyhow::Error::from);
        Ok(Self { linked: linked.context("the module imports what Envoy does not offer")? })
    }

    pub(super) fn linked(&self) -> &InstancePre<State> {
        &self.linked
    }

    pub(super) fn engine(&self) -> &Engine {
        self.linked.module().engine()
    }
}

/// The imports of a wasm file, as (module, name) in the file's order: what a purity test lists.
///
/// # Errors
///
/// When the bytes are neither a core module nor a component. Of a component the names of the imported interfaces are listed,
/// with an empty module.
pub fn imports(wasm: &[u8]) -> anyhow::Result<Vec<(String, String)>> {
    let engine = engine()?;
    if Engine::detect_precompiled(wasm).is_some() {
        bail!("this is compiled code, not a wasm file");
    }
    if wasm.get(4..8) == Some(&[1, 0, 0, 0]) {
        let module = Module::new(&engine, wasm)?;
        return Ok(module
            .imports()
            .map(|import| (import.module().to_owned(), import.name().to_owned()))
            .collect());
    }
    let component = wasmtime::component::Component::new(&engine, wasm)?;
    let kind = component.component_type();
    Ok(kind.imports(&engine).map(|(name, _)| (String::new(), name.to_owned())).collect())
}
