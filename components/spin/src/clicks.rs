//! Clicks in SQLite. A click that cannot be stored is counted, and nobody waits for it.
//!
//! * **One statement at a time.** However many clicks come, those of an instance that wait for the store are stored together: a flood
//!   of clicks takes neither connections nor descriptors from the gate.
//! * **Storing again is storing once.** The click id is the row's key, so a statement whose outcome is unknown is run again.
//! * **A loss is counted once.** The count is kept in the instance's memory, and written after the next clicks that it stores, or by
//!   itself once the store is back: an instance lives for as long as it has something to write, [`LATER_TRIES_MAX`] attempts at the
//!   most. It only grows, and its row belongs to this instance, so a write whose outcome is unknown is repeated as well. The log
//!   has a line for each lost click in any case.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use countersign_core::store::StoreFault;
use countersign_ledger::click::Click;
use serde_json::{Value as Json, json};
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::time::sleep;

use crate::database::{Database, run, text, unsigned};
use crate::host;
use crate::opening::{self, Found, NotOpened};
use crate::scope::Scope;

/// The pauses between the attempts to store a click, each of which waits for a lock as long as the host lets it. A store that is
/// still away after them is away for more than a moment.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_millis(1_000),
    Duration::from_millis(4_000),
];

/// Most clicks of one statement.
const BATCH_MAX: usize = 256;

/// Between attempts to write what was lost, and how many there are: for ten minutes and more.
const LATER_PAUSE: Duration = Duration::from_secs(10);
/// Most attempts to write what was lost, each with its pause before it.
pub const LATER_TRIES_MAX: u32 = 60;

/// The clicks behind a component's database label.
#[derive(Debug)]
pub struct Clicks {
    label: &'static str,
    scope: Scope,
    database: OnceCell<Database>,
    /// Clicks that are still to be stored, the oldest first.
    waiting: RefCell<Vec<Click>>,
    /// Whether somebody stores them.
    is_storing: Cell<bool>,
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
    /// The clicks in the database of that label, for the scope of the document. One that cannot be looked at now is looked at again
    /// with the clicks: no redirect waits for it.
    ///
    /// # Errors
    /// [`NotOpened`] where the database will be the wrong one whenever it is looked at.
    pub async fn open(label: &'static str, scope: Scope) -> Result<Self, NotOpened> {
        let database = match Found::look(label).await {
            Ok(found) => found.open_to(&scope)?,
            Err(problem) if problem.lasts() => return Err(problem),
            Err(_) => None,
        };
        Ok(Self {
            label,
            scope,
            database: database.map_or_else(OnceCell::new, OnceCell::from),
            waiting: RefCell::default(),
            is_storing: Cell::new(false),
            // SQLite has no unsigned integers.
            instance: u64::from_be_bytes(host::random()) >> 1,
            lost: RefCell::default(),
            is_waiting: Cell::new(false),
        })
    }

    /// Stores clicks, all or none, in one attempt. Then writes what was lost before, if anything was.
    ///
    /// # Errors
    /// The [`StoreFault`] of the clicks; whether they are stored is then unknown. What was lost stays counted until it is written.
    pub async fn store(&self, clicks: &[Click]) -> Result<(), StoreFault> {
        let database = self.database().await?;
        let connection = database.connect().await?;
        insert(&connection, clicks).await?;
        if self.write_lost(&connection).await.is_ok() {
            database.keep(connection);
        }
        Ok(())
    }

    /// Stores a click behind the reply, together with those that come meanwhile, in a bounded number of attempts; else counts it as
    /// lost. Either way the log has its line.
    pub fn store_later(self: &Rc<Self>, click: Click) {
        self.waiting.borrow_mut().push(click);
        if !self.is_storing.replace(true) {
            let clicks = Rc::clone(self);
            host::after_reply(async move { clicks.store_waiting().await });
        }
    }

    async fn store_waiting(&self) {
        loop {
            let batch = {
                let mut waiting = self.waiting.borrow_mut();
                let count = waiting.len().min(BATCH_MAX);
                waiting.drain(..count).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                break;
            }
            let is_stored = self.store_patiently(&batch).await.is_ok();
            for click in &batch {
                if !is_stored {
                    let mut lost = self.lost.borrow_mut();
                    let count = lost.entry((click.day(), click.campaign.clone())).or_default();
                    count.lost = count.lost.saturating_add(1);
                }
                host::log(&click.to_json(if is_stored { STORED } else { LOST }));
            }
        }
        self.is_storing.set(false);
        if self.unwritten().is_some() {
            self.write_lost_later().await;
        }
    }

    /// Stores clicks in a bounded number of attempts.
    async fn store_patiently(&self, clicks: &[Click]) -> Result<(), StoreFault> {
        let mut stored = self.store(clicks).await;
        for pause in PAUSES {
            if stored.is_ok() {
                break;
            }
            sleep(pause).await;
            stored = self.store(clicks).await;
        }
        stored
    }

    /// Waits for the store to be back, and then writes what was lost; one of those who call this waits, the others have nothing to do.
    async fn write_lost_later(&self) {
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
        match opening::open(self.label, &self.scope).await {
            // Another one may have opened it meanwhile.
            Ok(database) => Ok(self.database.get_or_init(|| database)),
            Err(NotOpened::Store(fault)) => Err(fault),
            // It was none of these at the start.
            Err(NotOpened::NotDurable | NotOpened::Newer | NotOpened::OtherScope { .. }) => {
                Err(StoreFault::Unavailable)
            }
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

/// The code of a log line, for a click whose row is there.
pub const STORED: &str = "click_stored";
/// The code of a log line, for a click that is only counted.
const LOST: &str = "click_lost";

/// The clicks' rows, in one statement; where one is there already, nothing.
async fn insert(connection: &Connection, clicks: &[Click]) -> Result<(), StoreFault> {
    let sql = "INSERT INTO click (click_id, campaign, partner, clicked_at, kind, counted, \
               utm_source, utm_medium, utm_campaign, utm_term, utm_content, sub1, sub2, sub3, sub4, sub5, creative_id, \
               consent_version, consent_analytics, consent_ads, cut, referrer_host, geo, device_class, ip_prefix, ip, agent, \
               user_agent) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
               value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, \
               value ->> 16, value ->> 17, value ->> 18, value ->> 19, value ->> 20, value ->> 21, value ->> 22, value ->> 23, \
               value ->> 24, value ->> 25, value ->> 26, value ->> 27 FROM json_each(?1) WHERE true ON CONFLICT (click_id) DO NOTHING";
    let rows = Json::Array(clicks.iter().map(row).collect());
    run(connection, sql, [Value::Text(rows.to_string())]).await
}

/// A click's row, as an array of its columns.
fn row(click: &Click) -> Json {
    let (parameters, visitor) = (&click.parameters, &click.visitor);
    let cut = Some(click.cut()).filter(|cut| !cut.is_empty()).map(|cut| cut.join(","));
    let what = [
        json!(click.click_id.as_str()),
        json!(click.campaign),
        json!(click.partner),
        json!(click.clicked_at.as_ms()),
        json!(visitor.kind.as_str()),
        json!(u8::from(click.is_counted())),
    ];
    let more = [
        json!(parameters.consent_analytics.map(u8::from)),
        json!(parameters.consent_ads.map(u8::from)),
        json!(cut),
        json!(visitor.referrer_host.as_ref().map(|(host, _)| host.to_string())),
        json!(visitor.geo.map(|geo| geo.to_string())),
        json!(visitor.device_class.as_str()),
        json!(visitor.ip_prefix.map(|prefix| prefix.to_string())),
        json!(visitor.ip.map(|ip| ip.to_string())),
        json!(visitor.agent.map(|agent| agent.to_string())),
        json!(visitor.user_agent.as_ref().map(ToString::to_string)),
    ];
    let said = parameters.texts.iter().map(|text| json!(text.as_ref().map(ToString::to_string)));
    what.into_iter().chain(said).chain(more).collect()
}
