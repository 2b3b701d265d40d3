//! `cargo xtask bench envoy`: the real Envoy under load, with and without Countersign, in one table from one run.
//!
//! One Envoy per row, each with one worker that serves the upstream too. They take turns, round after round, with the same requests,
//! so that a busy machine disturbs all rows alike. Every answer is looked at; one that is not a 200 voids the run.

mod envoy;
mod idle;

use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

use countersign_benches::load::{self, Expected, Load, Pace};
use countersign_benches::postbacks::{Batch, Sender};
use envoy::{Envoy, Kind};

const USAGE: &str = "\
Options of `cargo xtask bench envoy`:

  --rounds N        how often each row is measured (default 5)
  --requests N      requests of one row in one round (default 20000)
  --connections N   connections, one request under way on each (default 32)
  --only A,B        rows: none, lua, ext_authz_http, ext_authz_grpc, hold, countersign
  --memory          instead: Envoy's memory after 10,000 and after 2,000,000 distinct events
  --events N        with --memory: another number than 2,000,000
";

struct Options {
    rounds: usize,
    requests: usize,
    connections: usize,
    kinds: Vec<Kind>,
    memory: bool,
    events: usize,
}

fn main() -> Result<()> {
    let Some(options) = options(std::env::args().skip(1))? else {
        print!("{USAGE}");
        return Ok(());
    };
    if options.memory { memory(&options) } else { throughput(&options) }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>> {
    let mut options = Options {
        rounds: 5,
        requests: 20_000,
        connections: 32,
        kinds: Kind::ALL.to_vec(),
        memory: false,
        events: 2_000_000,
    };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{name} needs a value\n\n{USAGE}"));
        match name.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--requests" => options.requests = value()?.parse()?,
            "--connections" => options.connections = value()?.parse()?,
            "--events" => options.events = value()?.parse()?,
            "--memory" => options.memory = true,
            "--only" => {
                let names = value()?;
                let kind = |name| Kind::ALL.into_iter().find(|kind| kind.name() == name);
                let kinds = names.split(',').map(kind).collect::<Option<_>>();
                options.kinds = kinds.with_context(|| format!("--only {names}: no such row\n\n{USAGE}"))?;
            }
            "--help" => return Ok(None),
            other => bail!("no option `{other}`\n\n{USAGE}"),
        }
    }
    if [options.rounds, options.requests, options.connections].contains(&0) {
        bail!("rounds, requests and connections are at least 1");
    }
    Ok(Some(options))
}

/// What a row was measured at in one round.
#[derive(Clone, Copy)]
struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    processor_us: f64,
}

struct Row {
    kind: Kind,
    envoy: Envoy,
    rounds: Vec<Measured>,
}

fn throughput(options: &Options) -> Result<()> {
    let idle = idle::start()?;
    let mut sender = Sender::new();
    let mut rows = Vec::new();
    for kind in &options.kinds {
        rows.push(Row { kind: *kind, envoy: Envoy::start(*kind, idle)?, rounds: Vec::new() });
    }
    // Round 0 is not counted: V8 compiles, connections are made, caches fill.
    for round in 0..=options.rounds {
        let batch = Rc::new(sender.batch(options.requests)?);
        let first = round % rows.len();
        rows.rotate_left(first);
        for row in &mut rows {
            let before = row.envoy.processor_time()?;
            let load = send(row, &batch, options)?;
            let processor = row.envoy.processor_time()?.saturating_sub(before);
            if round == 0 {
                continue;
            }
            let measured = Measured {
                per_second: load.per_second(),
                p50_ms: load.quantile_ms(0.5),
                p99_ms: load.quantile_ms(0.99),
                processor_us: processor.as_secs_f64() * 1e6 / batch.len() as f64,
            };
            println!("  round {round}  {:<42} {:>7.0}/s", row.kind.title(), measured.per_second);
            row.rounds.push(measured);
        }
        rows.rotate_right(first);
    }
    table(&rows, options)
}

fn send(row: &Row, batch: &Rc<Batch>, options: &Options) -> Result<Load> {
    let expected = Expected::ok(row.kind.expected());
    load::send(row.envoy.address, Rc::clone(batch), options.connections, Pace::Unbounded, expected)
        .with_context(|| format!("the row `{}`", row.kind.title()))
}

fn table(rows: &[Row], options: &Options) -> Result<()> {
    println!(
        "\n{} rounds of {} requests, {} connections, one Envoy worker which serves the upstream too; median (best) of the rounds:\n",
        options.rounds, options.requests, options.connections
    );
    println!(
        "  {:<42} {:>17} {:>8} {:>8} {:>16} {:>9}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "RSS MiB"
    );
    for row in rows {
        let of = |value: fn(&Measured) -> f64| median(row.rounds.iter().map(value));
        println!(
            "  {:<42} {:>8.0} {:>8} {:>8.2} {:>8.2} {:>8.1} {:>7} {:>9.1}",
            row.kind.title(),
            of(|round| round.per_second),
            format!("({:.0})", best(row, |round| round.per_second, f64::max)),
            of(|round| round.p50_ms),
            of(|round| round.p99_ms),
            of(|round| round.processor_us),
            format!("({:.1})", best(row, |round| round.processor_us, f64::min)),
            row.envoy.resident_kib()? as f64 / 1024.0,
        );
    }
    println!();
    let find = |kind| rows.iter().find(|row| row.kind == kind);
    for peer in [Kind::Hold, Kind::ExtAuthzHttp, Kind::ExtAuthzGrpc] {
        let (Some(ours), Some(peer)) = (find(Kind::Countersign), find(peer)) else { continue };
        // Pairs of one round share what else the machine did just then.
        let pairs = ours.rounds.iter().zip(&peer.rounds);
        println!(
            "  Countersign / {}: {:.3} of the requests/s (median of the rounds' ratios; best against best {:.3}), {:.3} of the CPU",
            peer.kind.title(),
            median(pairs.clone().map(|(ours, peer)| ours.per_second / peer.per_second)),
            best(ours, |round| round.per_second, f64::max) / best(peer, |round| round.per_second, f64::max),
            median(pairs.map(|(ours, peer)| ours.processor_us / peer.processor_us)),
        );
    }
    Ok(())
}

fn best(row: &Row, value: fn(&Measured) -> f64, better: fn(f64, f64) -> f64) -> f64 {
    row.rounds.iter().map(value).reduce(better).unwrap_or_default()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// Envoy's memory while distinct events pass: the claims' table is of a fixed size, so it must come to rest.
fn memory(options: &Options) -> Result<()> {
    const CHUNK: usize = 10_000;
    let envoy = Envoy::start(Kind::Countersign, idle::start()?)?;
    let mut row = Row { kind: Kind::Countersign, envoy, rounds: Vec::new() };
    let mut sender = Sender::new();
    println!("  {:>9} events  {:>8.1} MiB", 0, row.envoy.resident_kib()? as f64 / 1024.0);
    let (mut sent, mut after_10_000, mut next) = (0, 0, CHUNK);
    while sent < options.events {
        let batch = Rc::new(sender.batch(CHUNK)?);
        send(&row, &batch, options)?;
        sent += CHUNK;
        if sent == CHUNK {
            after_10_000 = row.envoy.resident_kib()?;
        }
        if sent >= next || sent >= options.events {
            println!("  {sent:>9} events  {:>8.1} MiB", row.envoy.resident_kib()? as f64 / 1024.0);
            next = sent * 2;
        }
    }
    let grown = row.envoy.resident_kib()?.saturating_sub(after_10_000);
    println!(
        "\n  From 10,000 to {sent} distinct events Envoy's memory grew by {:.1} MiB",
        grown as f64 / 1024.0
    );
    row.rounds.clear();
    Ok(())
}
