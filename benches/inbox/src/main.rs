//! `cargo xtask bench inbox`: the gate on this project's Spin host, over real HTTP, each event committed and flushed.
//!
//! Both rows run the same gate.wasm: in the first an instance serves one request at a time, as a Spin that was started with
//! `--max-instance-concurrent-reuse-count 1`, in the second 16.

mod gate;
mod writer;

use std::rc::Rc;

use anyhow::{Context as _, Result, bail, ensure};
use countersign_benches::load::{self, Load, Pace};
use countersign_benches::postbacks::Sender;

use crate::gate::Gate;
use crate::writer::Writer;

const USAGE: &str = "\
Options of `cargo xtask bench inbox`:

  --rounds N        how often each row is measured (default 3)
  --requests N      requests of one row in one round (default 20000)
  --connections N   senders, one request under way for each (default 64)
  --seconds N       of the steady part, in one round (default 10)
";

/// Requests a second of the steady part.
const STEADY: u32 = 500;
/// What a fresh event is answered.
const ACCEPTED: &str = r#""idempotent":false"#;

struct Options {
    rounds: usize,
    requests: usize,
    connections: usize,
    seconds: u32,
}

/// The rows: their titles, and how many requests an instance serves at a time; 16 is what Spin has unless it is told otherwise.
const ROWS: [(&str, usize); 2] =
    [("one request at a time in an instance", 1), ("16 requests at a time in an instance", 16)];

fn main() -> Result<()> {
    let Some(options) = options(std::env::args().skip(1))? else {
        print!("{USAGE}");
        return Ok(());
    };
    let mut sender = Sender::new();
    let mut rows = Vec::new();
    for (title, requests_at_a_time) in ROWS {
        rows.push(Row {
            title,
            gate: Gate::start(requests_at_a_time)?,
            crowd: Vec::new(),
            steady: Vec::new(),
        });
    }
    // Round 0 is not counted: instances start, files grow, caches fill.
    for round in 0..=options.rounds {
        for row in &mut rows {
            let crowd = row.crowd(&mut sender, &options)?;
            let steady = row.steady(&mut sender, &options)?;
            if round > 0 {
                println!(
                    "  round {round}  {:<32} {:>6.0}/s, steady p99 {:.1} ms",
                    row.title, crowd.per_second, steady.p99_ms
                );
                row.crowd.push(crowd);
                row.steady.push(steady);
            }
        }
    }
    table(&rows, &options);
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>> {
    let mut options = Options { rounds: 3, requests: 20_000, connections: 64, seconds: 10 };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{name} needs a value\n\n{USAGE}"));
        match name.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--requests" => options.requests = value()?.parse()?,
            "--connections" => options.connections = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--help" => return Ok(None),
            other => bail!("no option `{other}`\n\n{USAGE}"),
        }
    }
    let least = options.rounds.min(options.requests).min(options.connections);
    ensure!(least > 0 && options.seconds > 0, "every number is at least 1");
    Ok(Some(options))
}

struct Row {
    title: &'static str,
    gate: Gate,
    crowd: Vec<Measured>,
    steady: Vec<Measured>,
}

/// What a row was measured at in one round.
#[derive(Clone, Copy)]
struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// SQL statements for each event.
    statements: f64,
    /// Rows a second of the other writer.
    written: f64,
}

impl Row {
    /// All senders at once, as fast as they are answered.
    fn crowd(&self, sender: &mut Sender, options: &Options) -> Result<Measured> {
        self.measure(sender, options.requests, options.connections, Pace::Unbounded)
    }

    /// A rate that the gate can keep up with, while another connection writes.
    fn steady(&self, sender: &mut Sender, options: &Options) -> Result<Measured> {
        let writer = Writer::start(self.gate.database())?;
        let count = usize::try_from(STEADY)? * usize::try_from(options.seconds)?;
        let measured = self.measure(sender, count, options.connections, Pace::PerSecond(STEADY));
        let written = writer.stop()?;
        Ok(Measured { written, ..measured? })
    }

    fn measure(&self, sender: &mut Sender, count: usize, connections: usize, pace: Pace) -> Result<Measured> {
        let batch = Rc::new(sender.batch(count)?);
        let (events, statements) = (self.gate.events()?, self.gate.statements());
        let load: Load = load::send(self.gate.address(), batch, connections, pace, ACCEPTED)
            .with_context(|| format!("the row `{}`", self.title))?;
        let kept = usize::try_from(self.gate.events()? - events)?;
        ensure!(kept == count, "the run is void: of {count} events that were accepted the inbox has {kept}");
        Ok(Measured {
            per_second: load.per_second(),
            p50_ms: load.quantile_ms(0.5),
            p99_ms: load.quantile_ms(0.99),
            statements: (self.gate.statements() - statements) as f64 / count as f64,
            written: 0.0,
        })
    }
}

fn table(rows: &[Row], options: &Options) {
    println!(
        "\n{} rounds, {} senders; median of the rounds. Steady: {STEADY} requests/s for {} s while another connection writes.\n",
        options.rounds, options.connections, options.seconds
    );
    println!(
        "  {:<32} {:>9} {:>8} {:>8} {:>17} {:>14} {:>14} {:>16}",
        "",
        "events/s",
        "p50 ms",
        "p99 ms",
        "statements/event",
        "steady p50 ms",
        "steady p99 ms",
        "written rows/s"
    );
    for row in rows {
        let crowd = |value: fn(&Measured) -> f64| median(row.crowd.iter().map(value));
        let steady = |value: fn(&Measured) -> f64| median(row.steady.iter().map(value));
        println!(
            "  {:<32} {:>9.0} {:>8.1} {:>8.1} {:>17.2} {:>14.1} {:>14.1} {:>16.0}",
            row.title,
            crowd(|round| round.per_second),
            crowd(|round| round.p50_ms),
            crowd(|round| round.p99_ms),
            crowd(|round| round.statements),
            steady(|round| round.p50_ms),
            steady(|round| round.p99_ms),
            steady(|round| round.written),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}
