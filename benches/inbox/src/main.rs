//! `cargo xtask bench inbox`: the application on this project's Spin host, over real HTTP, each event committed and flushed.
//!
//! All rows are measured twice with the same wasm files: with instances that serve one request at a time, as those of a Spin that was
//! started with `--max-instance-concurrent-reuse-count 1`, and with instances that serve 16. Beside them stands SQLite alone with
//! one insert for each event (`alone.rs`), in the same rounds.

mod alone;
mod application;
mod clicks;
mod gate;

use std::rc::Rc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use countersign_benches::load::{self, Expected, Load, Pace};
use countersign_benches::postbacks::Sender;

use crate::application::{Application, document};
use crate::clicks::Clicks;
use crate::gate::Gate;

const USAGE: &str = "\
Options of `cargo xtask bench inbox`:

  --rounds N        how often each row is measured (default 3)
  --requests N      requests of one row in one round (default 20000)
  --connections N   senders, one request under way for each (default 64)
  --seconds N       of the part beside the worker, in one round (default 5)
  --backlog N       events that the worker has to post meanwhile (default 40000 for each second and two more)
  --clicks N        clicks of one round (default 20000)
";

/// Requests a second of the steady part.
const STEADY: u32 = 500;
/// How long the worker may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a fresh event is answered.
const ACCEPTED: Expected = Expected::ok(r#""idempotent":false"#);

struct Options {
    rounds: usize,
    requests: usize,
    connections: usize,
    seconds: u32,
    backlog: Option<u32>,
    clicks: usize,
}

/// The row that the others are compared with.
const ALONE: &str = "SQLite alone, one insert for each event";

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
            requests_at_a_time,
            gate: Gate::start(requests_at_a_time)?,
            crowd: Vec::new(),
            steady: Vec::new(),
            clicks: Vec::new(),
        });
    }
    let mut alone = Vec::new();
    // Round 0 is not counted: instances start, files grow, caches fill.
    for round in 0..=options.rounds {
        for row in &mut rows {
            let crowd = row.crowd(&mut sender, &options)?;
            let steady = row.steady(&mut sender, &options)?;
            let clicks = Clicks::measure(options.clicks, options.connections, row.requests_at_a_time)?;
            if round > 0 {
                println!(
                    "  round {round}  {:<38} {:>6.0} events/s, beside the worker p99 {:.1} ms ({} posted), {:>6.0} clicks/s",
                    row.title, crowd.per_second, steady.p99_ms, steady.posted, clicks.per_second
                );
                row.crowd.push(crowd);
                row.steady.push(steady);
                row.clicks.push(clicks);
            }
        }
        let inserted = alone::measure(rows[0].gate.database(), options.requests, options.connections)?;
        if round > 0 {
            println!("  round {round}  {ALONE:<38} {inserted:>6.0} events/s");
            alone.push(inserted);
        }
    }
    table(&rows, &alone, &options);
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>> {
    let mut options =
        Options { rounds: 3, requests: 20_000, connections: 64, seconds: 5, backlog: None, clicks: 20_000 };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{name} needs a value\n\n{USAGE}"));
        match name.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--requests" => options.requests = value()?.parse()?,
            "--connections" => options.connections = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--backlog" => options.backlog = Some(value()?.parse()?),
            "--clicks" => options.clicks = value()?.parse()?,
            "--help" => return Ok(None),
            other => bail!("no option `{other}`\n\n{USAGE}"),
        }
    }
    let least = options.rounds.min(options.requests).min(options.connections).min(options.clicks);
    ensure!(least > 0 && options.seconds > 0, "every number is at least 1");
    Ok(Some(options))
}

struct Row {
    title: &'static str,
    requests_at_a_time: usize,
    gate: Gate,
    crowd: Vec<Measured>,
    steady: Vec<Beside>,
    clicks: Vec<Clicks>,
}

/// What a row was measured at in one round.
#[derive(Clone, Copy)]
struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// SQL statements for each event.
    statements: f64,
}

/// What the part beside the worker was measured at in one round.
#[derive(Clone, Copy)]
struct Beside {
    p50_ms: f64,
    p99_ms: f64,
    /// Events that the worker posted meanwhile, and in how many seconds.
    posted: i64,
    seconds: f64,
}

impl Beside {
    fn posted_per_second(&self) -> f64 {
        self.posted as f64 / self.seconds
    }
}

impl Row {
    /// All senders at once, as fast as they are answered.
    fn crowd(&self, sender: &mut Sender, options: &Options) -> Result<Measured> {
        self.measure(sender, options.requests, options.connections, Pace::Unbounded)
    }

    /// A rate that the gate can keep up with, while the worker posts what was queued before: an application of its own, whose worker
    /// has more to do than it can.
    fn steady(&self, sender: &mut Sender, options: &Options) -> Result<Beside> {
        let application = Application::start(&document(), self.requests_at_a_time)?;
        let send = |sender: &mut Sender, count: usize| {
            let batch = Rc::new(sender.batch(count)?);
            load::send(application.address(), batch, options.connections, Pace::PerSecond(STEADY), ACCEPTED)
                .with_context(|| format!("the row `{}`, beside the worker", self.title))
        };
        send(sender, 1)?;
        let backlog = application.queue(
            options.backlog.unwrap_or_else(|| options.seconds.saturating_add(2).saturating_mul(40_000)),
        )?;
        // The worker is woken by an accept, a second after the last one at the latest.
        let entries = "SELECT count(*) FROM entry";
        let begin = Instant::now();
        while application.number(entries)? < 2 {
            ensure!(begin.elapsed() < PATIENCE, "the run is void: the worker posts nothing");
            send(sender, 1)?;
            sleep(Duration::from_millis(50));
        }
        let count = usize::try_from(STEADY)? * usize::try_from(options.seconds)?;
        let (accepted, posted, begin) =
            (application.number("SELECT max(id) FROM inbox")?, application.number(entries)?, Instant::now());
        let load = send(sender, count)?;
        let seconds = begin.elapsed().as_secs_f64();
        let posted = application.number(entries)? - posted;
        let left = application.number(&format!("SELECT count(*) FROM queue WHERE inbox_id <= {backlog}"))?;
        ensure!(
            left > 0,
            "the run is void: the worker had nothing left to post; give it more with --backlog"
        );
        let kept = application.number("SELECT max(id) FROM inbox")? - accepted;
        ensure!(
            usize::try_from(kept)? == count,
            "the run is void: of {count} events that were accepted the inbox has {kept}"
        );
        Ok(Beside { p50_ms: load.quantile_ms(0.5), p99_ms: load.quantile_ms(0.99), posted, seconds })
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
        })
    }
}

fn table(rows: &[Row], alone: &[f64], options: &Options) {
    let alone = median(alone.iter().copied());
    println!(
        "\n{} rounds, {} senders; median of the rounds. Beside the worker: {STEADY} requests/s for {} s.\n",
        options.rounds, options.connections, options.seconds
    );
    println!(
        "  {:<38} {:>9} {:>8} {:>8} {:>8} {:>17} {:>14} {:>14} {:>9}",
        "",
        "events/s",
        "of alone",
        "p50 ms",
        "p99 ms",
        "statements/event",
        "beside p50 ms",
        "beside p99 ms",
        "posted/s"
    );
    println!("  {ALONE:<38} {alone:>9.0} {:>8.2}", 1.0);
    for row in rows {
        let crowd = |value: fn(&Measured) -> f64| median(row.crowd.iter().map(value));
        let steady = |value: fn(&Beside) -> f64| median(row.steady.iter().map(value));
        println!(
            "  {:<38} {:>9.0} {:>8.2} {:>8.1} {:>8.1} {:>17.2} {:>14.1} {:>14.1} {:>9.0}",
            row.title,
            crowd(|round| round.per_second),
            crowd(|round| round.per_second) / alone,
            crowd(|round| round.p50_ms),
            crowd(|round| round.p99_ms),
            crowd(|round| round.statements),
            steady(|round| round.p50_ms),
            steady(|round| round.p99_ms),
            steady(Beside::posted_per_second),
        );
    }
    println!(
        "\n  {:<38} {:>9} {:>8} {:>8} {:>9} {:>6} {:>24} {:>10}",
        "", "clicks/s", "p50 ms", "p99 ms", "stored", "lost", "first answer, 10,000 ms", "one ms"
    );
    for row in rows {
        let clicks = |value: fn(&Clicks) -> f64| median(row.clicks.iter().map(value));
        let all = |value: fn(&Clicks) -> i64| row.clicks.iter().map(value).sum::<i64>();
        println!(
            "  {:<38} {:>9.0} {:>8.1} {:>8.1} {:>9} {:>6} {:>24.1} {:>10.1}",
            row.title,
            clicks(|round| round.per_second),
            clicks(|round| round.p50_ms),
            clicks(|round| round.p99_ms),
            all(|round| round.stored),
            all(|round| round.lost),
            clicks(|round| round.first_ms),
            clicks(|round| round.first_of_one_ms),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}
