//! What operators ask of a running application, over HTTP: `/internal/…` (docs/ledger.md).

mod connection;
mod dead_letters;
mod duplicates;
mod redecide;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::unusable;

use connection::Connection;
use table::{Table, count, member, money, time};

/// The commands of administration.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Exchange rates
    #[command(subcommand)]
    Fx(Fx),
    /// Ad spend
    #[command(subcommand)]
    Costs(Costs),
    /// Show what waits to be posted, and what for
    Queue(Bare),
    /// Post what is due now, as cron does
    Tick(Bare),
    /// Show the ledger's sums in the currency of the reports
    Totals(Totals),
    /// Show refused requests whose signature was right, and how many were refused in all
    Rejections(Rejections),
    /// Take out what is known of a player; the sums stay
    Erase(Erase),
    /// Show what a contract that changed makes of what was posted before; post it once that is confirmed
    Redecide(redecide::Redecide),
    /// Events that could not be posted
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Events that were answered duplicate_of and are not posted
    #[command(subcommand)]
    Duplicates(duplicates::Command),
}

/// `countersign fx …`.
#[derive(Subcommand, Debug)]
pub(crate) enum Fx {
    /// Import the European Central Bank's history of rates (eurofxref-hist.csv): all of it, or nothing
    Import(Import),
}

/// `countersign costs …`.
#[derive(Subcommand, Debug)]
pub(crate) enum Costs {
    /// Import ad spend from a CSV file of `date,campaign,amount,currency`: all of it, or nothing
    Import(Import),
}

/// A file to import.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The CSV file
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// A command without options of its own.
#[derive(Args, Debug)]
pub(crate) struct Bare {
    #[command(flatten)]
    connection: Connection,
}

/// `countersign totals`.
#[derive(Args, Debug)]
pub(crate) struct Totals {
    /// What to sum by
    #[arg(long, default_value = "month", value_parser = ["month", "day", "partner", "campaign", "account"])]
    by: String,
    #[command(flatten)]
    connection: Connection,
}

/// `countersign rejections`.
#[derive(Args, Debug)]
pub(crate) struct Rejections {
    /// Of this partner only
    #[arg(long)]
    partner: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
}

/// `countersign erase`.
#[derive(Args, Debug)]
pub(crate) struct Erase {
    /// Whose player
    #[arg(long)]
    partner: String,
    /// The player, by the operator's own id
    #[arg(long)]
    account_id: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs a command.
///
/// # Errors
/// No token is named, nobody listens, or the application refuses.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Fx(Fx::Import(import)) => import.run("fx", |answer| {
            format!("{} days with {} rates", count(answer, "days"), count(answer, "quotes"))
        }),
        Command::Costs(Costs::Import(import)) => {
            import.run("costs", |answer| format!("{} rows", count(answer, "rows")))
        }
        Command::Queue(bare) => {
            let answer = bare.connection.get("queue")?;
            bare.connection.show(&answer, queue)
        }
        Command::Tick(bare) => {
            let answer = bare.connection.post("tick", "application/json", Vec::new())?;
            bare.connection.show(&answer, tick)
        }
        Command::Totals(totals) => {
            let answer = totals.connection.get(&format!("totals?by={}", totals.by))?;
            totals.connection.show(&answer, |answer| print_totals(&totals.by, answer))
        }
        Command::Rejections(rejections) => {
            let partner =
                rejections.partner.as_ref().map_or(String::new(), |name| format!("&partner={name}"));
            let answer =
                rejections.connection.get(&format!("rejections?limit={}{partner}", rejections.limit))?;
            rejections.connection.show(&answer, print_rejections)
        }
        Command::Erase(erase) => {
            let order = json!({ "partner": erase.partner, "account_id": erase.account_id }).to_string();
            let answer = erase.connection.post("erase", "application/json", order.into_bytes())?;
            erase.connection.show(&answer, |answer| {
                println!("Erased; the sums are under {}.", member(answer, "pseudonym"))
            })
        }
        Command::Redecide(redecide) => redecide.run(),
        Command::DeadLetters(command) => dead_letters::run(command),
        Command::Duplicates(command) => duplicates::run(command),
    }
}

impl Import {
    fn run(&self, path: &str, imported: impl Fn(&Value) -> String) -> Result<()> {
        let answer = self.connection.post(path, "text/csv", bytes(&self.file)?)?;
        self.connection.show(&answer, |answer| println!("Imported {}.", imported(answer)))
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| unusable(format!("{}: {error}", file.display())))
}

fn queue(answer: &Value) {
    let oldest = time(answer, "oldest_received_at");
    println!(
        "{} queued{}",
        count(answer, "queued"),
        if oldest.is_empty() { oldest } else { format!(", the oldest since {oldest}") }
    );
    reasons("waiting for", answer, "waiting");
    reasons("dead letters", answer, "dead_letters");
}

/// Reasons with their counts, which come in pairs.
fn reasons(title: &str, answer: &Value, name: &str) {
    let pairs = answer.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut table = Table::new(&[title, "events"]);
    for pair in pairs {
        table.row(vec![member(pair, 0), member(pair, 1)]);
    }
    table.print();
}

fn tick(answer: &Value) {
    let tally = answer.get("tally").unwrap_or(&Value::Null);
    let [posted, repeated, waiting, dead] =
        ["posted", "repeated", "waiting", "dead"].map(|name| count(tally, name));
    println!("{posted} posted, {repeated} posted before, {waiting} waiting, {dead} dead letters");
    if let Some(due) = answer.get("next_due").and_then(Value::as_str) {
        println!("the next is due at {due}");
    }
}

fn print_totals(by: &str, answer: &Value) {
    let totals = answer.get("totals").and_then(Value::as_array).into_iter().flatten();
    let columns = [
        by,
        "events",
        "registrations",
        "first deposits",
        "disputed",
        "deposits",
        "reversals",
        "NGR",
        "CPA",
        "share",
        "",
    ];
    let mut table = Table::new(&columns);
    for total in totals {
        let counts = ["events", "registrations", "first_deposits", "ftd_disagreements"]
            .map(|name| member(total, name));
        let sums = ["deposits", "reversals", "ngr", "cpa", "revenue_share"].map(|name| money(total, name));
        let row = [member(total, "group")].into_iter().chain(counts).chain(sums);
        table.row(row.chain([member(total, "currency")]).collect());
    }
    table.print();
}

fn print_rejections(answer: &Value) {
    let rows = |name: &str| answer.get(name).and_then(Value::as_array).into_iter().flatten();
    if rows("counts").next().is_none() {
        return println!("There are none.");
    }
    let mut kept = Table::new(&["refused at", "partner", "code", "event", "event id", "key", "source"]);
    for rejection in rows("rejections") {
        let rest =
            ["partner", "code", "event", "event_id", "key_id", "source"].map(|name| member(rejection, name));
        kept.row([time(rejection, "rejected_at")].into_iter().chain(rest).collect());
    }
    kept.print();
    let mut counts = Table::new(&["hour from", "partner", "code", "refused"]);
    for refused in rows("counts") {
        let rest = ["partner", "code", "count"].map(|name| member(refused, name));
        counts.row([time(refused, "hour_ms")].into_iter().chain(rest).collect());
    }
    counts.print();
}
