//! `countersign redecide`: what a contract that changed makes of what was posted before.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value};

use super::connection::Connection;
use super::table::{Table, count, member, money};

/// `countersign redecide`.
#[derive(Args, Debug)]
pub(crate) struct Redecide {
    /// Whose contract changed
    #[arg(long)]
    partner: String,
    /// Of this player only, by the operator's own id
    #[arg(long)]
    account_id: Option<String>,
    /// Show at most so many deposits one by one
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    limit: u32,
    /// Post what was shown with this value
    #[arg(long, value_name = "VALUE", requires = "because")]
    confirm: Option<String>,
    /// Why; kept with what is posted
    #[arg(long, value_name = "TEXT", requires = "confirm")]
    because: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Redecide {
    /// Shows what would change, or posts what was shown.
    ///
    /// # Errors
    /// As [`super::run`].
    pub(super) fn run(&self) -> Result<()> {
        let members = [
            ("partner", Some(self.partner.clone().into())),
            ("account_id", self.account_id.clone().map(Value::from)),
            ("limit", Some(self.limit.into())),
            ("confirm", self.confirm.clone().map(Value::from)),
            ("because", self.because.clone().map(Value::from)),
        ];
        let order: Map<String, Value> =
            members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let order = Value::from(order).to_string();
        let answer = self.connection.post("redecide", "application/json", order.into_bytes())?;
        self.connection.show(&answer, print)
    }
}

fn rows<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn print(answer: &Value) {
    let counts = |name: &str, what: &str| count(answer.get(name).unwrap_or(&Value::Null), what);
    println!(
        "{} of {} deposits change, of {} of {} players",
        counts("changed", "deposits"),
        counts("looked_at", "deposits"),
        counts("changed", "accounts"),
        counts("looked_at", "accounts"),
    );
    let mut verdicts = Table::new(&["verdict", "becomes", "deposits"]);
    for verdict in rows(answer, "verdicts") {
        verdicts.row(["from", "to", "deposits"].map(|name| member(verdict, name)).to_vec());
    }
    verdicts.print();
    for (name, title) in [("sums", "owed"), ("report_sums", "in the reports")] {
        let mut sums = Table::new(&[title, "before", "after", ""]);
        for sum in rows(answer, name) {
            let [before, after] = ["before", "after"].map(|name| money(sum, name));
            sums.row(vec![member(sum, "kind"), before, after, member(sum, "currency")]);
        }
        sums.print();
    }
    changes(answer).print();
    let mut left_out = Table::new(&["left as it is", "account", "because", "do"]);
    for because in rows(answer.get("left_out").unwrap_or(&Value::Null), "because") {
        let cells = ["event_id", "account_id", "reason", "hint"].map(|name| member(because, name));
        left_out.row(cells.to_vec());
    }
    left_out.print();
    match (answer.get("posted").and_then(Value::as_bool), answer.get("confirm").and_then(Value::as_str)) {
        (Some(true), _) => println!("\nPosted."),
        (_, Some(confirm)) => {
            println!("\nNothing is posted yet. To post just this, add --confirm {confirm} --because TEXT");
        }
        (_, None) => println!("\nThere is nothing to post."),
    }
}

/// Deposits one by one, a row for each posting, or for the verdict alone.
fn changes(answer: &Value) -> Table {
    let mut table = Table::new(&["deposit", "account", "verdict", "becomes", "posting", "before", "after"]);
    for change in rows(answer, "changes") {
        let deposit = ["event_id", "account_id", "from", "to"].map(|name| member(change, name));
        let mut row = |posting: [String; 3]| table.row(deposit.iter().cloned().chain(posting).collect());
        if rows(change, "postings").next().is_none() {
            row(Default::default());
        }
        for posting in rows(change, "postings") {
            let [before, after] = ["before", "after"].map(|name| sum(posting.get(name)));
            row([member(posting, "kind"), before, after]);
        }
    }
    table
}

/// Money that is an object of its own; nothing where there is none.
fn sum(sum: Option<&Value>) -> String {
    let Some(sum) = sum.filter(|sum| !sum.is_null()) else { return String::new() };
    format!("{} {}", money(sum, "minor"), member(sum, "currency"))
}
