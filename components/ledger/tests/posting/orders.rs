//! Every order of queued: random players, each world played in many orders, comes to the same sums.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::event::EventType;
use countersign_core::money::{Amount, Currency};
use countersign_core::time::Timestamp;
use countersign_ledger::book::{Book, QueuedEvent};
use countersign_ledger::decision::{DeadCause, Decision};
use countersign_ledger::fx::{Code, Date, Day, Quote};
use countersign_ledger::payload::Payload;
use countersign_ledger::posting;
use countersign_ledger::posting_row::{PostingKind, PostingRow};
use countersign_ledger::rules::Rules;
use countersign_ledger::settling::SettlingRows;
use serde_json::json;

use crate::table::event_type;

pub(crate) const SEED: u64 = 0x00C0_FFEE;
const WORLDS: u64 = 40;
const ORDERS: u64 = 200;
/// 2026-10-29, noon: the day's contract changes then.
const NOON_MS: u64 = 1_793_275_200_000;
const HOUR_MS: u64 = 3_600_000;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, usize::try_from(self.below(u64::try_from(end).unwrap() + 1)).unwrap());
        }
    }
}

/// A contract that changes at noon, in everything but the price: which of two deposits is the first is a matter of the order,
/// and what it brings must not be.
fn rules() -> Rules {
    let price = json!({ "amount": "80.00", "currency": "EUR" });
    let minimum = json!({ "amount": "10.00", "currency": "EUR" });
    let document = json!({ "version": 1, "environment": "sandbox", "partners": { "acme": { "contract": [
        { "from": "2026-01-01T00:00:00Z", "cpa": price, "ftd_min_deposit": minimum, "ftd_kyc": "required",
          "revenue_share_percent": "12.5" },
        { "from": "2026-10-29T12:00:00Z", "cpa": price, "ftd_window_days": 1, "revenue_share_percent": "33.33" },
        { "from": "2026-10-30T06:00:00Z", "cpa": price, "ftd_window_days": 1, "ftd_kyc": "required" }] } } });
    Rules::compile(&document.to_string(), &mut |_| None).unwrap()
}

fn rates() -> impl Iterator<Item = Day> {
    ["2026-10-28", "2026-10-29", "2026-10-30"].into_iter().zip(["1.25", "1.3", "1.1"]).map(
        |(date, dollar)| {
            let quote = |code: &str, quote: &str| (Code::new(code).unwrap(), Quote::parse(quote).unwrap());
            let quotes = vec![quote("USD", dollar), quote("JPY", "160"), quote("KWD", "0.4")];
            Day { date: Date::parse(date).unwrap(), quotes }
        },
    )
}

fn queued(event: &str, event_id: String, account: u64, ts_ms: u64, payload: Payload) -> QueuedEvent {
    QueuedEvent {
        id: 0,
        partner: "acme".to_owned(),
        event_id,
        event: event_type(event),
        // One click in four is not known.
        click_id: format!("c{}", (account + ts_ms) % 4),
        ts_event: Timestamp::from_ms(ts_ms),
        received_at: Timestamp::from_ms(NOON_MS + 48 * HOUR_MS),
        payload_hash: [1; 32],
        attempts: 1,
        payload: Payload { account_id: Some(format!("a{account}")), ..payload },
    }
}

/// The events of three players. Where `bounded`, what is taken back of a deposit is no more than it.
pub(crate) fn world(random: &mut Random, bounded: bool) -> Vec<QueuedEvent> {
    let mut events = Vec::new();
    for account in 0..3 {
        let at = |random: &mut Random| NOON_MS - 20 * HOUR_MS + random.below(40 * HOUR_MS);
        for (event, name) in [("registration", "r"), ("kyc_approved", "k")] {
            if !random.one_in(4) {
                let ts = at(random);
                events.push(queued(event, format!("{name}{account}"), account, ts, Payload::default()));
            }
        }
        for deposit in 0..=random.below(4) {
            let code = ["EUR", "USD", "JPY", "KWD"][usize::try_from(random.below(4)).unwrap()];
            let currency = Currency::of(code).unwrap();
            let minor = [0, 999, 1_000, 25_001][usize::try_from(random.below(4)).unwrap()];
            let money =
                |minor: i64| Payload { amount: Some(Amount { minor, currency }), ..Payload::default() };
            let event_id = format!("d{account}{deposit}");
            let payload = Payload { bonus: random.one_in(5), ..money(minor) };
            let mut made = queued("deposit_success", event_id.clone(), account, at(random), payload);
            if random.one_in(8) {
                made.payload.account_id = None;
            }
            events.push(made);
            let mut left = minor;
            for part in 0..random.below(4) {
                let most = if bounded { left } else { minor + 1 };
                let back = i64::try_from(random.below(u64::try_from(most).unwrap() + 1)).unwrap();
                left -= back;
                let event = if random.one_in(3) { "chargeback" } else { "refund" };
                let payload = Payload { original_event_id: Some(event_id.clone()), ..money(back) };
                events.push(queued(event, format!("{event_id}b{part}"), account, at(random), payload));
            }
        }
    }
    let repeated = usize::try_from(random.below(u64::try_from(events.len()).unwrap())).unwrap();
    events.push(events[repeated].clone());
    events
}

/// Reversals of the chargebacks of a world, in one part or two, each with a refund of what was won back where `refunded`.
pub(crate) fn won(random: &mut Random, events: &[QueuedEvent], refunded: bool) -> Vec<QueuedEvent> {
    let mut won = Vec::new();
    let chargebacks = events.iter().filter(|event| event.event == EventType::Chargeback);
    let mut known = BTreeSet::new();
    for chargeback in chargebacks.filter(|event| known.insert(event.event_id.clone())) {
        let Amount { minor, currency } = chargeback.payload.amount.unwrap();
        let mut left = minor;
        for part in 0..=random.below(2) {
            let minor = i64::try_from(random.below(u64::try_from(left).unwrap() + 1)).unwrap();
            left -= minor;
            let mut event = |name: &str, event_id: String, original: &String| {
                let amount = Some(Amount { minor, currency });
                let payload =
                    Payload { amount, original_event_id: Some(original.clone()), ..Payload::default() };
                let ts_ms = NOON_MS - 20 * HOUR_MS + random.below(40 * HOUR_MS);
                won.push(queued(name, event_id, 0, ts_ms, payload));
            };
            let id = &chargeback.event_id;
            event("chargeback_reversed", format!("{id}w{part}"), id);
            if refunded {
                event(
                    "refund",
                    format!("{id}r{part}"),
                    chargeback.payload.original_event_id.as_ref().unwrap(),
                );
            }
        }
    }
    won
}

/// What the ledger holds once every event has been decided.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) book: Book,
    pub(crate) rows: SettlingRows,
    posted: usize,
    repeated: usize,
}

/// Plays the events in their order, and what waits again until nothing changes: first before the patience for clicks is over,
/// then after it.
pub(crate) fn play(rules: &Rules, events: &[QueuedEvent]) -> Ledger {
    let mut ledger = Ledger::new();
    let mut waiting = numbered(events);
    ledger.play(rules, &mut waiting, &[0, rules.patience.click_ms, rules.patience.original_ms]);
    assert!(waiting.is_empty(), "{} events wait for ever", waiting.len());
    assert_eq!(ledger.posted + ledger.repeated + ledger.rows.dead.len(), events.len());
    ledger
}

/// The events, each with the id of its place.
pub(crate) fn numbered(events: &[QueuedEvent]) -> Vec<QueuedEvent> {
    events.iter().zip(1..).map(|(queued, id)| QueuedEvent { id, ..queued.clone() }).collect()
}

/// Account, and what it is about.
pub(crate) type Key = (String, String);

impl Ledger {
    /// With rates and clicks.
    pub(crate) fn new() -> Self {
        let mut ledger = Self::default();
        for day in rates() {
            ledger.book.rates.insert(day);
        }
        let click = |click| (("acme".to_owned(), format!("c{click}")), format!("campaign-{click}"));
        ledger.book.clicks = (0..3).map(click).collect();
        ledger
    }

    /// Takes back what became a dead letter because it took back too much: what the worker does once a chargeback was reversed.
    fn bring_back(&mut self, events: &[QueuedEvent]) -> Vec<QueuedEvent> {
        let is_back = |dead: &(i64, DeadCause, &str, u32)| dead.1 == DeadCause::OverRefund;
        let ids: Vec<i64> = self.rows.dead.iter().filter(|dead| is_back(dead)).map(|dead| dead.0).collect();
        self.rows.dead.retain(|dead| !is_back(dead));
        events.iter().filter(|event| ids.contains(&event.id)).cloned().collect()
    }

    /// Posts what waits, as far as it can be, so long after everything was received.
    pub(crate) fn play(&mut self, rules: &Rules, waiting: &mut Vec<QueuedEvent>, after_ms: &[u64]) {
        for after_ms in after_ms {
            let now = Timestamp::from_ms(NOON_MS + 48 * HOUR_MS + after_ms);
            loop {
                let before = waiting.len();
                waiting.retain(|queued| {
                    let decision = posting::decide(rules, &mut self.book, queued, now, &mut self.rows);
                    self.posted += usize::from(decision == Decision::Post);
                    self.repeated += usize::from(decision == Decision::Repeat);
                    matches!(decision, Decision::Wait(_))
                });
                if waiting.len() == before {
                    break;
                }
            }
        }
    }

    fn account(&self, entry: i64) -> String {
        let entry = self.rows.entries.iter().find(|row| row.0 == entry).unwrap();
        entry.5.clone().unwrap_or_default()
    }

    /// Sums by account, kind and currency, the reports' among them; prices are counted.
    pub(crate) fn sums(&self) -> BTreeMap<Key, i64> {
        let mut sums = BTreeMap::new();
        for posting in &self.rows.postings {
            let account = self.account(posting.entry);
            let mut add =
                |what: String, minor: i64| *sums.entry((account.clone(), what)).or_default() += minor;
            add(format!("{} {}", posting.kind.as_str(), posting.amount.currency), posting.amount.minor);
            // What a part of the share is worth depends on the day it goes back, and on what is left then.
            if posting.kind != PostingKind::RevenueShare {
                add(format!("{} in reports", posting.kind.as_str()), posting.report.amount.minor);
            }
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    /// The last verdict on each deposit.
    pub(crate) fn verdicts(&self) -> BTreeMap<String, &'static str> {
        let names: BTreeMap<i64, &String> =
            self.book.entries.iter().map(|((_, event_id), posted)| (posted.id, event_id)).collect();
        let verdicts =
            self.rows.verdicts.iter().map(|(entry, _, verdict)| (names[entry].clone(), verdict.as_str()));
        verdicts.collect()
    }

    /// What holds in every order, whatever is taken back.
    pub(crate) fn check(&self, what: &str) {
        let last: BTreeMap<i64, &str> =
            self.rows.verdicts.iter().map(|(entry, _, verdict)| (*entry, verdict.as_str())).collect();
        let mut firsts = BTreeMap::<_, usize>::new();
        for (entry, verdict) in &last {
            *firsts.entry(self.account(*entry)).or_default() += usize::from(*verdict == "first");
        }
        assert!(firsts.values().all(|count| *count <= 1), "{what}: {firsts:?}");
        assert_eq!(firsts.values().sum::<usize>(), self.rows.firsts.len(), "{what}");
        assert!(self.rows.firsts.iter().all(|(_, _, entry, _)| last[entry] == "first"), "{what}");

        // Unique keys of the tables.
        let mut said: Vec<_> = self.rows.verdicts.iter().map(|(entry, cause, _)| (entry, cause)).collect();
        let mut paid: Vec<_> =
            self.rows.postings.iter().map(|posting| (posting.entry, posting.kind, posting.cause)).collect();
        said.sort_unstable();
        paid.sort_unstable();
        assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "{what}: {said:?}");
        assert!(paid.windows(2).all(|pair| pair[0] != pair[1]), "{what}: {paid:?}");

        let (mut income, mut gifts, mut shares) =
            (BTreeMap::<i64, i64>::new(), BTreeMap::<i64, i64>::new(), BTreeMap::<i64, i64>::new());
        let originals: BTreeMap<i64, i64> =
            self.rows.entries.iter().filter_map(|entry| Some((entry.0, entry.6?))).collect();
        let mut disputes = BTreeMap::<i64, i64>::new();
        for posting in
            self.rows.postings.iter().filter(|posting| posting.kind == PostingKind::ChargebackReversed)
        {
            *disputes.entry(originals[&posting.entry]).or_default() += posting.amount.minor;
        }
        for (chargeback, won) in &disputes {
            let taken = self.rows.postings.iter().find(|posting| posting.entry == *chargeback).unwrap();
            assert!(taken.kind == PostingKind::Chargeback && *won <= -taken.amount.minor, "{what}");
        }
        for posting in &self.rows.postings {
            let original = *originals.get(&posting.entry).unwrap_or(&posting.entry);
            let deposit = *originals.get(&original).unwrap_or(&original);
            let sums = match posting.kind {
                PostingKind::Deposit
                | PostingKind::Refund
                | PostingKind::Chargeback
                | PostingKind::ChargebackReversed => &mut income,
                PostingKind::Bonus => &mut gifts,
                PostingKind::RevenueShare => &mut shares,
                PostingKind::Cpa => continue,
                PostingKind::Custom => panic!("{what}: {posting:?}"),
            };
            *sums.entry(deposit).or_default() += posting.amount.minor;
        }
        // Nothing is taken back twice: no deposit's net revenue, gift or share ends below zero, so no account's does.
        for sums in [&income, &gifts, &shares] {
            assert!(sums.values().all(|sum| *sum >= 0), "{what}: {sums:?}");
        }
        for (deposit, share) in &shares {
            assert!(*share <= income[deposit], "{what}");
        }
    }
}

#[test]
fn every_order_comes_to_the_same_sums() {
    let (rules, mut random) = (rules(), Random(SEED));
    let mut prices = 0;
    for world_number in 0..WORLDS {
        let mut events = world(&mut random, true);
        let first = play(&rules, &events);
        assert_eq!((first.repeated, first.rows.dead.len()), (1, 0), "seed {SEED:#x}, world {world_number}");
        prices += first.rows.firsts.len();
        for order in 0..ORDERS {
            let what = format!("seed {SEED:#x}, world {world_number}, order {order}");
            random.shuffle(&mut events);
            let other = play(&rules, &events);
            other.check(&what);
            assert_eq!(other.sums(), first.sums(), "{what}");
            assert_eq!(other.verdicts(), first.verdicts(), "{what}");
        }
    }
    assert!(prices > 20, "{prices} first deposits");
}

#[test]
fn no_order_takes_back_more_than_was_paid() {
    let (rules, mut random) = (rules(), Random(SEED + 1));
    let mut refused = 0;
    for world_number in 0..WORLDS {
        let mut events = world(&mut random, false);
        for order in 0..ORDERS / 4 {
            let what = format!("seed {:#x}, world {world_number}, order {order}", SEED + 1);
            random.shuffle(&mut events);
            let ledger = play(&rules, &events);
            ledger.check(&what);
            assert!(ledger.rows.dead.iter().all(|(_, cause, ..)| *cause == DeadCause::OverRefund), "{what}");
            refused += ledger.rows.dead.len();
        }
    }
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn every_order_of_a_won_dispute_comes_to_the_same_sums() {
    let (rules, mut random) = (rules(), Random(SEED + 4));
    let mut reversed = 0;
    for world_number in 0..WORLDS {
        let mut events = world(&mut random, true);
        events.extend(won(&mut random, &events, false));
        let first = play(&rules, &events);
        assert_eq!((first.repeated, first.rows.dead.len()), (1, 0), "world {world_number}");
        let is_won = |posting: &&PostingRow| posting.kind == PostingKind::ChargebackReversed;
        reversed += first.rows.postings.iter().filter(is_won).count();
        for order in 0..ORDERS / 4 {
            let what = format!("seed {:#x}, world {world_number}, order {order}", SEED + 4);
            random.shuffle(&mut events);
            let other = play(&rules, &events);
            other.check(&what);
            assert_eq!(other.sums(), first.sums(), "{what}");
            assert_eq!(other.verdicts(), first.verdicts(), "{what}");
        }
    }
    assert!(reversed > 20, "{reversed} won");
}

/// What a won dispute leaves may be refunded, and that refund may come before the dispute ends: it is brought back then.
#[test]
fn a_refund_of_what_was_won_back_may_come_before_the_end_of_the_dispute() {
    let (rules, mut random) = (rules(), Random(SEED + 5));
    let mut brought_back = 0;
    for world_number in 0..WORLDS {
        let events = world(&mut random, true);
        let more = won(&mut random, &events, true);
        let mut first = None;
        for order in 0..ORDERS / 8 {
            let what = format!("seed {:#x}, world {world_number}, order {order}", SEED + 5);
            // In any order, but after the chargebacks are posted.
            let (mut earlier, mut later) = (events.clone(), more.clone());
            random.shuffle(&mut earlier);
            random.shuffle(&mut later);
            let all = numbered(&[earlier, later].concat());
            let mut ledger = Ledger::new();
            let patience = [rules.patience.click_ms];
            let mut waiting = all[..events.len()].to_vec();
            ledger.play(&rules, &mut waiting, &patience);
            waiting.extend_from_slice(&all[events.len()..]);
            ledger.play(&rules, &mut waiting, &patience);
            loop {
                let mut again = ledger.bring_back(&all);
                brought_back += again.len();
                let before = again.len();
                ledger.play(&rules, &mut again, &patience);
                if again.len() + ledger.rows.dead.len() == before {
                    break;
                }
            }
            ledger.check(&what);
            assert_eq!((waiting.len(), ledger.rows.dead.len()), (0, 0), "{what}");
            let result = (ledger.sums(), ledger.verdicts());
            assert_eq!(result, *first.get_or_insert_with(|| result.clone()), "{what}");
        }
    }
    assert!(brought_back > 100, "{brought_back} brought back");
}

/// Whatever comes in whatever order: nothing is taken back that was not paid, and nothing won back that was not taken.
#[test]
fn no_order_of_disputes_brings_back_more_than_was_taken() {
    let (rules, mut random) = (rules(), Random(SEED + 6));
    let mut refused = BTreeSet::new();
    for world_number in 0..WORLDS {
        let mut events = world(&mut random, false);
        for _ in 0..2 {
            let again = won(&mut random, &events, true);
            let again = again
                .into_iter()
                .map(|event| QueuedEvent { event_id: format!("{}x", event.event_id), ..event });
            events.extend(again.collect::<Vec<_>>());
        }
        for order in 0..ORDERS / 8 {
            let what = format!("seed {:#x}, world {world_number}, order {order}", SEED + 6);
            random.shuffle(&mut events);
            let ledger = play(&rules, &events);
            ledger.check(&what);
            refused.extend(ledger.rows.dead.iter().map(|dead| dead.1));
        }
    }
    let causes = [DeadCause::OriginalUnknown, DeadCause::OverRefund, DeadCause::OverReversal];
    assert!(causes.iter().all(|cause| refused.contains(cause)), "{refused:?}");
}
