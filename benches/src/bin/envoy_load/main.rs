//! `cargo xtask bench envoy`: the real Envoy under load, with and without Countersign, in one table from one run.
//!
//! One Envoy per row, whose workers serve the upstream too, and the row's service beside it. They take turns, round after round, with
//! the same requests, so that a busy machine disturbs all rows alike. Every answer is looked at; one that is not a 200 voids the run.
//!
//! | file | what it does |
//! |---|---|
//! | `kind` | the rows |
//! | `row` | one row under way, and what it is measured at |
//! | `table` | what is printed |
//! | `envoy`, `bootstrap`, `shipped` | the process of an Envoy, and its configuration |
//! | `service`, `serve` | the process of a service, from outside and from inside |
//! | `idle` | the services that do no work |
//! | `authz`, `check`, `grpc` | the gate behind `ext_authz`, its messages, and gRPC |
//! | `proxy` | the gate as a reverse proxy |
//! | `native`, `fields` | what both gates have in common |
//! | `process` | processor time and memory of a process |

mod authz;
mod bootstrap;
mod check;
mod envoy;
/// The filter's own list of header fields that do not pass.
#[path = "../../../../envoy/src/fields.rs"]
mod fields;
mod grpc;
mod idle;
mod kind;
mod native;
mod process;
mod proxy;
mod row;
mod serve;
mod service;
mod shipped;
mod table;

use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

use countersign_benches::postbacks::Sender;
use kind::Kind;
use row::Row;

const USAGE: &str = "\
Options of `cargo xtask bench envoy`:

  --rounds N        how often each row is measured (default 5)
  --requests N      requests of one row in one round (default 20000)
  --connections N   connections, one request under way on each (default 32)
  --workers N       workers of each Envoy, and threads of each service (default 1)
  --only A,B        rows: none, lua, ext_authz_http, ext_authz_grpc, hold, ext_authz_native, native_proxy, countersign
  --memory          instead: Envoy's memory after 10,000 and after 2,000,000 distinct events
  --events N        with --memory: another number than 2,000,000
";

struct Options {
    rounds: usize,
    requests: usize,
    connections: usize,
    workers: usize,
    kinds: Vec<Kind>,
    memory: bool,
    events: usize,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == service::SERVE).is_some() {
        return serve::serve(arguments);
    }
    let Some(options) = options(arguments)? else {
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
        workers: 1,
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
            "--workers" => options.workers = value()?.parse()?,
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
    if [options.rounds, options.requests, options.connections, options.workers].contains(&0) {
        bail!("rounds, requests, connections and workers are at least 1");
    }
    Ok(Some(options))
}

fn throughput(options: &Options) -> Result<()> {
    let mut sender = Sender::new();
    let mut rows = Vec::new();
    for kind in &options.kinds {
        rows.push(Row::start(*kind, options.workers)?);
    }
    // Round 0 is not counted: V8 compiles, connections are made, caches fill.
    for round in 0..=options.rounds {
        let batch = Rc::new(sender.batch(options.requests)?);
        let first = round % rows.len();
        rows.rotate_left(first);
        for row in &mut rows {
            let measured = row.measure(&batch, options.connections)?;
            if round > 0 {
                println!("  round {round}  {:<42} {:>7.0}/s", row.kind.title(), measured.per_second);
                row.rounds.push(measured);
            }
        }
        rows.rotate_right(first);
    }
    println!(
        "\n{} rounds of {} requests, {} connections, {} worker(s) of Envoy, which serve the upstream too, and as many threads of a \
         service; median (best) of the rounds:\n",
        options.rounds, options.requests, options.connections, options.workers
    );
    table::table(&rows)?;
    table::peers(&rows);
    table::shared_data(&rows)
}

/// Envoy's memory while distinct events pass: the claims' table is of a fixed size, so it must come to rest.
fn memory(options: &Options) -> Result<()> {
    const CHUNK: usize = 10_000;
    let row = Row::start(Kind::Countersign, options.workers)?;
    let mut sender = Sender::new();
    println!("  {:>9} events  {:>8.1} MiB", 0, row.resident_kib()? as f64 / 1024.0);
    let (mut sent, mut after_10_000, mut next) = (0, 0, CHUNK);
    while sent < options.events {
        let batch = Rc::new(sender.batch(CHUNK)?);
        row.measure(&batch, options.connections)?;
        sent += CHUNK;
        if sent == CHUNK {
            after_10_000 = row.resident_kib()?;
        }
        if sent >= next || sent >= options.events {
            println!("  {sent:>9} events  {:>8.1} MiB", row.resident_kib()? as f64 / 1024.0);
            next = sent * 2;
        }
    }
    let grown = row.resident_kib()?.saturating_sub(after_10_000);
    println!(
        "\n  From 10,000 to {sent} distinct events Envoy's memory grew by {:.1} MiB",
        grown as f64 / 1024.0
    );
    Ok(())
}
