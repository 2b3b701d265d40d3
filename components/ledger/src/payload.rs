//! What the ledger reads of an event's payload. The gate has checked it (source §4); here it comes back out of the inbox.

use alloc::string::String;
use core::net::IpAddr;

use countersign_core::json::{self, Document, Object, ReadLimits, Tape, Value};
use countersign_core::money::{Amount, Currency};
use countersign_core::text::Text;

use crate::client::{DeviceClass, country, device_class};
use crate::minimise::is_pseudonym;

/// What the ledger reads of a payload. A member that is missing, or is not what the gate lets pass, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The money; never below zero, the event's type has the sign.
    pub amount: Option<Amount>,
    /// The operator's own id of the player.
    pub account_id: Option<String>,
    /// The install on the player's device (source §10).
    pub install_id: Option<String>,
    /// What a refund or a chargeback takes back.
    pub original_event_id: Option<String>,
    /// Whether the operator takes the deposit for the player's first.
    pub is_ftd: Option<bool>,
    /// Whether the deposit was a bonus.
    pub bonus: bool,
    /// The player's address, or its network. What a partner's `privacy` leaves of it may be neither.
    pub network: Option<IpAddr>,
    /// The device class, by the user agent, else by the name of the device.
    pub device: DeviceClass,
    /// The country: two letters in upper case.
    pub geo: Option<Text<2>>,
}

impl Payload {
    /// Reads a payload; `None` where it is no JSON object, which no payload in an undamaged inbox is.
    #[must_use]
    pub fn read(payload: &[u8], tape: &mut Tape) -> Option<Self> {
        let document: Document<'_> = json::read(payload, tape, ReadLimits::BYTES_SIGNED).ok()?;
        let object = document.object()?;
        Some(Self {
            amount: amount(object),
            account_id: text(object, "account_id"),
            install_id: text(object, "install_id"),
            original_event_id: text(object, "original_event_id"),
            is_ftd: boolean(object, "is_ftd"),
            bonus: boolean(object, "bonus").unwrap_or(false),
            network: text(object, "ip").and_then(|ip| ip.parse().ok()),
            device: device(object),
            geo: text(object, "geo").and_then(|geo| country(geo.as_bytes())),
        })
    }
}

fn amount(object: Object<'_>) -> Option<Amount> {
    let currency = Currency::of(&text(object, "currency")?)?;
    match object.get("amount")? {
        Value::Number(number) => {
            Amount::parse(number.literal(), currency).ok().filter(|amount| amount.minor >= 0)
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn device(object: Object<'_>) -> DeviceClass {
    // A pseudonym is as good as random, and random text may have any mark in it.
    let said = |name| text(object, name).filter(|text| !is_pseudonym(text));
    let by_agent = said("ua").map(|agent| device_class(&agent));
    by_agent
        .filter(|class| *class != DeviceClass::Unknown)
        .or_else(|| {
            let device = said("device")?;
            Some(DeviceClass::named(&device.to_ascii_lowercase()).unwrap_or_else(|| device_class(&device)))
        })
        .unwrap_or_default()
}

fn text(object: Object<'_>, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) => Some(text.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn boolean(object: Object<'_>, name: &str) -> Option<bool> {
    match object.get(name)? {
        Value::Bool(value) => Some(value),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
