//! The one way to make a wasmtime engine, shared by every host of this crate.

use std::path::PathBuf;

use wasmtime::{Cache, CacheConfig, Config, Engine};

/// Makes an engine that runs core modules, components and WASIp3 components.
///
/// A program that runs from a cargo `target` folder keeps compiled code in `target/wasm-cache`, for tests load the same files
/// over and over; any other program compiles each time.
///
/// # Errors
///
/// When the cache folder cannot be made, or this machine is none that wasmtime compiles for.
pub fn engine() -> anyhow::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    if let Some(directory) = cache_directory() {
        let mut cache = CacheConfig::new();
        cache.with_directory(directory);
        config.cache(Some(Cache::new(cache)?));
    }
    Ok(Engine::new(&config)?)
}

/// `target/wasm-cache` of the target folder that holds the running program.
fn cache_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let target =
        program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"))?;
    Some(target.join("wasm-cache"))
}
