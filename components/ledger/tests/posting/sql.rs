//! The table through the SQL: what a [`SettlingRows`] says is what the tables hold after one insert into `settling`.

use std::collections::BTreeSet;
use std::fs;

use countersign_core::event::EventType;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use countersign_ledger::book::Book;
use countersign_ledger::client::DeviceClass;
use countersign_ledger::decision::{DeadCause, Decision};
use countersign_ledger::probable::Traits;
use countersign_ledger::schema::{self, MADE_ROOM};
use countersign_ledger::settling::SettlingRows;
use countersign_ledger::trace::{self, CANDIDATES, Search};
use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::Value;

use crate::table::{Block, Click, Event, Step};
use crate::{blocks, nearby, play};

const LEASE: i64 = 7;

/// A database with the inbox and the tracker's tables, carried out twice, as every start does.
pub(crate) fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let inbox = format!("{}/../spin/src/schema/inbox.sql", env!("CARGO_MANIFEST_DIR"));
    let inbox = fs::read_to_string(&inbox).unwrap_or_else(|error| panic!("{inbox}: {error}"));
    for _ in 0..2 {
        let files = [inbox.as_str()].into_iter().chain(schema::MIGRATIONS);
        for statement in files.flat_map(|file| file.split("\n\n")) {
            connection.execute_batch(statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
    }
    connection
}

pub(crate) fn json(rows: &impl Serialize) -> String {
    serde_json::to_string(rows).unwrap()
}

fn ms(time: Timestamp) -> i64 {
    i64::try_from(time.as_ms()).unwrap()
}

pub(crate) fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The rows of a query, each a JSON array.
fn rows(connection: &Connection, sql: &str, id: i64) -> Vec<Value> {
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([id], |row| row.get::<_, String>(0)).unwrap();
    found.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
}

/// Puts the event into the inbox, where it is not there yet, and takes it out of the queue.
pub(crate) fn take(connection: &Connection, event: &Event) {
    let queued = &event.queued;
    if queued.attempts == 1 {
        let sql = "INSERT INTO inbox (id, payload_hash, partner, event_id, event, click_id, ts_event, key_id, \
                   source, receipt, payload, received_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'k1', NULL, 'v1', ?8, ?9)";
        let values = params![
            queued.id,
            queued.payload_hash,
            queued.partner,
            queued.event_id,
            queued.event.as_str(),
            queued.click_id,
            ms(queued.ts_event),
            event.payload,
            ms(queued.received_at)
        ];
        connection.execute(sql, values).unwrap();
    }
    // An event that was posted, or died, comes again as a replay, or from a worker that lost its lease.
    let sql = "INSERT OR IGNORE INTO queue (inbox_id, due_at) VALUES (?1, 0)";
    connection.execute(sql, [queued.id]).unwrap();
    connection.execute("DELETE FROM dead_letter WHERE inbox_id = ?1", [queued.id]).unwrap();
    let sql = "UPDATE queue SET lease = ?2, attempts = attempts + 1 WHERE inbox_id = ?1";
    connection.execute(sql, [queued.id, LEASE]).unwrap();
}

pub(crate) fn settle(
    connection: &Connection,
    event: &Event,
    generation: i64,
    rows: &SettlingRows,
) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO settling VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let values = params![
        LEASE,
        ms(event.now),
        generation,
        json(&rows.done),
        json(&rows.entries),
        json(&rows.postings),
        json(&rows.verdicts),
        json(&rows.firsts),
        json(&rows.accounts),
        json(&rows.installs),
        json(&rows.waiting),
        json(&rows.dead)
    ];
    connection.execute(sql, values)
}

/// Each table's rows of one event, in the columns of the settling.
const READ_BACK: [&str; 8] = [
    "SELECT json_array(id, campaign, attribution, score, json(matched_by), account_id, original, said_ftd) FROM entry WHERE id = ?1",
    "SELECT json_array(json_array(entry, cause, kind), json_array(currency, minor, exponent), \
     json_array(report_currency, report_minor, report_exponent), json_array(rate_source, rate_date, rate_from, rate_to)) \
     FROM posting WHERE cause = ?1 ORDER BY id",
    "SELECT json_array(entry, cause, verdict) FROM verdict WHERE cause = ?1 ORDER BY id",
    "SELECT json_array(partner, account_id, entry) FROM first_deposit WHERE entry IN (SELECT entry FROM verdict WHERE cause = ?1 AND \
     verdict = 'first')",
    "SELECT json_array(account.partner, account.account_id, account.click_id, account.campaign, account.attribution, account.score, \
     registered_at, kyc_at) \
     FROM account JOIN entry ON entry.partner = account.partner AND entry.account_id = account.account_id \
     WHERE entry.id = ?1 AND entry.event IN ('registration', 'kyc_approved')",
    "SELECT json_array(install.partner, install_id, install.click_id, install.campaign, attribution, score) FROM install \
     JOIN inbox ON inbox.partner = install.partner AND inbox.payload ->> 'install_id' = install_id \
     WHERE inbox.id = ?1 AND inbox.event = 'install'",
    "SELECT json_array(inbox_id, due_at, reason, waits_for) FROM queue WHERE inbox_id = ?1 AND lease IS NULL",
    "SELECT json_array(inbox_id, reason, detail, attempts) FROM dead_letter WHERE inbox_id = ?1",
];

fn check(connection: &Connection, event: &Event, settled: &SettlingRows) {
    let firsts: Vec<_> =
        settled.firsts.iter().map(|(partner, account_id, entry, _)| (partner, account_id, entry)).collect();
    let said = [
        json(&settled.entries),
        json(&settled.postings),
        json(&settled.verdicts),
        json(&firsts),
        json(&settled.accounts),
        json(&settled.installs),
        json(&settled.waiting),
        json(&settled.dead),
    ];
    for (sql, said) in READ_BACK.into_iter().zip(said) {
        let said: Vec<Value> = serde_json::from_str(&said).unwrap();
        let is_repeat = settled.entries.is_empty() && sql.contains(" cause = ?1");
        // The first click of an install stands, so a later one's row is none of its own; a repeat has the rows that it had.
        if is_repeat
            || (sql.contains("FROM install") && said.is_empty())
            || sql.contains("FROM entry") && said.is_empty()
        {
            continue;
        }
        assert_eq!(rows(connection, sql, event.queued.id), said, "{}\n{sql}", event.line);
    }
}

/// What waits for an event is due once that is posted.
fn check_woken(connection: &Connection, event: &Event) {
    let sql = "SELECT count(*) FROM queue JOIN inbox ON inbox.id = ?1 \
               WHERE waits_for = 'event:' || inbox.partner || ':' || inbox.event_id AND queue.due_at > ?2";
    let late: i64 =
        connection.query_row(sql, params![event.queued.id, ms(event.now)], |row| row.get(0)).unwrap();
    assert_eq!(late, 0, "{}", event.line);
}

/// A chargeback that is reversed brings back what took back too much of its deposit before that.
fn check_room(connection: &Connection, block: &Block, event: &Event) {
    if event.queued.event != EventType::ChargebackReversed {
        return;
    }
    let values = params![DeadCause::OverRefund.as_str(), EventType::ChargebackReversed.as_str()];
    let mut statement = connection.prepare(MADE_ROOM).unwrap();
    let found = statement.query_map(values, |row| row.get(0)).unwrap();
    let found: Vec<i64> = found.map(Result::unwrap).collect();
    let undone = |event: &Event| {
        let original_id = event.queued.payload.original_event_id.clone();
        block.events().find(|other| Some(&other.queued.event_id) == original_id.as_ref()).unwrap()
    };
    let deposit = undone(undone(event)).name();
    let is_dead = |id: i64| {
        let sql = "SELECT count(*) FROM dead_letter WHERE reason = 'over_refund' AND inbox_id = ?1";
        connection.query_row(sql, [id], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    let mut expected: Vec<i64> = block
        .events()
        .filter(|other| is_dead(other.queued.id) && undone(other).name() == deposit)
        .map(|other| other.queued.id)
        .collect();
    expected.dedup();
    assert_eq!(found, expected, "{}", event.line);
}

fn play_block(file: &str, block: &Block) -> usize {
    let connection = database();
    let mut book = Book::default();
    let mut posted = 0;
    for (index, step) in block.steps.iter().enumerate() {
        if let Step::Event(event) = step {
            check_nearby(&connection, block, &book, index, event);
        }
        let (decided, Step::Event(event)) = (play(block, &mut book, index), step) else {
            continue_with(&connection, step);
            continue;
        };
        let (decision, mut settled) = decided.unwrap();
        take(&connection, event);
        if let Decision::Wait(wait) = &decision {
            let waiting = (event.queued.id, wait.until.as_ms(), wait.reason, wait.waits_for.clone());
            settled.waiting.push(waiting);
        }
        let generation = count(&connection, "SELECT count FROM generation");
        // Decided on what another batch has overtaken: refused as a whole.
        let raced = settle(&connection, event, generation + 1, &settled).unwrap_err();
        assert!(raced.to_string().contains("countersign: raced"), "{file}: {raced}");
        settle(&connection, event, generation, &settled)
            .unwrap_or_else(|error| panic!("{file}: {}: {error}", event.line));
        check(&connection, event, &settled);
        if decision == Decision::Post {
            posted += 1;
            check_woken(&connection, event);
            check_stands(&connection, event, &settled);
            check_room(&connection, block, event);
        }
    }
    let entries = count(&connection, "SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM purged)");
    assert_eq!(usize::try_from(entries).unwrap(), posted, "{file}: {}", block.title);
    posted
}

/// What is known besides events: a click ends the waiting for it.
pub(crate) fn continue_with(connection: &Connection, step: &Step) {
    match step {
        Step::Click(click) => {
            insert_click(connection, click);
            let sql = "SELECT count(*) FROM queue WHERE waits_for = 'click:' || ?1 AND due_at > ?2";
            let values = params![click.click_id, ms(click.traits.at)];
            let late: i64 = connection.query_row(sql, values, |row| row.get(0)).unwrap();
            assert_eq!(late, 0, "{}", click.click_id);
        }
        Step::Account { name, account } => {
            let touch = account.touch.as_ref().unwrap();
            let sql = "INSERT INTO account (partner, account_id, click_id, campaign, attribution, score) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let how = account.attribution.unwrap();
            let values =
                params![name.0, name.1, touch.click_id, touch.campaign, how.name().as_str(), how.score()];
            connection.execute(sql, values).unwrap();
        }
        Step::Purge(names) => {
            let sql = "INSERT INTO purging SELECT json_group_array(entry.id) FROM json_each(?1) JOIN entry \
                       ON entry.partner = value ->> 0 AND entry.event_id = value ->> 1";
            connection.execute(sql, [json(names)]).unwrap();
        }
        Step::Rates(_) | Step::Event(_) | Step::Contract(_) | Step::Redecide { .. } => {}
    }
}

fn insert_click(connection: &Connection, click: &Click) {
    let sql = "INSERT INTO click (click_id, campaign, partner, clicked_at, kind, counted, ip_prefix, device_class, geo) \
               VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8)";
    let traits = &click.traits;
    let values = params![
        click.click_id,
        click.campaign,
        click.partner.as_deref().unwrap_or("acme"),
        ms(traits.at),
        click.kind,
        traits.network.map(|network| network.to_string()),
        traits.device.as_str(),
        traits.geo.map(|geo| geo.as_str().to_owned())
    ];
    connection.execute(sql, values).unwrap();
}

/// Events, clicks, and whether the click is taken, as the SQL finds them.
fn search(connection: &Connection, searches: &[Search]) -> Vec<(i64, String, bool)> {
    let mut statement = connection.prepare(CANDIDATES).unwrap();
    let found = statement.query_map([json(&searches)], |row| {
        Ok((row.get(0)?, String::from_utf8(row.get(1)?).unwrap(), row.get(7)?))
    });
    found.unwrap().map(Result::unwrap).collect()
}

/// The SQL finds the clicks that an event may be matched with, and knows which of them players have.
fn check_nearby(connection: &Connection, block: &Block, book: &Book, index: usize, event: &Event) {
    let Some(wanted) = trace::search(block.rules(index), book, &event.queued, event.now) else { return };
    let expected = nearby(&wanted, &block.steps[..index]).into_iter().map(|candidate| {
        let click_id = candidate.click_id.as_str().to_owned();
        let is_taken = book.taken.contains(&(event.queued.partner.clone(), click_id.clone()));
        (event.queued.id, click_id, is_taken)
    });
    let expected: BTreeSet<_> = expected.collect();
    assert_eq!(
        search(connection, &[wanted]).into_iter().collect::<BTreeSet<_>>(),
        expected,
        "{}",
        event.line
    );
}

#[test]
fn candidates_are_bounded_for_each_event_and_found_through_indexes() {
    let connection = database();
    let traits = |ip: &str, at_ms| Traits {
        network: Some(ip.parse().unwrap()),
        device: DeviceClass::Mobile,
        geo: Some(Text::new("BR").unwrap()),
        at: Timestamp::from_ms(at_ms),
    };
    for (name, ip) in [("near", "203.0.113.0"), ("far", "198.51.100.0")] {
        for at in 1..=300 {
            let click = Click {
                click_id: format!("{name}{at}"),
                campaign: "summer".to_owned(),
                partner: None,
                kind: "click".to_owned(),
                traits: traits(ip, at),
            };
            insert_click(&connection, &click);
        }
    }
    let wanted = |id, network: Option<&str>, geo: Option<&str>, last_ms| {
        (
            id,
            "acme".to_owned(),
            network.map(str::to_owned),
            geo.map(str::to_owned),
            Some("mobile"),
            0,
            last_ms,
        )
    };
    let searches = [
        wanted(1, Some("203.0.113.0"), None, 1_000),
        wanted(2, None, Some("BR"), 1_000),
        wanted(3, Some("203.0.113.0"), Some("BR"), 250),
        wanted(4, Some("192.0.2.0"), Some("PT"), 1_000),
    ];
    let found = search(&connection, &searches);
    let of = |id: i64| {
        let ids =
            found.iter().filter(move |(event, ..)| *event == id).map(|(_, click_id, _)| click_id.clone());
        ids.collect::<BTreeSet<_>>()
    };
    let newest = |name: &str, last: u64, count: u64| {
        (last - count + 1..=last).map(|at| format!("{name}{at}")).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(1), newest("near", 300, 100));
    assert_eq!(of(2).len(), 100);
    // Half of the newest in the country are from the network too.
    assert_eq!(of(3), &newest("near", 250, 100) | &newest("far", 250, 50));
    assert_eq!(of(4), BTreeSet::new());

    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {CANDIDATES}")).unwrap();
    let plan = statement.query_map(["[]"], |row| row.get::<_, String>(3)).unwrap();
    let plan: Vec<String> = plan.map(Result::unwrap).collect();
    for index in [
        "near USING COVERING INDEX click_by_network",
        "near USING COVERING INDEX click_by_country",
        "account_by_click",
    ] {
        assert!(plan.iter().any(|step| step.starts_with("SEARCH") && step.contains(index)), "{plan:#?}");
    }
    assert!(plan.iter().any(|step| step.starts_with("SEARCH click USING PRIMARY KEY")), "{plan:#?}");
}

/// The same rows cannot be written a second time, and none of them can be changed.
fn check_stands(connection: &Connection, event: &Event, settled: &SettlingRows) {
    let generation = count(connection, "SELECT count FROM generation");
    let lost = settle(connection, event, generation, settled).unwrap_err();
    assert!(lost.to_string().contains("countersign: lease lost"), "{}: {lost}", event.line);
    let again = SettlingRows { entries: settled.entries.clone(), ..SettlingRows::default() };
    let twice = settle(connection, event, generation, &again).unwrap_err();
    assert!(twice.to_string().contains("UNIQUE constraint"), "{}: {twice}", event.line);
    for sql in
        ["UPDATE entry SET campaign = '' WHERE id = ?1", "UPDATE posting SET minor = 0 WHERE cause = ?1"]
    {
        let changed = connection.execute(sql, [event.queued.id]);
        assert!(changed.is_err() || changed == Ok(0), "{}: {sql}", event.line);
    }
}

#[test]
fn each_line_reads_back_as_it_was_settled() {
    let posted: usize = blocks().map(|(file, block)| play_block(file, &block)).sum();
    assert!(posted >= 150, "{posted} entries");
}
