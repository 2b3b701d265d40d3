//! A contract that changes after events were posted: the table (`redecide.txt`) through [`redecide`] and through the SQL, and random
//! contracts over random players, where a re-decision must come to what the new contract would have made of everything at once.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::event::EventType;
use countersign_ledger::book::{DepositMade, FirstDeposit};
use countersign_ledger::decision::Verdict;
use countersign_ledger::fx::Unconverted;
use countersign_ledger::posting_row::{PostingKind, PostingRow};
use countersign_ledger::redecide::{Deposit, Player, Redecision, Reversal, Undecided, redecide, stand};
use countersign_ledger::rules::Rules;
use countersign_ledger::settling::SettlingRows;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::orders::{Ledger, Random, SEED, numbered, play, won, world};
use crate::table::{Block, PARTNER, Step};
use crate::{sql, table, written, written_posting};

const WORLDS: u64 = 60;
const CONTRACTS: u64 = 20;

impl Ledger {
    /// The players with what is posted of their deposits, as the tables have it.
    fn players(&self) -> Vec<Player> {
        let mut standing: BTreeMap<(i64, PostingKind), Option<PostingRow>> = BTreeMap::new();
        for posting in self.rows.postings.iter().filter(|row| row.kind.is_of_contract()) {
            stand(standing.entry((posting.entry, posting.kind)).or_default(), posting.clone());
        }
        let stands = |entry: i64, kind| standing.get(&(entry, kind)).cloned().flatten();
        let verdicts: BTreeMap<i64, Verdict> =
            self.rows.verdicts.iter().map(|(entry, _, verdict)| (*entry, *verdict)).collect();
        let originals: BTreeMap<i64, i64> =
            self.rows.entries.iter().filter_map(|row| Some((row.0, row.6?))).collect();
        let posted: BTreeMap<i64, _> = self.book.entries.values().map(|posted| (posted.id, posted)).collect();
        let reversals = |deposit: i64| {
            let is_back = |row: &&PostingRow| {
                let original = originals.get(&row.entry);
                let behind = original.and_then(|original| originals.get(original));
                behind.or(original) == Some(&deposit) && row.kind.is_of_deposit()
            };
            let reversal = |row: &PostingRow| Reversal {
                id: row.entry,
                ts_event: posted[&row.entry].ts_event,
                minor: -row.amount.minor,
                share: stands(row.entry, PostingKind::RevenueShare),
            };
            self.rows.postings.iter().filter(is_back).map(reversal).collect::<Vec<_>>()
        };
        let mut players: BTreeMap<Option<String>, Player> = BTreeMap::new();
        let mut nobody = Vec::new();
        for ((partner, event_id), deposit) in &self.book.entries {
            let Some((amount, _)) = deposit.money.filter(|_| deposit.event == EventType::DepositSuccess)
            else {
                continue;
            };
            let made = DepositMade {
                id: deposit.id,
                event_id: event_id.clone(),
                ts_event: deposit.ts_event,
                amount,
                attribution: deposit.attribution,
            };
            let deposit = Deposit {
                made,
                bonus: deposit.bonus,
                verdict: verdicts[&deposit.id],
                price: stands(deposit.id, PostingKind::Cpa),
                share: stands(deposit.id, PostingKind::RevenueShare),
                reversals: reversals(deposit.id),
            };
            let account_id = posted[&deposit.made.id].account_id.clone();
            let Some(id) = &account_id else {
                nobody.push(Player { deposits: vec![deposit], ..Player::default() });
                continue;
            };
            let account = self.book.accounts.get(&(partner.clone(), id.clone()));
            let first = self.rows.firsts.iter().find(|row| (&row.0, &row.1) == (partner, id));
            let player = players.entry(account_id.clone()).or_insert_with(|| Player {
                account_id,
                registered_at: account.and_then(|account| account.registered_at),
                kyc_at: account.and_then(|account| account.kyc_at),
                first: first.map(|row| row.2),
                deposits: Vec::new(),
            });
            player.deposits.push(deposit);
        }
        players.into_values().chain(nobody).collect()
    }

    /// Decides everything anew; what cannot be decided is left as it is.
    fn redecide(&mut self, rules: &Rules, number: i64) -> (Redecision, Vec<Undecided>) {
        let (mut redecision, mut undecided) = (Redecision::default(), Vec::new());
        for player in self.players() {
            match redecide(rules, PARTNER, &self.book.rates, &player) {
                Ok(difference) => redecision.add(number, PARTNER, difference),
                Err(left_out) => undecided.push(left_out),
            }
        }
        self.rows.firsts.retain(|row| !redecision.lost.contains(&row.2));
        self.rows.firsts.extend(redecision.firsts.iter().cloned());
        self.rows.postings.extend(redecision.postings.iter().cloned());
        self.rows.verdicts.extend(redecision.verdicts.iter().cloned());
        self.reload();
        (redecision, undecided)
    }

    /// What a worker would read of the players now.
    fn reload(&mut self) {
        for player in self.players() {
            let Some(id) = player.account_id else { continue };
            let account = self.book.accounts.entry((PARTNER.to_owned(), id)).or_default();
            let first = player.deposits.iter().find(|deposit| Some(deposit.made.id) == player.first);
            let kept = first.map(|first| FirstDeposit {
                id: first.made.id,
                event_id: first.made.event_id.clone(),
                ts_event: first.made.ts_event,
                price: first.price.clone(),
            });
            account.first_deposit = kept.or(player.first.map(FirstDeposit::purged));
            let candidates = player.deposits.into_iter().filter(|deposit| deposit.verdict.may_change());
            account.candidates = candidates.map(|deposit| deposit.made).collect();
        }
    }

    /// Net sums of each entry, in its currency and in that of the reports.
    fn net(&self) -> BTreeMap<(i64, &'static str, &'static str), (i64, i64)> {
        let mut net = BTreeMap::new();
        for posting in &self.rows.postings {
            let key = (posting.entry, posting.kind.as_str(), posting.amount.currency.code());
            let sum: &mut (i64, i64) = net.entry(key).or_default();
            *sum = (sum.0 + posting.amount.minor, sum.1 + posting.report.amount.minor);
        }
        net.retain(|_, sum| *sum != (0, 0));
        net
    }

    /// First deposits, by account.
    fn firsts(&self) -> BTreeSet<(String, i64)> {
        self.rows.firsts.iter().map(|(_, account_id, entry, _)| (account_id.clone(), *entry)).collect()
    }
}

/// Up to three terms, each with any of what a contract may say.
fn contract(random: &mut Random) -> Rules {
    fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
        choices[usize::try_from(random.below(u64::try_from(choices.len()).unwrap())).unwrap()]
    }
    let money = |amount: &str, currency: &str| json!({ "amount": amount, "currency": currency });
    let mut terms = Vec::new();
    for from in ["2026-01-01T00:00:00Z", "2026-10-29T12:00:00Z", "2026-10-30T06:00:00Z"] {
        if random.one_in(3) {
            continue;
        }
        let mut members = json!({ "from": from });
        let (minimum, currency) =
            one_of(random, &[("", ""), ("10.00", "EUR"), ("11.00", "USD"), ("100", "JPY")]);
        if !minimum.is_empty() {
            members["ftd_min_deposit"] = money(minimum, currency);
        }
        let (price, currency) =
            one_of(random, &[("", ""), ("80.00", "EUR"), ("90.00", "USD"), ("9.999", "KWD")]);
        if !price.is_empty() {
            members["cpa"] = money(price, currency);
        }
        if random.one_in(2) {
            members["ftd_window_days"] = 1.into();
        }
        if random.one_in(2) {
            members["ftd_kyc"] = "required".into();
        }
        members["revenue_share_percent"] = one_of(random, &["0", "12.5", "33.33", "100"]).into();
        terms.push(members);
    }
    rules(&json!(terms))
}

fn rules(contract: &Value) -> Rules {
    let document =
        json!({ "version": 1, "environment": "sandbox", "partners": { "acme": { "contract": contract } } });
    Rules::compile(&document.to_string(), &mut |_| None).unwrap()
}

#[test]
fn a_re_decision_comes_to_what_the_contract_makes_of_everything_at_once() {
    let mut random = Random(SEED + 2);
    let (mut changed, mut unchanged) = (0, 0);
    for world_number in 0..WORLDS {
        let mut events = world(&mut random, true);
        events.extend(won(&mut random, &events, false));
        for pair in 0..CONTRACTS {
            let what = format!("seed {:#x}, world {world_number}, contracts {pair}", SEED + 2);
            let (before, after) = (contract(&mut random), contract(&mut random));
            random.shuffle(&mut events);
            let (old, new) = (play(&before, &events), play(&after, &events));
            let mut ledger = play(&before, &events);
            let (redecision, _) = ledger.redecide(&after, 1);
            if redecision == Redecision::default() {
                unchanged += 1
            } else {
                changed += 1
            }
            ledger.check(&what);
            assert_eq!(ledger.net(), new.net(), "{what}");
            assert_eq!(ledger.verdicts(), new.verdicts(), "{what}");
            assert_eq!(ledger.firsts(), new.firsts(), "{what}");
            assert_eq!(ledger.redecide(&after, 2), (Redecision::default(), vec![]), "{what}");
            ledger.redecide(&before, 3);
            ledger.check(&what);
            assert_eq!(ledger.net(), old.net(), "{what}");
            assert_eq!(ledger.verdicts(), old.verdicts(), "{what}");
            assert_eq!(ledger.firsts(), old.firsts(), "{what}");
        }
    }
    assert!(changed > 500 && unchanged > 10, "{changed} changed, {unchanged} not");
}

#[test]
fn what_comes_after_a_re_decision_is_posted_as_if_there_had_been_none() {
    let mut random = Random(SEED + 3);
    for world_number in 0..WORLDS {
        let mut events = world(&mut random, true);
        events.extend(won(&mut random, &events, false));
        for pair in 0..CONTRACTS {
            let what = format!("seed {:#x}, world {world_number}, contracts {pair}", SEED + 3);
            let (before, between, after) =
                (contract(&mut random), contract(&mut random), contract(&mut random));
            random.shuffle(&mut events);
            let new = play(&after, &events);
            let mut later = numbered(&events);
            let mut ledger = Ledger::new();
            for (rules, number) in [(&before, 1), (&between, 2), (&after, 3)] {
                let part = usize::try_from(random.below(u64::try_from(later.len()).unwrap() + 1)).unwrap();
                let mut waiting: Vec<_> = later.drain(..part).collect();
                ledger.play(rules, &mut waiting, &[0]);
                later.extend(waiting);
                ledger.redecide(if number == 1 { &between } else { &after }, number);
                ledger.check(&what);
            }
            let patience = after.patience;
            ledger.play(&after, &mut later, &[0, patience.click_ms, patience.original_ms]);
            ledger.check(&what);
            assert_eq!(ledger.sums(), new.sums(), "{what}");
            assert_eq!(ledger.verdicts(), new.verdicts(), "{what}");
        }
    }
}

/// What a re-decision posts, as lines write it.
fn written_rows(block: &Block, line: &str, rows: &Redecision, undecided: &[Undecided]) -> String {
    let name = |id: i64| {
        let event = block.events().find(|event| event.queued.id == id).unwrap();
        event.queued.event_id.clone()
    };
    let mut items = Vec::new();
    for posting in &rows.postings {
        items.push(format!("{} for {}", written_posting(block, posting, line), name(posting.entry)));
    }
    for (entry, _, verdict) in &rows.verdicts {
        items.push(format!("{} for {}", verdict.as_str(), name(*entry)));
    }
    for Undecided { event_id, problem } in undecided {
        let reason = match problem {
            Unconverted::NoDay | Unconverted::NoQuote { .. } => "rate_unknown",
            Unconverted::OutOfRange => "amount_out_of_range",
        };
        items.push(format!("undecided {event_id} {reason}"));
    }
    if items.is_empty() { "nothing".to_owned() } else { items.join("; ") }
}

/// Writes a re-decision through the view.
fn write(
    connection: &Connection,
    number: i64,
    generation: i64,
    rows: &Redecision,
) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO redeciding VALUES (?1, ?2, 1, 'confirm', 'because', 1, 1, ?3, ?4, ?5, ?6, ?7)";
    let [postings, verdicts, lost, firsts] = [
        sql::json(&rows.postings),
        sql::json(&rows.verdicts),
        sql::json(&rows.lost),
        sql::json(&rows.firsts),
    ];
    connection.execute(sql, params![number, PARTNER, generation, postings, verdicts, lost, firsts])
}

/// The tables have what the rows said, in their order.
fn check_tables(connection: &Connection, ledger: &Ledger, line: &str) {
    let read = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let rows = found.map(|row| serde_json::from_str::<Value>(&row.unwrap()).unwrap());
        Value::Array(rows.collect())
    };
    let postings = "SELECT json_array(json_array(entry, cause, kind), json_array(currency, minor, exponent), \
                    json_array(report_currency, report_minor, report_exponent), json_array(rate_source, rate_date, rate_from, rate_to)) \
                    FROM posting ORDER BY id";
    assert_eq!(read(postings), json!(ledger.rows.postings), "{line}");
    let verdicts = "SELECT json_array(entry, cause, verdict) FROM verdict ORDER BY id";
    assert_eq!(read(verdicts), json!(ledger.rows.verdicts), "{line}");
    let firsts = "SELECT json_array(account_id, entry) FROM first_deposit ORDER BY 1";
    assert_eq!(read(firsts), json!(ledger.firsts()), "{line}");
}

fn play_block(block: &Block) -> Vec<String> {
    let connection = sql::database();
    let (mut ledger, mut number, mut wrong) = (Ledger::default(), 0, Vec::new());
    let mut compare = |line: &str, became: String, expected: &str| {
        if became != expected {
            wrong.push(format!("{line}\n{:>9} {became}", "became"));
        }
    };
    for (index, step) in block.steps.iter().enumerate() {
        let generation = sql::count(&connection, "SELECT count FROM generation");
        match step {
            Step::Event(event) => {
                let (decision, rows) = crate::play(block, &mut ledger.book, index).unwrap();
                compare(&event.line, written(block, event, &decision, &rows, &ledger.book), &event.expected);
                sql::take(&connection, event);
                sql::settle(&connection, event, generation, &rows).unwrap();
                let SettlingRows { entries, postings, verdicts, firsts, .. } = rows;
                ledger.rows.entries.extend(entries);
                ledger.rows.postings.extend(postings);
                ledger.rows.verdicts.extend(verdicts);
                ledger.rows.firsts.retain(|row| !firsts.iter().any(|first| first.1 == row.1));
                ledger.rows.firsts.extend(firsts);
            }
            Step::Redecide { line, expected } => {
                number += 1;
                let (rows, undecided) = ledger.redecide(block.rules(index), number);
                compare(line, written_rows(block, line, &rows, &undecided), expected);
                let raced = write(&connection, number, generation - 1, &rows).unwrap_err();
                assert!(raced.to_string().contains("countersign: raced"), "{line}: {raced}");
                write(&connection, number, generation, &rows)
                    .unwrap_or_else(|error| panic!("{line}: {error}"));
            }
            Step::Purge(names) => {
                let gone: Vec<i64> = names.iter().map(|name| ledger.book.entries[name].id).collect();
                drop(crate::play(block, &mut ledger.book, index));
                ledger.rows.postings.retain(|row| !gone.contains(&row.entry));
                ledger.rows.verdicts.retain(|row| !gone.contains(&row.0));
                sql::continue_with(&connection, step);
            }
            Step::Click(_) | Step::Rates(_) | Step::Account { .. } | Step::Contract(_) => {
                drop(crate::play(block, &mut ledger.book, index));
            }
        }
        check_tables(&connection, &ledger, &block.title);
    }
    wrong
}

#[test]
fn each_line_says_what_another_contract_makes_of_what_was_posted() {
    let blocks = table::read(include_str!("redecide.txt"));
    let wrong: Vec<_> = blocks.iter().flat_map(play_block).collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(blocks.len() >= 16, "{} blocks", blocks.len());
}
