//! The component's file, compiled; and why a gate did not start.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{Countersign, CountersignPre};
use super::store::Lent;
use super::{ConfigError, bindings};
use crate::engine::engine;

/// The component, compiled and linked once; clones share the code.
#[derive(Clone)]
pub struct EmbedModule {
    linked: CountersignPre<Lent>,
}

impl EmbedModule {
    /// Compiles the component.
    ///
    /// # Errors
    ///
    /// When the bytes are no component, do not export `gate`, or import anything but `store`.
    pub fn load(wasm: &[u8]) -> anyhow::Result<Self> {
        Self::load_on(&engine()?, wasm)
    }

    /// Compiles the component on an engine that is there already.
    ///
    /// # Errors
    ///
    /// As [`EmbedModule::load`].
    pub fn load_on(engine: &Engine, wasm: &[u8]) -> anyhow::Result<Self> {
        let component = Component::new(engine, wasm)?;
        let mut linker = Linker::new(engine);
        Countersign::add_to_linker::<_, HasSelf<Lent>>(&mut linker, |lent| lent)?;
        Ok(Self { linked: bindings::CountersignPre::new(linker.instantiate_pre(&component)?)? })
    }

    pub(super) fn linked(&self) -> &CountersignPre<Lent> {
        &self.linked
    }
}

/// A gate that did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong: every mistake that was found.
    Configuration(Vec<ConfigError>),
    /// The component failed.
    Component(anyhow::Error),
}

impl From<wasmtime::Error> for StartError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Component(error.into())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(mistakes) => {
                write!(out, "the configuration is wrong")?;
                mistakes.iter().try_for_each(|ConfigError { path, problem, remedy }| {
                    let path = if path.is_empty() { "the document" } else { path };
                    write!(out, "\n  {path} {problem}: {remedy}")
                })
            }
            Self::Component(error) => write!(out, "the component failed: {error:#}"),
        }
    }
}

impl std::error::Error for StartError {}
