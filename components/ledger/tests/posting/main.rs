//! What each event becomes: the table (`*.txt`) through [`posting::decide`] and through the SQL, and every order of queued.
#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "a test that stops has failed")]

mod orders;
mod redecide;
mod sql;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::event::ClickId;
use countersign_core::money::Amount;
use countersign_ledger::attribution::{AttributionName, MatchedBy};
use countersign_ledger::book::{Book, FirstDeposit};
use countersign_ledger::decision::{DeadCause, Decision, Verdict, WaitReason};
use countersign_ledger::fx::{Code, Quote, Rate};
use countersign_ledger::poster::share;
use countersign_ledger::posting;
use countersign_ledger::posting_row::{PostingKind, PostingRow};
use countersign_ledger::probable::NearbyClick;
use countersign_ledger::settling::SettlingRows;
use countersign_ledger::trace::{self, Search};

use table::{Block, Click, Event, PARTNER, Step};

/// The table's files, each with its text.
const FILES: [(&str, &str); 8] = [
    ("first_deposits.txt", include_str!("first_deposits.txt")),
    ("reversals.txt", include_str!("reversals.txt")),
    ("payouts.txt", include_str!("payouts.txt")),
    ("currencies.txt", include_str!("currencies.txt")),
    ("attribution.txt", include_str!("attribution.txt")),
    ("queue.txt", include_str!("queue.txt")),
    ("probable.txt", include_str!("probable.txt")),
    ("retention.txt", include_str!("retention.txt")),
];

/// Every block of every file, under a name to find it by.
fn blocks() -> impl Iterator<Item = (&'static str, Block)> {
    FILES.into_iter().flat_map(|(file, text)| table::read(text).into_iter().map(move |block| (file, block)))
}

/// Carries out the step of that index where it is not an event; decides what is, into rows of its own.
fn play(block: &Block, book: &mut Book, index: usize) -> Option<(Decision, SettlingRows)> {
    match &block.steps[index] {
        Step::Click(click) => {
            let partners: Vec<_> = match &click.partner {
                Some(partner) => vec![partner.clone()],
                None => block.events().map(|event| event.queued.partner.clone()).collect(),
            };
            for partner in partners {
                drop(book.clicks.insert((partner, click.click_id.clone()), click.campaign.clone()));
            }
            None
        }
        Step::Rates(day) => {
            book.rates.insert(day.clone());
            None
        }
        Step::Account { name, account } => {
            let click_id = account.touch.as_ref().unwrap().click_id.clone();
            book.taken.insert((name.0.clone(), click_id));
            drop(book.accounts.insert(name.clone(), account.clone()));
            None
        }
        Step::Purge(names) => {
            names.iter().for_each(|name| purge(book, name));
            None
        }
        Step::Event(event) => {
            let rules = block.rules(index);
            if let Some(search) = trace::search(rules, book, &event.queued, event.now) {
                drop(book.nearby.insert(event.queued.id, nearby(&search, &block.steps[..index])));
            }
            let mut rows = SettlingRows::default();
            let decision = posting::decide(rules, book, &event.queued, event.now, &mut rows);
            Some((decision, rows))
        }
        Step::Contract(_) | Step::Redecide { .. } => None,
    }
}

/// Forgets an entry as a purge does: what is read afterwards is without it.
fn purge(book: &mut Book, name: &(String, String)) {
    let entry = book.entries.remove(name).unwrap_or_else(|| panic!("{name:?} is no entry"));
    book.purged.insert(name.clone(), entry.payload_hash);
    for account in book.accounts.values_mut() {
        account.candidates.retain(|candidate| candidate.id != entry.id);
        if account.first_deposit.as_ref().is_some_and(|first| first.id == entry.id) {
            account.first_deposit = Some(FirstDeposit::purged(entry.id));
        }
    }
}

/// The clicks that a search finds among the steps before it.
fn nearby(
    (_, partner, network, geo, device, first_ms, last_ms): &Search,
    steps: &[Step],
) -> Vec<NearbyClick> {
    let clicks = steps.iter().filter_map(|step| match step {
        Step::Click(click) => Some(click),
        Step::Rates(_)
        | Step::Account { .. }
        | Step::Event(_)
        | Step::Purge(_)
        | Step::Contract(_)
        | Step::Redecide { .. } => None,
    });
    let is_near = |click: &&Click| {
        let traits = &click.traits;
        let is_network = network.is_some() && traits.network.map(|network| network.to_string()) == *network;
        let is_country = geo.is_some() && traits.geo.map(|geo| geo.as_str().to_owned()) == *geo;
        let is_device = *device == Some(traits.device.as_str());
        click.kind == "click"
            && click.partner.as_ref().map_or(partner == PARTNER, |its| its == partner)
            && (*first_ms..=*last_ms).contains(&traits.at.as_ms())
            && (is_network || (is_country && is_device))
    };
    let nearby = |click: &Click| NearbyClick {
        click_id: ClickId::new(&click.click_id).unwrap(),
        campaign: click.campaign.clone(),
        traits: click.traits,
    };
    clicks.filter(is_near).map(nearby).collect()
}

#[test]
fn each_event_becomes_what_its_line_says() {
    let mut seen = Seen::default();
    let mut wrong = Vec::new();
    for (file, block) in blocks() {
        let mut book = Book::default();
        let mut posted = BTreeMap::new();
        for (index, step) in block.steps.iter().enumerate() {
            let (Some((decision, rows)), Step::Event(event)) = (play(&block, &mut book, index), step) else {
                continue;
            };
            if decision == Decision::Post {
                let earlier = posted.insert(event.name(), event.as_ref());
                assert!(earlier.is_none(), "{}: posted twice", event.line);
            }
            check_rows(event, &decision, &rows, &posted);
            let became = written(&block, event, &decision, &rows, &book);
            if became != event.expected {
                wrong.push(format!("{file}: {}\n{:>9} {became}", event.line, "became"));
            }
            seen.note(&decision, &rows);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), seen.events, wrong.join("\n"));
    seen.check();
}

/// What an event undoes.
fn original<'e>(event: &Event, posted: &BTreeMap<(String, String), &'e Event>) -> Option<&'e Event> {
    let _undoes = event.queued.event.original()?;
    let original_id = event.queued.payload.original_event_id.clone()?;
    posted.get(&(event.queued.partner.clone(), original_id)).copied()
}

/// The rows that follow from the line, whatever it expects.
fn check_rows(
    event: &Event,
    decision: &Decision,
    rows: &SettlingRows,
    posted: &BTreeMap<(String, String), &Event>,
) {
    let (id, line) = (event.queued.id, &event.line);
    let leaves = !matches!(decision, Decision::Wait(_));
    assert_eq!(rows.done, if leaves { vec![id] } else { vec![] }, "{line}");
    assert!(rows.waiting.is_empty(), "{line}: when it is due is the caller's");
    let dead = match decision {
        Decision::Dead(dead) => vec![(id, *dead, dead.detail(), event.queued.attempts)],
        Decision::Post | Decision::Repeat | Decision::Wait(_) => vec![],
    };
    assert_eq!(rows.dead, dead, "{line}");
    assert_eq!(rows.entries.len(), usize::from(*decision == Decision::Post), "{line}");
    for entry in &rows.entries {
        let payload = &event.queued.payload;
        let original = original(event, posted);
        // It is booked on the account of the deposit behind it.
        let owner = original.map(|original| self::original(original, posted).unwrap_or(original));
        let owner = owner.map_or(payload, |deposit| &deposit.queued.payload);
        assert_eq!((entry.0, &entry.5), (id, &owner.account_id), "{line}");
        if let Some(MatchedBy { network, device, geo, time, .. }) = entry.4 {
            assert_eq!(
                (entry.2, entry.3),
                (AttributionName::Probable, Some(u32::from(network + device + geo + time))),
                "{line}"
            );
        }
        for (.., attribution, score) in &rows.installs {
            assert_eq!((*attribution, *score), (entry.2, entry.3), "{line}");
        }
        assert_eq!(entry.6, original.map(|original| original.queued.id), "{line}");
        assert_eq!(entry.7, payload.is_ftd.map(u8::from), "{line}");
    }
    assert!(rows.postings.iter().all(|posting| posting.cause == id), "{line}");
    assert!(rows.verdicts.iter().all(|(_, cause, _)| *cause == id), "{line}");
    let account_id = event.queued.payload.account_id.clone().unwrap_or_default();
    let firsts = rows.verdicts.iter().filter(|(_, _, verdict)| *verdict == Verdict::First);
    let firsts: Vec<_> =
        firsts.map(|(entry, ..)| (event.queued.partner.clone(), account_id.clone(), *entry)).collect();
    let crowned: Vec<_> = rows
        .firsts
        .iter()
        .map(|(partner, account, entry, _)| (partner.clone(), account.clone(), *entry))
        .collect();
    assert_eq!(crowned, firsts, "{line}");
    for (.., before) in &rows.firsts {
        let lost = rows
            .verdicts
            .iter()
            .any(|(entry, _, verdict)| Some(*entry) == *before && *verdict == Verdict::NotTheFirst);
        assert_eq!(lost, before.is_some(), "{line}");
    }
}

/// What became of an event, as lines write it.
fn written(block: &Block, event: &Event, decision: &Decision, rows: &SettlingRows, book: &Book) -> String {
    let entry_name = |id: i64| {
        let name = block.events().find(|event| event.queued.id == id).unwrap().queued.event_id.clone();
        if id == event.queued.id { String::new() } else { format!(" for {name}") }
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut items = Vec::new();
    match decision {
        Decision::Post => {}
        Decision::Repeat => items.push("repeat".to_owned()),
        Decision::Wait(wait) => {
            let until = block.write_time(wait.until);
            items.push(format!("wait {} {} until {until}", wait.reason.as_str(), wait.waits_for));
        }
        Decision::Dead(dead) => items.push(format!("dead {}", dead.as_str())),
    }
    for (_, campaign, attribution, score, matched_by, ..) in &rows.entries {
        let score = score.map_or(String::new(), |score| format!(":{score}"));
        let own = book.clicks.get(&(event.queued.partner.clone(), event.queued.click_id.clone()));
        let attribution = attribution.as_str();
        if attribution != "click" || campaign.as_ref() != own {
            let matched_by = matched_by
                .as_ref()
                .map(|by| format!(" {} {}+{}+{}+{}", by.click_id, by.network, by.device, by.geo, by.time));
            let matched_by = matched_by.unwrap_or_default();
            items.push(format!("by {attribution}{score} {}{matched_by}", or_none(campaign)));
        }
    }
    for posting in &rows.postings {
        items.push(format!("{}{}", written_posting(block, posting, &event.line), entry_name(posting.entry)));
    }
    for (entry, _, verdict) in &rows.verdicts {
        items.push(format!("{}{}", verdict.as_str(), entry_name(*entry)));
    }
    for (_, _, click_id, campaign, attribution, score, registered_at, kyc_at) in &rows.accounts {
        let time = |ms: &Option<u64>| ms.map_or("-".to_owned(), |ms| block.write_ms(ms));
        items.push(format!(
            "account {} {} {} {} {}{}",
            time(registered_at),
            time(kyc_at),
            or_none(click_id),
            or_none(campaign),
            attribution.map_or("-", AttributionName::as_str),
            score.map_or(String::new(), |score| format!(":{score}"))
        ));
    }
    for (_, install_id, click_id, campaign, ..) in &rows.installs {
        items.push(format!("install {install_id} {click_id} {}", or_none(campaign)));
    }
    if items.is_empty() { "posted".to_owned() } else { items.join("; ") }
}

/// A posting, as lines write it, without whose it is.
fn written_posting(block: &Block, posting: &PostingRow, line: &str) -> String {
    let PostingRow { kind, amount, report, .. } = posting;
    let value = match &report.rate {
        Rate::Identity => {
            assert_eq!(*amount, report.amount, "{line}");
            String::new()
        }
        Rate::Ecb { date, from, to } => {
            let quoted = block.quotes(*date);
            assert_eq!((from, to), (&quoted(*amount), &quoted(report.amount)), "{line}");
            format!(" = {} @{date}", report.amount)
        }
    };
    format!("{} {amount}{value}", kind.as_str())
}

/// What the whole table has shown.
#[derive(Default)]
struct Seen {
    events: usize,
    results: BTreeSet<String>,
    pairs: BTreeSet<(u8, u8)>,
    kinds: BTreeSet<PostingKind>,
    extremes: BTreeSet<i64>,
}

impl Seen {
    fn note(&mut self, decision: &Decision, rows: &SettlingRows) {
        self.events += 1;
        let result = match decision {
            Decision::Post => "post",
            Decision::Repeat => "repeat",
            Decision::Wait(wait) => wait.reason.as_str(),
            Decision::Dead(dead) => dead.as_str(),
        };
        self.results.insert(result.to_owned());
        self.results.extend(rows.verdicts.iter().map(|(_, _, verdict)| verdict.as_str().to_owned()));
        self.results.extend(rows.entries.iter().map(|entry| format!("by {}", entry.2.as_str())));
        for posting in &rows.postings {
            self.kinds.insert(posting.kind);
            self.extremes.extend([posting.amount.minor, posting.report.amount.minor]);
            let (from, to) = (posting.amount.currency.decimals(), posting.report.amount.currency.decimals());
            self.pairs.insert((from, to));
        }
    }

    /// The table leaves nothing out that an event can become.
    fn check(&self) {
        assert!(self.events >= 200, "{} events", self.events);
        let all = (DeadCause::ALL.iter().map(|dead| dead.as_str()))
            .chain(Verdict::ALL.iter().map(|verdict| verdict.as_str()))
            .chain(WaitReason::ALL.iter().map(|reason| reason.as_str()))
            .chain(["post", "repeat"])
            .map(str::to_owned)
            .chain(AttributionName::ALL.iter().map(|name| format!("by {}", name.as_str())));
        let missing: Vec<_> = all.filter(|result| !self.results.contains(result)).collect();
        assert!(missing.is_empty(), "no line shows {missing:?}");
        assert_eq!(self.kinds.iter().copied().collect::<Vec<_>>(), PostingKind::ALL);
        for from in [0, 2, 3, 4] {
            for to in [0, 2, 3, 4] {
                assert!(self.pairs.contains(&(from, to)), "no line converts {from} decimals to {to}");
            }
        }
        assert!([0, i64::MAX, -i64::MAX].iter().all(|minor| self.extremes.contains(minor)));
    }
}

/// The quotes of one day as the block has them.
fn quote_of(quotes: &[(Code, Quote)], amount: Amount) -> Quote {
    let code = amount.currency.code();
    let found = quotes.iter().find(|(quoted, _)| quoted.as_str() == code).map(|(_, quote)| *quote);
    if code == "EUR" { Quote::EURO } else { found.unwrap_or_else(|| panic!("no quote of {code}")) }
}

#[test]
fn a_share_is_exact_and_rounded_half_to_even() {
    for (minor, basis_points, expected) in [
        (0, 10_000, 0),
        (10_000, 1, 1),
        (4_999, 1, 0),
        (5_000, 1, 0),
        (5_001, 1, 1),
        (15_000, 1, 2),
        (25_000, 1, 2),
        (-5_000, 1, 0),
        (-15_000, 1, -2),
        (-25_000, 1, -2),
        (1, 5_000, 0),
        (3, 5_000, 2),
        (5, 5_000, 2),
        (-1, 5_000, 0),
        (-3, 5_000, -2),
        (i64::MAX, 10_000, i64::MAX),
        (i64::MIN, 10_000, i64::MIN),
        (i64::MAX, 0, 0),
        (i64::MAX, 5_000, i64::MAX / 2 + 1),
    ] {
        assert_eq!(share(minor, basis_points), expected, "{basis_points} of {minor}");
    }
}
