//! The names that SQL text and docs list are those of the closed enums: a forgotten one fails here.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use countersign_core::event::EventType;
use countersign_ledger::attribution::AttributionName;
use countersign_ledger::click::Kind;
use countersign_ledger::decision::{DeadCause, Verdict, WaitReason};
use countersign_ledger::posting_row::PostingKind;
use countersign_ledger::schema::MIGRATIONS;
use countersign_ledger::trace::CANDIDATES;

fn of<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|value| name(*value)).collect()
}

/// The texts in single quotes, in their order.
fn quoted(text: &str) -> Vec<&str> {
    text.split('\'').skip(1).step_by(2).collect()
}

/// What stands behind a mark in SQL text, up to another; everywhere.
fn behind<'t>(text: &'t str, mark: &'t str, end: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(mark).skip(1).map(move |rest| rest.split(end).next().unwrap())
}

#[test]
fn columns_of_names_say_which_there_are() {
    let column = |table: &str, column: &str| {
        let table = MIGRATIONS.iter().find_map(|file| behind(file, table, "STRICT").next()).unwrap();
        let line = table.lines().find(|line| line.trim_start().starts_with(column)).unwrap();
        quoted(line).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(column("EXISTS posting (", "kind "), of(PostingKind::ALL, PostingKind::as_str));
    assert_eq!(column("EXISTS click (", "kind "), of(Kind::ALL, Kind::as_str));
    assert_eq!(column("EXISTS entry (", "attribution "), of(AttributionName::ALL, AttributionName::as_str));
}

#[test]
fn what_statements_compare_with_is_a_name() {
    let events = EventType::BUILT_IN.iter().map(EventType::as_str).collect::<Vec<_>>();
    let kinds = of(Kind::ALL, Kind::as_str);
    let mut compared = 0;
    for sql in MIGRATIONS.into_iter().chain([CANDIDATES]) {
        for (mark, names) in [("event = '", &events), (" kind = '", &kinds)] {
            for name in behind(sql, mark, "'") {
                assert!(names.contains(&name), "{mark}{name}'");
                compared += 1;
            }
        }
    }
    assert!(compared >= 6, "{compared}");
}

/// Names of event types and of what takes money back stand in one table each. Statements are built from those.
#[test]
fn no_other_source_spells_an_event_type() {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = Vec::new();
    for component in ["core", "ledger", "spin", "gate", "click", "worker", "embed"] {
        list(&components.join(component).join("src"), &mut sources);
    }
    assert!(sources.len() > 80, "{}", sources.len());
    let tables = ["core/src/event/vocabulary.rs", "ledger/src/posting_row.rs"];
    // `install` is the name of a table too.
    let names =
        EventType::BUILT_IN.iter().filter(|event| **event != EventType::Install).map(EventType::as_str);
    let names: Vec<_> = names.collect();
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for name in &names {
            let spelled =
                [format!("\"{name}\""), format!("'{name}'")].iter().any(|quoted| text.contains(quoted));
            let is_table = tables.iter().any(|table| source.ends_with(table));
            assert!(
                is_table || !spelled,
                "{} has {name:?}: take it from EventType or PostingKind",
                source.display()
            );
        }
    }
}

fn list(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}

/// The first column of the table under a heading of docs/ledger.md that has that one as its head; names without their quotes.
fn documented(head: &str) -> Vec<String> {
    let page = format!("{}/../../docs/ledger.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page}: {error}"));
    let rows = page.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_docs_list_every_name_once() {
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    let owned = |names: Vec<&str>| sorted(names.into_iter().map(str::to_owned).collect());
    let verdicts = owned(of(Verdict::ALL, Verdict::as_str));
    assert_eq!(sorted(documented("| verdict |")), verdicts);
    assert_eq!(sorted(documented("| reason | it waits for")), owned(of(WaitReason::ALL, WaitReason::as_str)));
    assert_eq!(sorted(documented("| reason | cause")), owned(of(DeadCause::ALL, DeadCause::as_str)));
    let mut events = documented("| event |");
    events.sort_unstable();
    events.dedup();
    events.retain(|name| name != "bonus");
    assert_eq!(events, owned(EventType::BUILT_IN.iter().map(EventType::as_str).collect()));
}
