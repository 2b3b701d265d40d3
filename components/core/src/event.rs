//! The event vocabulary (source §4, §8): types, required members, and what is wrong with an event that is refused.

mod vocabulary;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::identifier::{self, IdentifierReject};
use crate::json::{Document, Object, Str, Value};
use crate::money::{Amount, AmountProblem, Currency};
use crate::text::Text;
use crate::time::{TimeProblem, Timestamp};

pub use vocabulary::{CustomEvent, Demands, EventName, EventType, Original, Presence, Sign};

/// An event's id: 1 to 128 visible ASCII characters, so that it can stand in a header field.
pub type EventId = Text<128>;
/// A click's id: 1 to 128 visible ASCII characters; one of ours has 44.
pub type ClickId = Text<128>;

/// What the gate, and whoever it hands on to, has to know of an event. Everything else stays in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The type: built in, or declared by the partner's rules.
    pub event: EventType,
    /// The event's own id, unique per partner.
    pub event_id: EventId,
    /// The click it belongs to; whether it is one of ours is for [`crate::click`] to say.
    pub click_id: ClickId,
    /// When it happened, by the sender's clock.
    pub ts_event: Timestamp,
    /// Its money, never below zero: what a refund or a chargeback takes away is positive too, and the type gives the sign.
    pub amount: Option<Amount>,
    /// The event that this one undoes ([`EventType::original`]). It may arrive later.
    pub original_event_id: Option<EventId>,
    /// Whether the sender takes the deposit for the player's first; the contract decides (source §8).
    pub is_ftd: Option<bool>,
    /// Whether the deposit was a bonus rather than the player's money, which makes it no first deposit (source §8).
    pub bonus: Option<bool>,
}

/// What one partner's events may look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRules {
    /// Types beside the built-in ones.
    pub custom: Vec<CustomEvent>,
    /// How far `ts_event` may be ahead of our clock, in milliseconds.
    pub ts_event_future_ms_max: u64,
}

/// The most rejects that are listed of one event; later ones show once these are mended.
pub const FAULTS_MAX: usize = 8;

/// What is wrong with an event, in the order of [`MEMBERS`], whatever the order in the document; 1 to [`FAULTS_MAX`] rejects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRejects {
    rejects: Vec<EventReject>,
    skew_ms: Option<i64>,
    event: Option<EventName>,
    event_id: Option<EventId>,
}

/// One thing that is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReject {
    /// Where, as an RFC 6901 JSON pointer; empty for the whole document. Also the place of a member that is missing.
    pub pointer: &'static str,
    /// What to send instead; public text.
    pub problem: &'static str,
}

impl EventRejects {
    /// The rejects.
    #[must_use]
    pub fn list(&self) -> &[EventReject] {
        &self.rejects
    }

    /// The event's type, where that is right.
    #[must_use]
    pub const fn event(&self) -> Option<EventName> {
        self.event
    }

    /// The event's id, where that is right.
    #[must_use]
    pub const fn event_id(&self) -> Option<EventId> {
        self.event_id
    }

    /// Where `ts_event` is too far ahead of our clock: by how many milliseconds.
    #[must_use]
    pub const fn skew_ms(&self) -> Option<i64> {
        self.skew_ms
    }

    /// Notes a problem with the member at `pointer`, and answers what was read where there is none.
    fn note<T>(&mut self, pointer: &'static str, read: Result<T, &'static str>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(problem) => {
                self.add(pointer, problem);
                None
            }
        }
    }

    fn add(&mut self, pointer: &'static str, problem: &'static str) {
        if self.rejects.len() < FAULTS_MAX {
            self.rejects.push(EventReject { pointer, problem });
        }
    }
}

/// Reads an event from a verified payload.
///
/// Members that are not in [`MEMBERS`] are not looked at. Those that are must have their type, whether the event type needs
/// them or not; a member without a value is left out, not sent as `null` or as an empty text.
///
/// # Errors
/// [`EventRejects`] with all that is wrong, up to [`FAULTS_MAX`].
pub fn read(document: &Document<'_>, rules: &EventRules, now: Timestamp) -> Result<Event, Box<EventRejects>> {
    let mut rejects = EventRejects::default();
    let Some(object) = document.object() else {
        rejects.add("", DOCUMENT);
        return Err(Box::new(rejects));
    };
    let members = Members::of(object);

    let event = rejects.note("/event", event_type(members.event, rules));
    let (event, demands) = event.map_or((None, Demands::PLAIN), |(event, demands)| (Some(event), demands));
    let event_id = rejects.note("/event_id", filled(members.event_id, EVENT_ID));
    // Whether that was filled in is for [`crate::click`] to say, with a code of its own.
    let click_id = rejects.note("/click_id", visible(members.click_id, CLICK_ID));
    let ts_event = rejects.note("/ts_event", instant(members.ts_event));
    if let Some(ahead_ms) = ts_event.map(|ts_event| ts_event.since_ms(now))
        && ahead_ms > rules.ts_event_future_ms_max
    {
        rejects.skew_ms = i64::try_from(ahead_ms).ok();
        rejects.add("/ts_event", TS_EVENT_AHEAD);
    }
    let amount = money(&members, demands, &mut rejects);
    let original_event_id =
        rejects.note("/original_event_id", original(members.original_event_id, demands, event_id.as_ref()));
    let is_ftd = rejects.note("/is_ftd", members.is_ftd.map(|value| boolean(value, IS_FTD)).transpose());
    let bonus = rejects.note("/bonus", members.bonus.map(|value| boolean(value, BONUS)).transpose());
    descriptions(&members, &mut rejects);

    (rejects.event, rejects.event_id) = (event.map(|event| event.name()), event_id);
    match (event, event_id, click_id, ts_event, original_event_id, is_ftd, bonus) {
        (
            Some(event),
            Some(event_id),
            Some(click_id),
            Some(ts_event),
            Some(original_event_id),
            Some(is_ftd),
            Some(bonus),
        ) if rejects.rejects.is_empty() => {
            Ok(Event { event, event_id, click_id, ts_event, amount, original_event_id, is_ftd, bonus })
        }
        _ => Err(Box::new(rejects)),
    }
}

macro_rules! members {
    ($($name:ident),* $(,)?) => {
        /// The members that have a meaning to the gate, in the order in which their rejects are listed. None of the names
        /// has a `/` or a `~`, so its JSON pointer is the name behind a `/` (RFC 6901 §3).
        pub const MEMBERS: &[&str] = &[$(stringify!($name)),*];

        /// The members of one event.
        #[derive(Default)]
        struct Members<'d> { $($name: Option<Value<'d>>,)* }

        impl<'d> Members<'d> {
            /// Gathers them in one pass.
            fn of(object: Object<'d>) -> Self {
                let mut members = Self::default();
                for (name, value) in object.members() {
                    let unescaped: Option<Text<32>>;
                    let name = match name.as_plain() {
                        Some(name) => name,
                        None => {
                            unescaped = name.to_text();
                            unescaped.as_ref().map_or("", Text::as_str)
                        }
                    };
                    $(if name == stringify!($name) {
                        members.$name = Some(value);
                        continue;
                    })*
                }
                members
            }
        }
    };
}

members! {
    event, event_id, click_id, ts_event, amount, currency, original_event_id, is_ftd, bonus, account_id, session_id,
    install_id, geo, device, ip, ua, kyc_level, payment_method, aff_sub, campaign, creative_id, consent,
}

fn event_type(value: Option<Value<'_>>, rules: &EventRules) -> Result<(EventType, Demands), &'static str> {
    let name: EventName = value.and_then(string).and_then(|text| text.to_text()).ok_or(EVENT)?;
    let event = EventType::named(name);
    let demands = event.demands(&rules.custom).ok_or(EVENT)?;
    Ok((event, demands))
}

/// An id that the sender's system filled in.
fn filled<const N: usize>(value: Option<Value<'_>>, problem: &'static str) -> Result<Text<N>, &'static str> {
    let text = visible(value, problem)?;
    identifier::check(text.as_str()).map_err(IdentifierReject::as_str)?;
    Ok(text)
}

/// A text of visible ASCII, as long as its type. Where it is not, a cause that has a name is named.
fn visible<const N: usize>(value: Option<Value<'_>>, problem: &'static str) -> Result<Text<N>, &'static str> {
    let text: Text<N> = value.and_then(string).and_then(|text| text.to_text()).ok_or(problem)?;
    if text.is_empty() {
        return Err(problem);
    }
    if text.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text);
    }
    Err(identifier::check(text.as_str()).err().map_or(problem, IdentifierReject::as_str))
}

fn instant(value: Option<Value<'_>>) -> Result<Timestamp, &'static str> {
    let text = value.and_then(string).and_then(|text| text.to_text::<{ Timestamp::RFC3339_BYTES_MAX }>());
    let text = text.ok_or(TimeProblem::Form.as_str())?;
    Timestamp::parse_rfc3339(text.as_str()).map_err(TimeProblem::as_str)
}

/// Reads `amount` and `currency`, which come together or not at all.
fn money(members: &Members<'_>, demands: Demands, rejects: &mut EventRejects) -> Option<Amount> {
    match demands.amount {
        Presence::None => {
            for (pointer, value) in [("/amount", members.amount), ("/currency", members.currency)] {
                if value.is_some() {
                    rejects.add(pointer, NO_MONEY);
                }
            }
            return None;
        }
        Presence::Optional if members.amount.is_none() && members.currency.is_none() => return None,
        Presence::Optional | Presence::Required => {}
    }
    let currency = currency(members.currency);
    let amount = amount(members.amount, currency.ok(), demands);
    let amount = rejects.note("/amount", amount);
    let _noted = rejects.note("/currency", currency);
    amount.flatten()
}

fn currency(value: Option<Value<'_>>) -> Result<Currency, &'static str> {
    let code = string(value.ok_or(CURRENCY_MISSING)?).and_then(|text| text.to_text::<3>());
    code.and_then(|code| Currency::of(code.as_str())).ok_or(CURRENCY)
}

/// `None` where the number is one, but its currency is not known, and with it how many decimals it may have.
fn amount(
    value: Option<Value<'_>>,
    currency: Option<Currency>,
    demands: Demands,
) -> Result<Option<Amount>, &'static str> {
    let number = match value {
        Some(Value::Number(number)) => number,
        Some(Value::String(_)) => return Err(AMOUNT_STRING),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return Err(AMOUNT),
        None => return Err(AMOUNT_MISSING),
    };
    // Where the body's bytes are signed, the reader lets such numbers pass; money means the same to everybody all the same.
    if !number.is_exact() {
        return Err(AMOUNT_INEXACT);
    }
    let Some(currency) = currency else { return Ok(None) };
    let amount = Amount::parse(number.literal(), currency).map_err(AmountProblem::as_str)?;
    match amount.minor {
        ..=0 if demands.original.is_some() => Err(AMOUNT_NOT_POSITIVE),
        ..0 => Err(AMOUNT_NEGATIVE),
        _ => Ok(Some(amount)),
    }
}

/// Reads `original_event_id`, which is needed where the event takes another one back, and an id in any case.
fn original(
    value: Option<Value<'_>>,
    demands: Demands,
    event_id: Option<&EventId>,
) -> Result<Option<EventId>, &'static str> {
    if value.is_none() {
        return if demands.original.is_some() { Err(ORIGINAL_MISSING) } else { Ok(None) };
    }
    let original = filled(value, ORIGINAL)?;
    if event_id == Some(&original) { Err(ORIGINAL_IS_ITSELF) } else { Ok(Some(original)) }
}

/// Checks the members that say more of player and campaign. They are read where they are needed, from the payload.
fn descriptions(members: &Members<'_>, rejects: &mut EventRejects) {
    for (pointer, value) in [
        ("/account_id", members.account_id),
        ("/session_id", members.session_id),
        ("/install_id", members.install_id),
    ] {
        let _noted = rejects.note(pointer, value.map_or(Ok(()), identified));
    }
    type Check = fn(Str<'_>) -> bool;
    let checks: [(&'static str, Option<Value<'_>>, Check, &'static str); 9] = [
        ("/geo", members.geo, is_country, GEO),
        ("/device", members.device, is_label, LABEL),
        ("/ip", members.ip, is_address, IP),
        ("/ua", members.ua, is_user_agent, UA),
        ("/kyc_level", members.kyc_level, is_label, LABEL),
        ("/payment_method", members.payment_method, is_label, LABEL),
        ("/aff_sub", members.aff_sub, is_label, LABEL),
        ("/campaign", members.campaign, is_label, LABEL),
        ("/creative_id", members.creative_id, is_label, LABEL),
    ];
    for (pointer, value, check, problem) in checks {
        if value.is_some_and(|value| !string(value).is_some_and(check)) {
            rejects.add(pointer, problem);
        }
    }
    match members.consent {
        None => {}
        Some(Value::Object(consent)) => consented(consent, rejects),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            rejects.add("/consent", CONSENT);
        }
    }
}

/// Checks an id of others, which may be any text: everything that is said of one player hangs on it.
fn identified(value: Value<'_>) -> Result<(), &'static str> {
    let text: Text<LABEL_BYTES_MAX> = string(value).and_then(|text| text.to_text()).ok_or(LABEL)?;
    if text.is_empty() {
        return Err(LABEL);
    }
    identifier::check(text.as_str()).map_err(IdentifierReject::as_str)
}

/// Checks a consent: without its version nobody can say to what the player agreed (source §9).
fn consented(consent: Object<'_>, rejects: &mut EventRejects) {
    if !consent.get("version").and_then(string).is_some_and(is_label) {
        rejects.add("/consent/version", CONSENT_VERSION);
    }
    for (pointer, name) in [("/consent/analytics", "analytics"), ("/consent/ads", "ads")] {
        let _noted = rejects.note(pointer, boolean(consent.get(name).unwrap_or(Value::Null), CONSENT_GIVEN));
    }
}

fn string(value: Value<'_>) -> Option<Str<'_>> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn boolean(value: Value<'_>, problem: &'static str) -> Result<bool, &'static str> {
    match value {
        Value::Bool(value) => Ok(value),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(problem)
        }
    }
}

fn is_label(text: Str<'_>) -> bool {
    is_filled::<LABEL_BYTES_MAX>(text)
}

fn is_user_agent(text: Str<'_>) -> bool {
    is_filled::<UA_BYTES_MAX>(text)
}

/// Whether there are 1 to `N` bytes, escapes resolved.
fn is_filled<const N: usize>(text: Str<'_>) -> bool {
    match text.as_plain() {
        Some(plain) => (1..=N).contains(&plain.len()),
        None => text.to_text::<N>().is_some_and(|text| !text.is_empty()),
    }
}

/// Whether the text has the form of an ISO 3166-1 alpha-2 code. Which codes there are changes, and no decision hangs on it.
fn is_country(text: Str<'_>) -> bool {
    let upper = |code: &Text<2>| code.as_str().bytes().all(|byte| byte.is_ascii_uppercase());
    text.to_text().is_some_and(|code: Text<2>| code.as_str().len() == 2 && upper(&code))
}

fn is_address(text: Str<'_>) -> bool {
    text.to_text::<IP_BYTES_MAX>().is_some_and(|text| text.as_str().parse::<IpAddr>().is_ok())
}

/// The longest text that describes: ids of others, device, KYC level, payment method, campaign. In bytes.
pub const LABEL_BYTES_MAX: usize = 256;
/// The longest `ua`, in bytes.
pub const UA_BYTES_MAX: usize = 1024;
/// The longest way to write an IPv6 address.
const IP_BYTES_MAX: usize = 45;

const DOCUMENT: &str = "send one event as a JSON object";
const EVENT: &str = "send a known event type, such as registration, kyc_approved, deposit_success, refund, chargeback, \
                     chargeback_reversed or install, or one that was declared for you";
const EVENT_ID: &str = "send a string of 1 to 128 visible ASCII characters, unique for each event";
const CLICK_ID: &str =
    "send the click_id as the redirect delivered it: a string of 1 to 128 visible ASCII characters";
const TS_EVENT_AHEAD: &str = "send the time at which the event happened; this is ahead of our clock, so check yours, and \
                              that the time is UTC";
const AMOUNT: &str = "send a JSON number such as 100.00";
const AMOUNT_STRING: &str = "send a JSON number such as 100.00, not a string";
const AMOUNT_INEXACT: &str = "send the amount with the currency's decimals, such as 19.90; a float that is printed in full, such as \
                              19.899999999999999, is another number (PHP: serialize_precision = -1)";
const AMOUNT_MISSING: &str = "send the amount too: a JSON number such as 100.00";
const AMOUNT_NEGATIVE: &str =
    "send an amount of 0 or more; what takes money back is a refund or a chargeback";
const AMOUNT_NOT_POSITIVE: &str = "send what is taken back as an amount of more than 0, without a minus sign";
const CURRENCY: &str = "send an active ISO 4217 code in upper case, such as USD";
const CURRENCY_MISSING: &str = "send the currency too: an ISO 4217 code in upper case, such as USD";
const NO_MONEY: &str = "leave the member out; events of this type carry no money";
const ORIGINAL: &str =
    "send the event_id of the event that is taken back: a string of 1 to 128 visible ASCII characters";
const ORIGINAL_MISSING: &str = "send the event_id of the event that is taken back";
const ORIGINAL_IS_ITSELF: &str = "send the event_id of the event that is taken back, not this event's own";
const IS_FTD: &str = "send true or false, or leave the member out";
const BONUS: &str = "send true if the deposit is a bonus and false if it is the player's money, not an amount, or leave the \
                     member out";
const LABEL: &str = "send a string of 1 to 256 bytes, or leave the member out";
const UA: &str = "send a string of 1 to 1024 bytes, or leave the member out";
const GEO: &str =
    "send a country as two letters in upper case (ISO 3166-1), such as BR, or leave the member out";
const IP: &str = "send an IPv4 or IPv6 address as a string, or leave the member out";
const CONSENT: &str = "send an object with version, analytics and ads, or leave the member out";
const CONSENT_VERSION: &str = "send the version of the consent text: a string of 1 to 256 bytes";
const CONSENT_GIVEN: &str = "send true or false";
