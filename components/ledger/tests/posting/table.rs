//! The reader of the table's files. `first_deposits.txt` says how they are written.

use std::collections::BTreeMap;

use countersign_core::event::{EventName, EventType};
use countersign_core::json::Tape;
use countersign_core::money::{Amount, Currency};
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use countersign_ledger::attribution::{Attribution, Touch};
use countersign_ledger::book::{Account, QueuedEvent};
use countersign_ledger::client::{DeviceClass, truncate_ip};
use countersign_ledger::fx::{Code, Date, Day, Quote};
use countersign_ledger::payload::Payload;
use countersign_ledger::probable::Traits;
use countersign_ledger::rules::Rules;
use serde_json::{Map, Value, json};

/// Whose events they are, where a line says nothing else.
pub(crate) const PARTNER: &str = "acme";

/// Events with what is around them: one book, one configuration.
pub(crate) struct Block {
    /// What it shows.
    pub(crate) title: String,
    rules: Rules,
    pub(crate) steps: Vec<Step>,
    day: String,
    days: BTreeMap<Date, Vec<(Code, Quote)>>,
}

/// What happens next.
pub(crate) enum Step {
    Click(Click),
    Rates(Day),
    Account {
        name: (String, String),
        account: Account,
    },
    /// Entries, by partner and event id.
    Purge(Vec<(String, String)>),
    Event(Box<Event>),
    /// From here on, these rules hold.
    Contract(Box<Rules>),
    /// What was posted is decided anew.
    Redecide {
        line: String,
        expected: String,
    },
}

/// A click, as far as events are matched with it.
pub(crate) struct Click {
    pub(crate) click_id: String,
    pub(crate) campaign: String,
    /// `None`: every partner's, where it is an event's own; candidates are [`PARTNER`]'s.
    pub(crate) partner: Option<String>,
    pub(crate) kind: String,
    pub(crate) traits: Traits,
}

/// One event, decided once.
pub(crate) struct Event {
    /// The line with its number.
    pub(crate) line: String,
    pub(crate) queued: QueuedEvent,
    /// Its payload, as the inbox has it.
    pub(crate) payload: String,
    pub(crate) now: Timestamp,
    pub(crate) expected: String,
}

impl Event {
    /// Partner and event id.
    pub(crate) fn name(&self) -> (String, String) {
        (self.queued.partner.clone(), self.queued.event_id.clone())
    }
}

impl Block {
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.steps.iter().filter_map(|step| match step {
            Step::Event(event) => Some(event.as_ref()),
            Step::Click(_)
            | Step::Rates(_)
            | Step::Account { .. }
            | Step::Purge(_)
            | Step::Contract(_)
            | Step::Redecide { .. } => None,
        })
    }

    /// The rules that hold at the step of that index.
    pub(crate) fn rules(&self, index: usize) -> &Rules {
        let changed = self.steps[..index].iter().rev().find_map(|step| match step {
            Step::Contract(rules) => Some(rules.as_ref()),
            Step::Click(_)
            | Step::Rates(_)
            | Step::Account { .. }
            | Step::Event(_)
            | Step::Purge(_)
            | Step::Redecide { .. } => None,
        });
        changed.unwrap_or(&self.rules)
    }

    /// What the block says of the rates of a date.
    pub(crate) fn quotes(&self, date: Date) -> impl Fn(Amount) -> Quote {
        let quotes = self.days[&date].clone();
        move |amount| crate::quote_of(&quotes, amount)
    }

    /// A time as lines write it: without what is zero at its end, and without the block's day.
    pub(crate) fn write_time(&self, time: Timestamp) -> String {
        let text = time.write_rfc3339();
        let text = text.as_str().trim_end_matches('Z');
        let text = text.strip_suffix(".000").unwrap_or(text);
        let text = if text.len() == 19 { text.strip_suffix(":00").unwrap_or(text) } else { text };
        let (date, of_day) = text.split_once('T').unwrap();
        match (date == self.day, of_day) {
            (true, _) => of_day.to_owned(),
            (false, "00:00") => date.to_owned(),
            (false, _) => text.to_owned(),
        }
    }

    pub(crate) fn write_ms(&self, ms: u64) -> String {
        self.write_time(Timestamp::from_ms(ms))
    }
}

/// The blocks of a file.
pub(crate) fn read(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut reader: Option<Reader> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            blocks.extend(reader.replace(Reader::new(title)).map(Reader::finish));
        } else {
            let reader = reader.as_mut().unwrap_or_else(|| panic!("line {}: no block", index + 1));
            reader.line(index + 1, line);
        }
    }
    blocks.extend(reader.map(Reader::finish));
    blocks
}

struct Reader {
    title: String,
    day: String,
    ledger: Map<String, Value>,
    contracts: BTreeMap<String, Vec<Value>>,
    /// A contract in the place of the partner's, as far as it has been read.
    instead: Vec<Value>,
    steps: Vec<Step>,
    events: i64,
}

impl Reader {
    fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            day: "2026-10-29".to_owned(),
            ledger: Map::new(),
            contracts: BTreeMap::new(),
            instead: Vec::new(),
            steps: Vec::new(),
            events: 0,
        }
    }

    fn finish(self) -> Block {
        let rules = self.rules(&self.contracts);
        let days = self.steps.iter().filter_map(|step| match step {
            Step::Rates(day) => Some((day.date, day.quotes.clone())),
            Step::Click(_)
            | Step::Account { .. }
            | Step::Event(_)
            | Step::Purge(_)
            | Step::Contract(_)
            | Step::Redecide { .. } => None,
        });
        Block { days: days.collect(), title: self.title, rules, steps: self.steps, day: self.day }
    }

    fn rules(&self, contracts: &BTreeMap<String, Vec<Value>>) -> Rules {
        let partners: Map<_, _> = contracts
            .iter()
            .map(|(partner, contract)| (partner.clone(), json!({ "contract": contract })))
            .collect();
        let document =
            json!({ "version": 1, "environment": "sandbox", "ledger": self.ledger, "partners": partners });
        Rules::compile(&document.to_string(), &mut |_| None)
            .unwrap_or_else(|errors| panic!("{}: {errors:?}", self.title))
    }

    fn line(&mut self, number: usize, line: &str) {
        let (said, expected) = line.split_once(" | ").unwrap_or((line, ""));
        let words: Vec<&str> = said.split_whitespace().collect();
        if words[0] != "instead" && !self.instead.is_empty() {
            let contract = std::mem::take(&mut self.instead);
            let rules = self.rules(&[(PARTNER.to_owned(), contract)].into());
            self.steps.push(Step::Contract(Box::new(rules)));
        }
        match words[..] {
            ["day", day] => day.clone_into(&mut self.day),
            ["ledger", name, value] => {
                drop(self.ledger.insert(name.to_owned(), serde_json::from_str(value).unwrap()));
            }
            ["contract", from, ref terms @ ..] => {
                let (partner, terms) = self.terms(from, terms);
                self.contracts.entry(partner).or_default().push(terms);
            }
            ["instead", from, ref terms @ ..] => {
                let (_, terms) = self.terms(from, terms);
                self.instead.push(terms);
            }
            ["redecide"] => {
                let (line, expected) = (format!("line {number}: {line}"), expected.to_owned());
                self.steps.push(Step::Redecide { line, expected });
            }
            ["rates", date, ref quotes @ ..] => {
                let quotes = quotes
                    .chunks(2)
                    .map(|pair| (Code::new(pair[0]).unwrap(), Quote::parse(pair[1]).unwrap()));
                let date = Date::parse(date).unwrap();
                self.steps.push(Step::Rates(Day { date, quotes: quotes.collect() }));
            }
            ["click", click_id, campaign, ref more @ ..] => {
                let click = self.click(click_id, campaign, more);
                self.steps.push(Step::Click(click));
            }
            ["purge", ref event_ids @ ..] => {
                let names = event_ids.iter().map(|event_id| (PARTNER.to_owned(), (*event_id).to_owned()));
                self.steps.push(Step::Purge(names.collect()));
            }
            ["account", account_id, click_id, campaign, score] => {
                let touch = Touch { click_id: click_id.to_owned(), campaign: Some(campaign.to_owned()) };
                let attribution = Attribution::Probable { score_permille: score.parse().unwrap() };
                let account =
                    Account { touch: Some(touch), attribution: Some(attribution), ..Account::default() };
                let name = (PARTNER.to_owned(), account_id.to_owned());
                self.steps.push(Step::Account { name, account });
            }
            _ => {
                assert!(!expected.is_empty(), "line {number} expects nothing: {line}");
                let event = self.event(number, line, &words, expected);
                self.steps.push(Step::Event(Box::new(event)));
            }
        }
    }

    fn click(&self, click_id: &str, campaign: &str, words: &[&str]) -> Click {
        let mut click = Click {
            click_id: click_id.to_owned(),
            campaign: campaign.to_owned(),
            partner: None,
            kind: "click".to_owned(),
            traits: Traits {
                network: None,
                device: DeviceClass::Unknown,
                geo: None,
                at: Timestamp::from_ms(1),
            },
        };
        for word in words {
            match word.split_once('=').unwrap() {
                ("at", time) => click.traits.at = self.time(time),
                ("ip", ip) => click.traits.network = Some(truncate_ip(ip.parse().unwrap())),
                ("device", device) => click.traits.device = DeviceClass::named(device).unwrap(),
                ("geo", geo) => click.traits.geo = Some(Text::new(geo).unwrap()),
                ("kind", kind) => kind.clone_into(&mut click.kind),
                ("partner", partner) => click.partner = Some(partner.to_owned()),
                _ => panic!("{word}?"),
            }
        }
        click
    }

    /// Whose terms, and what they are.
    fn terms(&self, from: &str, words: &[&str]) -> (String, Value) {
        let mut terms = Map::new();
        let mut partner = PARTNER;
        drop(terms.insert("from".to_owned(), json!(format!("{}Z", self.full(from)))));
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap();
            let (name, value) = match word {
                "min" => ("ftd_min_deposit", json!({ "amount": value(), "currency": value() })),
                "cpa" => ("cpa", json!({ "amount": value(), "currency": value() })),
                "window" => ("ftd_window_days", json!(value().parse::<u32>().unwrap())),
                "share" => ("revenue_share_percent", json!(value())),
                "kyc" => ("ftd_kyc", json!("required")),
                "probable" => ("probable", json!("billed")),
                _ => {
                    partner = word.strip_prefix("partner=").unwrap_or_else(|| panic!("{word}"));
                    continue;
                }
            };
            drop(terms.insert(name.to_owned(), value));
        }
        (partner.to_owned(), Value::Object(terms))
    }

    fn event(&mut self, number: usize, line: &str, words: &[&str], expected: &str) -> Event {
        let line = format!("line {number}: {line}");
        let options = |name: &str| {
            let mut found = words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.next()
        };
        let now = options("now").map(|now| self.time(now));
        if let ["again", event_id, ..] = *words {
            let earlier = self.steps.iter().rev().find_map(|step| match step {
                Step::Event(event) => Some(event).filter(|event| event.queued.event_id == event_id),
                Step::Click(_)
                | Step::Rates(_)
                | Step::Account { .. }
                | Step::Purge(_)
                | Step::Contract(_)
                | Step::Redecide { .. } => None,
            });
            let earlier = earlier.unwrap_or_else(|| panic!("{line}"));
            let mut queued = earlier.queued.clone();
            queued.attempts += 1;
            let (now, payload) = (now.unwrap_or(earlier.now), earlier.payload.clone());
            return Event { line, queued, payload, now, expected: expected.to_owned() };
        }
        let [time, event, event_id, click_id, ref rest @ ..] = *words else { panic!("{line}") };
        let mut members = Vec::new();
        let mut member = |name: &str, json: &str| members.push(format!("{name:?}:{json}"));
        for (index, word) in rest.iter().enumerate() {
            match *word {
                "bonus" => member("bonus", "true"),
                "ftd" => member("is_ftd", "true"),
                "!ftd" => member("is_ftd", "false"),
                word if word.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
                    member("amount", word);
                    member("currency", &format!("{:?}", rest[index + 1]));
                }
                word => {
                    let (name, value) = word.split_once('=').unwrap_or(("", ""));
                    match name {
                        "account" => member("account_id", &format!("{value:?}")),
                        "install" => member("install_id", &format!("{value:?}")),
                        "of" => member("original_event_id", &format!("{value:?}")),
                        "ip" | "device" | "geo" => member(name, &format!("{value:?}")),
                        "ua" => member(name, &format!("{:?}", value.replace('+', " "))),
                        "now" | "received" | "partner" | "payload" => {}
                        _ => assert!(index > 0 && word.len() == 3, "{word}? {line}"),
                    }
                }
            }
        }
        let payload = format!("{{{}}}", members.join(","));
        let ts_event = self.time(time);
        let received_at = options("received").map_or(ts_event, |time| self.time(time));
        let hash = options("payload").map_or(1, |hash| hash.parse().unwrap());
        self.events += 1;
        let queued = QueuedEvent {
            id: self.events,
            partner: options("partner").unwrap_or(PARTNER).to_owned(),
            event_id: event_id.to_owned(),
            event: event_type(match event {
                "deposit" => "deposit_success",
                "kyc" => "kyc_approved",
                event => event,
            }),
            click_id: click_id.to_owned(),
            ts_event,
            received_at,
            payload_hash: [hash; 32],
            attempts: 1,
            payload: read_payload(&payload, rest),
        };
        Event { line, queued, payload, now: now.unwrap_or(received_at), expected: expected.to_owned() }
    }

    fn time(&self, text: &str) -> Timestamp {
        let text = format!("{}Z", self.full(text));
        Timestamp::parse_rfc3339(&text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
    }

    /// A time with its date and its seconds, without the zone.
    fn full(&self, text: &str) -> String {
        let text = match (text.contains(':'), text.contains('T')) {
            (true, true) => text.to_owned(),
            (true, false) => format!("{}T{text}", self.day),
            (false, _) => format!("{text}T00:00"),
        };
        if text.len() == 16 { format!("{text}:00") } else { text }
    }
}

/// The type of that name.
pub(crate) fn event_type(name: &str) -> EventType {
    EventType::named(EventName::new(name).unwrap())
}

fn read_payload(payload: &str, words: &[&str]) -> Payload {
    let read = |payload: &str| Payload::read(payload.as_bytes(), &mut Tape::default());
    read(payload).unwrap_or_else(|| {
        // A number on the wire has no more digits than a double holds; the ledger's have 64 bits.
        let mut amounts = words.windows(2).filter_map(|pair| Some((pair[0], Currency::of(pair[1])?)));
        let (number, currency) = amounts.next().unwrap();
        let rest = payload.replace(&format!("\"amount\":{number},"), "");
        let amount = Amount::parse(number, currency).ok();
        Payload { amount, ..read(&rest).unwrap() }
    })
}
