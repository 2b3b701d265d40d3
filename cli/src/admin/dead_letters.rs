//! `countersign dead-letters`: events that could not be posted are looked at, sent through the posting again, or given up.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::connection::{Connection, word};
use super::table::{Table, count, member, time};

/// `countersign dead-letters …`.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List them by id, the discarded ones too
    List(List),
    /// Show one with its payload and receipt
    Show(Show),
    /// Put them back into the queue, each under the event id that it has
    Replay(Replay),
    /// Give them up; the reason is kept with them
    Discard(Discard),
}

/// `countersign dead-letters list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Of this reason only
    #[arg(long, value_parser = word)]
    reason: Option<String>,
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

/// `countersign dead-letters show`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Its id, as `list` shows it
    id: u64,
    #[command(flatten)]
    connection: Connection,
}

/// `countersign dead-letters replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connection: Connection,
}

/// `countersign dead-letters discard`.
#[derive(Args, Debug)]
pub(crate) struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Why the events may be given up
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    connection: Connection,
}

/// Which of them: all conditions that are named must hold, and one must be.
#[derive(Args, Debug)]
struct Selection {
    #[command(flatten)]
    which: Which,
    /// Only say which they are
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Which {
    /// Those with these ids, with commas between
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    ids: Option<Vec<u64>>,
    /// From this id on, with --to
    #[arg(long, value_name = "ID", requires = "to")]
    from: Option<u64>,
    /// Up to this id, with --from
    #[arg(long, value_name = "ID", requires = "from")]
    to: Option<u64>,
    /// Those of this reason
    #[arg(long)]
    reason: Option<String>,
    /// Those of this partner
    #[arg(long)]
    partner: Option<String>,
}

/// Runs a command.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(list) => {
            let mut path = format!("dead-letters?after={}&limit={}", list.after, list.limit);
            for (name, value) in [("reason", &list.reason), ("partner", &list.partner)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={value}"));
                }
            }
            list.connection.show(&list.connection.get(&path)?, print_list)
        }
        Command::Show(show) => {
            let answer = show.connection.get(&format!("dead-letters/{}", show.id))?;
            show.connection.show(&answer, print_one)
        }
        Command::Replay(replay) => {
            let answer = order(&replay.connection, "replay", &replay.selection, None)?;
            replay.connection.show(&answer, |answer| print_order("replayed", answer))
        }
        Command::Discard(discard) => {
            let answer = order(&discard.connection, "discard", &discard.selection, Some(&discard.because))?;
            discard.connection.show(&answer, |answer| print_order("discarded", answer))
        }
    }
}

fn order(connection: &Connection, what: &str, selection: &Selection, because: Option<&str>) -> Result<Value> {
    let Which { ids, from, to, reason, partner } = &selection.which;
    let members = [
        ("ids", ids.clone().map(Value::from)),
        ("from", from.map(Value::from)),
        ("to", to.map(Value::from)),
        ("reason", reason.clone().map(Value::from)),
        ("partner", partner.clone().map(Value::from)),
        ("dry_run", Some(selection.dry_run.into())),
        ("because", because.map(Value::from)),
    ];
    let order: Map<String, Value> =
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    connection.post(
        &format!("dead-letters/{what}"),
        "application/json",
        Value::Object(order).to_string().into(),
    )
}

fn print_list(answer: &Value) {
    let letters = answer.get("dead_letters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        println!("There are none.");
    }
    let mut table =
        Table::new(&["id", "partner", "event", "event id", "reason", "attempts", "died at", "discarded"]);
    for letter in letters {
        let words =
            ["id", "partner", "event", "event_id", "reason", "attempts"].map(|name| member(letter, name));
        let more = [time(letter, "died_at"), member(letter, "discarded_as")];
        table.row(words.into_iter().chain(more).collect());
    }
    table.print();
    if let Some(next) = answer.get("next").and_then(Value::as_i64) {
        println!("\nThere may be more: --after {next}");
    }
}

fn print_one(answer: &Value) {
    for name in ["id", "partner", "event", "event_id", "reason", "detail", "attempts"] {
        println!("{name:14} {}", member(answer, name));
    }
    for name in ["received_at", "died_at", "discarded_at"] {
        let time = time(answer, name);
        if !time.is_empty() {
            println!("{name:14} {time}");
        }
    }
    for name in ["discarded_as", "receipt", "payload"] {
        let text = member(answer, name);
        if !text.is_empty() {
            println!("{name:14} {text}");
        }
    }
}

fn print_order(done: &str, answer: &Value) {
    let ids = answer.get("ids").and_then(Value::as_array).into_iter().flatten();
    let ids: Vec<String> = ids.map(ToString::to_string).collect();
    let would = if answer.get("dry_run") == Some(&Value::Bool(true)) { "would be " } else { "" };
    println!("{} {would}{done}", count(answer, done));
    if !ids.is_empty() {
        println!("ids: {}", ids.join(", "));
    }
}
