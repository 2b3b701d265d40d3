//! `countersign duplicates`: events with an id of their own that say again what another event has said.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::connection::{Connection, word};
use super::table::{Table, member, time};

/// `countersign duplicates …`.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List them by id, the oldest first
    List(List),
    /// Show one with its payload
    Show(Show),
}

/// `countersign duplicates list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Of this partner only
    #[arg(long, value_parser = word)]
    partner: Option<String>,
    /// Those behind this id
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: u64,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
}

/// `countersign duplicates show`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Its id, as `list` shows it
    id: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Runs a command.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(list) => {
            let partner = list.partner.as_ref().map_or(String::new(), |name| format!("&partner={name}"));
            let path = format!("duplicates?after={}&limit={}{partner}", list.after, list.limit);
            list.connection.show(&list.connection.get(&path)?, print_list)
        }
        Command::Show(show) => {
            let answer = show.connection.get(&format!("duplicates/{}", show.id))?;
            show.connection.show(&answer, print_one)
        }
    }
}

fn print_list(answer: &Value) {
    let duplicates =
        answer.get("duplicates").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if duplicates.is_empty() {
        println!("There are none.");
    }
    let mut table = Table::new(&[
        "id",
        "partner",
        "event",
        "event id",
        "duplicate of",
        "click id",
        "happened at",
        "received at",
    ]);
    for duplicate in duplicates {
        let words = ["id", "partner", "event", "event_id", "duplicate_of", "click_id"]
            .map(|name| member(duplicate, name));
        let times = ["ts_event", "received_at"].map(|name| time(duplicate, name));
        table.row(words.into_iter().chain(times).collect());
    }
    table.print();
    if let Some(next) = answer.get("next").and_then(Value::as_i64) {
        println!("\nThere may be more: --after {next}");
    }
}

fn print_one(answer: &Value) {
    for name in ["id", "partner", "event", "event_id", "duplicate_of", "click_id", "key_id", "payload_hash"] {
        println!("{name:14} {}", member(answer, name));
    }
    for name in ["ts_event", "received_at"] {
        println!("{name:14} {}", time(answer, name));
    }
    // It goes with its retention.
    let payload = member(answer, "payload");
    if !payload.is_empty() {
        println!("{:14} {payload}", "payload");
    }
}
