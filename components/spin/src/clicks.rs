//! Clicks in SQLite. One click is one statement; a click that cannot be stored is counted, and nobody waits for it.
//!
//! * **Storing again is storing once.** The click id is the row's key, so a statement whose outcome is unknown is run again.
//! * **A loss is counted once.** The count is kept in the instance's memory, and written after the next click that it stores, or by
//!   itself once the store is back: an instance lives for as long as it has something to write, [`LATER_TRIES_MAX`] attempts at the
//!   most. It only grows, and its row belongs to this instance, so a write whose outcome is unknown is repeated as well. The log
//!   has a line for each lost click in any case.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use countersign_core::store::StoreFault;
use countersign_ledger::click::Click;
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::time::sleep;

use crate::database::{Database, instant, run, text, unsigned};
use crate::host;
use crate::inbox::{self, NotOpened};

/// The pauses between the attempts to store a click, each of which waits for a lock as long as the host lets it. A store that is
/// still away after them is away for more than a moment.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_millis(1_000),
    Duration::from_millis(4_000),
];

/// Between attempts to write what was lost, and how many there are: for ten minutes and more.
const LATER_PAUSE: Duration = Duration::from_secs(10);
/// Most attempts to write what was lost, each with its pause before it.
pub const LATER_TRIES_MAX: u32 = 60;

/// The clicks behind a component's database label.
#[derive(Debug)]
pub struct Clicks {
    label: &'static str,
    database: OnceCell<Database>,
    /// Tells this instance's counts from those of others.
    instance: u64,
    lost: RefCell<BTreeMap<Day, Count>>,
    /// Whether somebody waits for the store to be back.
    is_waiting: Cell<bool>,
}

/// Day and campaign.
type Day = (u64, String);

/// How many clicks were lost, and how many of them the store knows of.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    lost: u64,
    written: u64,
}

impl Clicks {
    /// The clicks in the database of that label; nothing is opened yet, for a redirect does not wait for it.
    #[must_use]
    pub fn new(label: &'static str) -> Self {
        Self {
            label,
            database: OnceCell::new(),
            // SQLite has no unsigned integers.
            instance: u64::from_be_bytes(host::random()) >> 1,
            lost: RefCell::default(),
            is_waiting: Cell::new(false),
        }
    }

    /// Stores a click, in one attempt. Then writes what was lost before, if anything was.
    ///
    /// # Errors
    /// The [`StoreFault`] of the click; whether it is stored is then unknown. What was lost stays counted until it is written.
    pub async fn store(&self, click: &Click) -> Result<(), StoreFault> {
        let database = self.database().await?;
        let connection = database.connect().await?;
        insert(&connection, click).await?;
        if self.write_lost(&connection).await.is_ok() {
            database.keep(connection);
        }
        Ok(())
    }

    /// Stores a click whose first attempt failed, in a bounded number of further attempts; else counts it as lost.
    ///
    /// # Errors
    /// The last [`StoreFault`]: the click is lost.
    pub async fn store_again(&self, click: &Click, fault: StoreFault) -> Result<(), StoreFault> {
        let mut fault = fault;
        for pause in PAUSES {
            sleep(pause).await;
            match self.store(click).await {
                Ok(()) => return Ok(()),
                Err(again) => fault = again,
            }
        }
        let mut lost = self.lost.borrow_mut();
        let count = lost.entry((click.day(), click.campaign.clone())).or_default();
        count.lost = count.lost.saturating_add(1);
        Err(fault)
    }

    /// Waits for the store to be back, and then writes what was lost; one of those who call this waits, the others have nothing to do.
    pub async fn write_lost_later(&self) {
        if self.is_waiting.replace(true) {
            return;
        }
        for _ in 0..LATER_TRIES_MAX {
            sleep(LATER_PAUSE).await;
            // What fails now is tried again, or stays in the log alone.
            let _written = self.write_lost_once().await;
            if self.unwritten().is_none() {
                break;
            }
        }
        self.is_waiting.set(false);
    }

    async fn write_lost_once(&self) -> Result<(), StoreFault> {
        if self.unwritten().is_none() {
            return Ok(());
        }
        let database = self.database().await?;
        let connection = database.connect().await?;
        self.write_lost(&connection).await?;
        database.keep(connection);
        Ok(())
    }

    /// The database, opened by the first who asks, and by the next one again where that failed.
    async fn database(&self) -> Result<&Database, StoreFault> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        match inbox::open_database(self.label).await {
            // Another one may have opened it meanwhile.
            Ok(database) => Ok(self.database.get_or_init(|| database)),
            Err(NotOpened::Store(fault)) => Err(fault),
            Err(NotOpened::NotDurable) => Err(StoreFault::Unavailable),
        }
    }

    /// A count that the store does not know of.
    fn unwritten(&self) -> Option<(Day, u64)> {
        let lost = self.lost.borrow();
        let unwritten = lost.iter().find(|(_, count)| count.written < count.lost);
        unwritten.map(|(day, count)| (day.clone(), count.lost))
    }

    /// Writes the counts that the store does not know of. Their number is bounded by the requests that an instance serves.
    async fn write_lost(&self, connection: &Connection) -> Result<(), StoreFault> {
        while let Some((day, lost)) = self.unwritten() {
            let sql = "INSERT INTO click_lost (day, campaign, instance, count) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (day, campaign, instance) DO UPDATE SET count = max(count, excluded.count)";
            let row = [unsigned(day.0), text(&day.1), unsigned(self.instance), unsigned(lost)];
            run(connection, sql, row).await?;
            // Others may have been lost, or written, while this one waited.
            if let Some(count) = self.lost.borrow_mut().get_mut(&day) {
                count.written = count.written.max(lost);
            }
        }
        Ok(())
    }
}

/// The click's row; where it is there already, nothing.
async fn insert(connection: &Connection, click: &Click) -> Result<(), StoreFault> {
    let sql = "INSERT INTO click (click_id, campaign, partner, clicked_at, kind, counted, \
               utm_source, utm_medium, utm_campaign, utm_term, utm_content, sub1, sub2, sub3, sub4, sub5, creative_id, \
               consent_version, consent_analytics, consent_ads, cut, referrer_host, geo, device_class, ip_prefix, ip, agent, \
               user_agent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
               ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28) ON CONFLICT (click_id) DO NOTHING";
    let (parameters, visitor) = (&click.parameters, &click.visitor);
    let cut = Some(click.cut()).filter(|cut| !cut.is_empty()).map(|cut| cut.join(","));
    let what = [
        text(click.click_id.as_str()),
        text(&click.campaign),
        text(&click.partner),
        instant(click.clicked_at),
        text(visitor.kind.as_str()),
        flag(Some(click.is_counted())),
    ];
    let more = [
        flag(parameters.consent_analytics),
        flag(parameters.consent_ads),
        maybe(cut),
        maybe(visitor.referrer_host.as_ref().map(|(host, _)| host)),
        maybe(visitor.geo),
        text(visitor.device_class.as_str()),
        maybe(visitor.ip_prefix),
        maybe(visitor.ip),
        maybe(visitor.agent),
        maybe(visitor.user_agent.as_ref()),
    ];
    let said = parameters.texts.iter().map(|text| maybe(text.as_ref()));
    run(connection, sql, what.into_iter().chain(said).chain(more)).await
}

fn maybe(value: Option<impl Display>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.to_string()))
}

fn flag(value: Option<bool>) -> Value {
    value.map_or(Value::Null, |value| Value::Integer(value.into()))
}
