//! `cargo xtask bench wasm`: the guest in wasmtime and in V8 (`node`), one verification by each stack, all in one run.
//!
//! A row's time is that of the best of several rounds, which take turns, so that a busy machine disturbs all rows alike. Fuel counts
//! the wasm instructions of one verification: the same on every machine and in every run.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use wasmtime::{Config, Engine, Instance, Module, Store, TypedFunc};

/// The guest's exports.
const STACKS: [(&str, &str); 4] = [
    ("library", "serde_json, serde_json_canonicalizer, hmac"),
    ("library_hashed", "the same and SHA-256 of the payload"),
    ("core", "countersign-core into the same hmac"),
    ("countersign", "signature::verify, SHA-256 of the payload included"),
];
/// Short rounds, and many: on a busy machine some of them still run without being interrupted.
const ROUNDS: usize = 400;
const VERIFICATIONS: u32 = 500;
/// So many that the optimising compiler of V8 is done.
const WARM_UP: u32 = 50_000;

/// Nanoseconds of one verification, in the order of [`STACKS`].
type Times = [f64; STACKS.len()];

fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("usage: countersign-bench-wasm GUEST.wasm")?;
    let wasm = std::fs::read(&file).with_context(|| format!("reading {file}"))?;
    let fuel = fuel(&wasm)?;
    let in_wasmtime = in_wasmtime(&wasm)?;
    let in_node = in_node(Path::new(&file))?;

    println!(
        "\nOne verification of the source's deposit event (best of {ROUNDS} rounds of {VERIFICATIONS}):\n"
    );
    println!("  {:<50} {:>12} {:>12} {:>10}", "", "wasmtime", "V8 (node)", "fuel");
    for (index, (_, description)) in STACKS.iter().enumerate() {
        let node = in_node.map_or_else(|| "no node".to_owned(), |times| nanoseconds(times[index]));
        println!(
            "  {description:<50} {:>12} {node:>12} {:>10}",
            nanoseconds(in_wasmtime[index]),
            fuel[index]
        );
    }
    println!();
    println!("{}", ratio("wasmtime", in_wasmtime));
    if let Some(times) = in_node {
        println!("{}", ratio("V8", times));
    }
    println!("{}", ratio("fuel", fuel.map(|fuel| fuel as f64)));
    Ok(())
}

fn nanoseconds(value: f64) -> String {
    format!("{value:.0} ns")
}

fn ratio(what: &str, [library, library_hashed, core, countersign]: Times) -> String {
    format!(
        "{what}: library / Countersign = {:.2} without the payload's SHA-256 on either side, {:.2} with it on both, {:.2} with it on ours alone",
        library / core,
        library_hashed / countersign,
        library / countersign
    )
}

fn functions(engine: &Engine, wasm: &[u8], store: &mut Store<()>) -> Result<Vec<TypedFunc<u32, u32>>> {
    let module = Module::new(engine, wasm)?;
    ensure!(module.imports().len() == 0, "the guest imports something");
    let instance = Instance::new(&mut *store, &module, &[])?;
    STACKS.iter().map(|(name, _)| Ok(instance.get_typed_func(&mut *store, name)?)).collect()
}

fn call(function: &TypedFunc<u32, u32>, store: &mut Store<()>, count: u32) -> Result<()> {
    let right = function.call(store, count)?;
    ensure!(right == count, "{right} of {count} verifications were right");
    Ok(())
}

fn in_wasmtime(wasm: &[u8]) -> Result<Times> {
    let mut config = Config::new();
    config.wasm_simd(true);
    let engine = Engine::new(&config)?;
    let mut store = Store::new(&engine, ());
    let functions = functions(&engine, wasm, &mut store)?;
    let mut best = [f64::INFINITY; STACKS.len()];
    for round in 0..=ROUNDS {
        for (function, best) in functions.iter().zip(&mut best) {
            let started = Instant::now();
            call(function, &mut store, VERIFICATIONS)?;
            let took = started.elapsed().as_secs_f64() * 1e9 / f64::from(VERIFICATIONS);
            if round > 0 {
                *best = best.min(took);
            }
        }
    }
    Ok(best)
}

/// Fuel of one verification: what a thousand more cost, so that the preparation does not count.
fn fuel(wasm: &[u8]) -> Result<[u64; STACKS.len()]> {
    let mut config = Config::new();
    config.consume_fuel(true);
    let engine = Engine::new(&config)?;
    let mut store = Store::new(&engine, ());
    store.set_fuel(u64::MAX)?;
    let functions = functions(&engine, wasm, &mut store)?;
    let mut fuel = [0; STACKS.len()];
    for (function, fuel) in functions.iter().zip(&mut fuel) {
        let mut spent = [0; 2];
        for (spent, count) in spent.iter_mut().zip([1_000, 2_000]) {
            let before = store.get_fuel()?;
            call(function, &mut store, count)?;
            *spent = before - store.get_fuel()?;
        }
        *fuel = (spent[1] - spent[0]) / 1_000;
    }
    Ok(fuel)
}

/// The same rounds in V8, which is what Envoy runs; `None` where there is no `node`.
fn in_node(file: &Path) -> Result<Option<Times>> {
    let names: Vec<&str> = STACKS.iter().map(|(name, _)| *name).collect();
    let script = format!(
        "const {{ exports }} = new WebAssembly.Instance(new WebAssembly.Module(require('fs').readFileSync(process.argv[1])), {{}});
         const call = (name, count) => {{ if (exports[name](count) !== count) throw new Error(name + ' refuses'); }};
         const names = {names:?};
         const best = names.map(() => Infinity);
         for (const name of names) call(name, {WARM_UP});
         for (let round = 0; round < {ROUNDS}; round++) names.forEach((name, index) => {{
             const started = process.hrtime.bigint();
             call(name, {VERIFICATIONS});
             best[index] = Math.min(best[index], Number(process.hrtime.bigint() - started) / {VERIFICATIONS});
         }});
         console.log(best.join(' '));"
    );
    let output = match Command::new("node").arg("-e").arg(script).arg(file).output() {
        Ok(output) => output,
        Err(_) => return Ok(None),
    };
    if !output.status.success() {
        bail!("node: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let times = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let times = times.try_into();
    times.map(Some).map_err(|times| anyhow::anyhow!("node printed {times:?}"))
}
