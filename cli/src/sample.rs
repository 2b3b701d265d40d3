//! Events as a partner sends them (source §4), fresh each time: with ids of their own and the time of now.

use anyhow::Result;
use countersign_core::click::{self, ClickKey};
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::{json::Tape, time::Timestamp};
use serde_json::{Map, Value, json};

use crate::input;

/// One player's events, which share their click.
#[derive(Debug)]
pub(crate) struct Player {
    click_id: String,
    account_id: String,
    now: Timestamp,
}

impl Player {
    /// A player who came through a click that is minted now.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub(crate) fn new(key: &ClickKey, now: Timestamp) -> Result<Self> {
        let click_id = click::mint(key, now, input::random()?).as_str().to_owned();
        Ok(Self { click_id, account_id: format!("u_{}", input::random_id()?), now })
    }

    /// A registration.
    pub(crate) fn registration(&self) -> Result<Value> {
        self.event("registration", "reg", json!({ "geo": "BR", "device": "android" }))
    }

    /// The account was verified.
    pub(crate) fn kyc_approved(&self) -> Result<Value> {
        self.event("kyc_approved", "kyc", json!({ "kyc_level": "full" }))
    }

    /// A first deposit.
    pub(crate) fn first_deposit(&self) -> Result<Value> {
        let members = json!({ "amount": 100.5, "currency": "EUR", "is_ftd": true, "payment_method": "card" });
        self.event("deposit_success", "dep", members)
    }

    /// Part of `deposit` is taken back.
    pub(crate) fn refund(&self, deposit: &Value) -> Result<Value> {
        let original = deposit.get("event_id").cloned().unwrap_or_default();
        self.event("refund", "ref", json!({ "amount": 20, "currency": "EUR", "original_event_id": original }))
    }

    fn event(&self, event: &str, prefix: &str, more: Value) -> Result<Value> {
        let mut members = Map::new();
        members.insert("event".into(), event.into());
        members.insert("event_id".into(), format!("{prefix}_{}", input::random_id()?).into());
        members.insert("click_id".into(), self.click_id.clone().into());
        members.insert("account_id".into(), self.account_id.clone().into());
        members.insert("ts_event".into(), self.now.write_rfc3339().as_str().into());
        if let Value::Object(more) = more {
            members.extend(more);
        }
        Ok(Value::Object(members))
    }
}

/// The value of `x-signature` over an event, scheme jcs.
///
/// # Errors
/// The event cannot be signed.
pub(crate) fn signature(key: &SigningKey, body: &str) -> Result<String> {
    let mut tape = Tape::default();
    let document = input::document(body.as_bytes(), &mut tape, Scheme::Jcs.read_limits())?;
    let message = Message { id: "", at: Timestamp::default() };
    let signed =
        sign(Scheme::Jcs, &Place::Header(Place::HEADER.into()), key, body.as_bytes(), &document, message)
            .map_err(|problem| anyhow::anyhow!(problem.as_str()))?;
    Ok(match signed {
        Signed::Headers(fields) => fields.into_iter().map(|(_, value)| value).collect(),
        Signed::Member(_, value) => value,
    })
}
