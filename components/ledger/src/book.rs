//! What is known around a batch of events.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::event::EventType;
use countersign_core::money::Amount;
use countersign_core::time::Timestamp;

use crate::attribution::{Attribution, Touch};
use crate::fx::RateTable;
use crate::payload::Payload;
use crate::posting_row::PostingRow;
use crate::probable;

/// An event of the inbox that is to be posted.
#[derive(Clone, Debug)]
pub struct QueuedEvent {
    /// Its row in the inbox, and its entry's id.
    pub id: i64,
    /// Who sent it.
    pub partner: String,
    /// Its own id.
    pub event_id: String,
    /// Its type.
    pub event: EventType,
    /// Its click, plain.
    pub click_id: String,
    /// When it happened, by the sender's clock.
    pub ts_event: Timestamp,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// SHA-256 of its canonical payload.
    pub payload_hash: [u8; 32],
    /// How often a worker took it, this time included.
    pub attempts: u32,
    /// What its payload says beyond that.
    pub payload: Payload,
}

/// What is known around a batch of events. Names of accounts, installs and entries go with their partner's.
#[derive(Debug, Default)]
pub struct Book {
    /// Campaigns by partner and click, as the click's plain id. One partner's click is nothing to another.
    pub clicks: BTreeMap<(String, String), String>,
    /// Players, by partner and account id.
    pub accounts: BTreeMap<(String, String), Account>,
    /// Installs, by partner and install id.
    pub installs: BTreeMap<(String, String), Install>,
    /// Clicks that an event may be matched with, by its row in the inbox: found by what `trace::search` asks for.
    pub nearby: BTreeMap<i64, Vec<probable::NearbyClick>>,
    /// Those of them, by partner and click, that a player has already.
    pub taken: BTreeSet<(String, String)>,
    /// Entries, by partner and event id.
    pub entries: BTreeMap<(String, String), Posted>,
    /// Payload hashes of entries that were over their retention and are gone, by partner and event id.
    pub purged: BTreeMap<(String, String), [u8; 32]>,
    /// Exchange rates.
    pub rates: RateTable,
}

/// An install on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Its click.
    pub touch: Touch,
    /// How it was traced back to that.
    pub attribution: Attribution,
}

/// A player.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The click of the registration.
    pub touch: Option<Touch>,
    /// How the registration was traced back to it.
    pub attribution: Option<Attribution>,
    /// When the player registered.
    pub registered_at: Option<Timestamp>,
    /// When the player became known.
    pub kyc_at: Option<Timestamp>,
    /// The first deposit.
    pub first_deposit: Option<FirstDeposit>,
    /// Deposits that may still become the first, once the player is registered or known.
    pub candidates: Vec<DepositMade>,
}

/// A player's first deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDeposit {
    /// Its entry.
    pub id: i64,
    /// Its own id.
    pub event_id: String,
    /// When it happened.
    pub ts_event: Timestamp,
    /// What it brought, as it was posted.
    pub price: Option<PostingRow>,
}

/// A deposit that is not the first one only because something about its player is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositMade {
    /// Its entry.
    pub id: i64,
    /// Its own id.
    pub event_id: String,
    /// When it happened.
    pub ts_event: Timestamp,
    /// Its money.
    pub amount: Amount,
    /// How it was traced back.
    pub attribution: Attribution,
}

impl FirstDeposit {
    /// One whose entry is over its retention and gone: it stands before every other deposit, so nothing takes its place.
    #[must_use]
    pub const fn purged(id: i64) -> Self {
        Self { id, event_id: String::new(), ts_event: Timestamp::from_ms(0), price: None }
    }

    /// A deposit as the first one, with what it brings.
    pub(crate) fn new(deposit: &DepositMade, price: Option<PostingRow>) -> Self {
        let DepositMade { id, ref event_id, ts_event, .. } = *deposit;
        Self { id, event_id: event_id.clone(), ts_event, price }
    }

    /// Where it stands among its player's deposits.
    #[must_use]
    pub const fn place(&self) -> (Timestamp, &String) {
        (self.ts_event, &self.event_id)
    }
}

impl DepositMade {
    /// Where it stands among its player's deposits. Of two at one time the id decides, which is the same in whatever order they come.
    #[must_use]
    pub const fn place(&self) -> (Timestamp, &String) {
        (self.ts_event, &self.event_id)
    }
}

/// An event that has its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The entry's id.
    pub id: i64,
    /// SHA-256 of its canonical payload.
    pub payload_hash: [u8; 32],
    /// Its type.
    pub event: EventType,
    /// When it happened.
    pub ts_event: Timestamp,
    /// Its money, never below zero, and how much of that was undone so far, in minor units: of a deposit by refunds and
    /// chargebacks, less what of these was won back; of a chargeback by what was won back.
    pub money: Option<(Amount, i64)>,
    /// The event that it undoes; `None` also where that is over its retention and gone.
    pub original_event_id: Option<String>,
    /// Whose player it was.
    pub account_id: Option<String>,
    /// Its campaign.
    pub campaign: Option<String>,
    /// How it was traced back.
    pub attribution: Attribution,
    /// Whether it was a bonus, not the player's money.
    pub bonus: bool,
}
