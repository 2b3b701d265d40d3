//! All that is known around a batch, as far as the database knows it.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::event::{ClickId, EventName, EventType};
use countersign_core::money::{Amount, Currency};
use countersign_core::store::StoreFault;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use countersign_ledger::attribution::{Attribution, Touch};
use countersign_ledger::book::{Account, Book, DepositMade, FirstDeposit, Install, Posted, QueuedEvent};
use countersign_ledger::client::DeviceClass;
use countersign_ledger::decision::Verdict;
use countersign_ledger::fx::{Code, Conversion, Date, Day, Quote, Rate, RateTable};
use countersign_ledger::payload::Payload;
use countersign_ledger::posting_row::{PostingKind, PostingRow};
use countersign_ledger::probable::{self, Traits};
use countersign_ledger::trace::{self, CANDIDATES, Search};
use spin_sdk::sqlite::Connection;

use super::{Ledger, Rates, Taken, json};
use crate::database::{Row, first, rows, text};

impl Ledger {
    /// All that is known around a batch.
    pub(super) async fn load(
        &self,
        connection: &Connection,
        taken: &[Taken],
        now: Timestamp,
    ) -> Result<Book, StoreFault> {
        let queued_events = || {
            taken.iter().filter_map(|taken| match taken {
                Taken::Whole(queued) => Some(queued.as_ref()),
                Taken::Damaged { .. } => None,
            })
        };
        let clicks =
            queued_events().map(|queued| (queued.partner.as_str(), queued.click_id.as_str())).collect();
        let named = |member: fn(&Payload) -> Option<&String>| {
            let names = queued_events()
                .filter_map(|queued| Some((queued.partner.as_str(), member(&queued.payload)?.as_str())));
            names.collect::<BTreeSet<(&str, &str)>>()
        };
        let accounts = named(|payload| payload.account_id.as_ref());
        let installs = named(|payload| payload.install_id.as_ref());
        let mut entries = named(|payload| payload.original_event_id.as_ref());
        entries.extend(queued_events().map(|queued| (queued.partner.as_str(), queued.event_id.as_str())));
        let mut book = Book {
            clicks: load_clicks(connection, &clicks).await?,
            installs: load_installs(connection, &installs).await?,
            entries: load_entries(connection, &entries).await?,
            purged: load_purged(connection, &entries).await?,
            accounts: load_accounts(connection, &accounts).await?,
            ..Book::default()
        };
        let searches: Vec<Search> =
            queued_events().filter_map(|queued| trace::search(&self.rules, &book, queued, now)).collect();
        load_nearby(connection, &searches, &mut book).await?;
        let mut dates = self.dates(queued_events());
        dates.extend(
            book.accounts
                .values()
                .flat_map(|account| &account.candidates)
                .map(|candidate| Date::of(candidate.ts_event)),
        );
        book.rates = self.rates(connection, &dates).await?;
        Ok(book)
    }

    /// The dates whose rates a batch may need: none where all money is in the currency of the reports.
    fn dates<'a>(&self, queued_events: impl Iterator<Item = &'a QueuedEvent>) -> BTreeSet<Date> {
        queued_events
            .filter(|queued| self.needs_rates(&queued.partner, queued.payload.amount.as_ref()))
            .map(|queued| Date::of(queued.ts_event))
            .collect()
    }

    /// Whether money, or what a contract makes of it, is not in the currency of the reports.
    pub(super) fn needs_rates(&self, partner: &str, amount: Option<&Amount>) -> bool {
        let report = self.rules.report_currency;
        let is_foreign = |amount: &Amount| amount.currency != report;
        amount.is_some_and(is_foreign)
            || self.rules.agreement(partner).contract.iter().any(|terms| {
                terms.cpa.as_ref().is_some_and(is_foreign)
                    || terms.ftd_min_deposit.as_ref().is_some_and(is_foreign)
            })
    }

    /// The rates of these dates.
    pub(super) async fn rates(
        &self,
        connection: &Connection,
        dates: &BTreeSet<Date>,
    ) -> Result<RateTable, StoreFault> {
        if dates.is_empty() {
            return Ok(RateTable::default());
        }
        let import = first(connection, "SELECT coalesce(max(id), 0) FROM rate_import", []).await?;
        let import = import.ok_or(StoreFault::Corrupt)?.integer(0)?;
        let missing: Vec<String> = {
            let mut rates = self.rates.borrow_mut();
            if rates.import != import {
                *rates = Rates { import, ..Rates::default() };
            }
            dates.iter().filter(|date| !rates.known.contains(date)).map(ToString::to_string).collect()
        };
        if !missing.is_empty() {
            let sql = "SELECT DISTINCT CAST(day.date AS BLOB), CAST(rate.currency AS BLOB), CAST(rate.quote AS BLOB) \
                       FROM json_each(?1) AS wanted JOIN rate_day AS day \
                       ON day.date BETWEEN date(wanted.value, '-7 days') AND wanted.value \
                       LEFT JOIN rate ON rate.date = day.date";
            let mut days: BTreeMap<Date, Vec<(Code, Quote)>> = BTreeMap::new();
            for row in rows(connection, sql, [json(&missing)?]).await? {
                let day = days.entry(Date::parse(row.text(0)?).ok_or(StoreFault::Corrupt)?).or_default();
                if let Ok(currency) = row.text(1) {
                    let quote = Quote::parse(row.text(2)?).map_err(|_| StoreFault::Corrupt)?;
                    day.push((Code::new(currency).ok_or(StoreFault::Corrupt)?, quote));
                }
            }
            let mut rates = self.rates.borrow_mut();
            for (date, quotes) in days {
                rates.table.insert(Day { date, quotes });
            }
            rates.known.extend(dates);
        }
        Ok(self.rates.borrow().table.clone())
    }
}

async fn load_clicks(
    connection: &Connection,
    names: &BTreeSet<(&str, &str)>,
) -> Result<BTreeMap<(String, String), String>, StoreFault> {
    let sql = "SELECT CAST(partner AS BLOB), CAST(click_id AS BLOB), CAST(campaign AS BLOB) FROM json_each(?1) \
               CROSS JOIN click ON click_id = value ->> 1 AND partner = value ->> 0";
    let found = rows(connection, sql, [json(names)?]).await?;
    found.iter().map(|row| Ok((name(row)?, row.text(2)?.to_owned()))).collect()
}

async fn load_installs(
    connection: &Connection,
    names: &BTreeSet<(&str, &str)>,
) -> Result<BTreeMap<(String, String), Install>, StoreFault> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT CAST(partner AS BLOB), CAST(install_id AS BLOB), CAST(click_id AS BLOB), CAST(campaign AS BLOB), \
               CAST(attribution AS BLOB), score FROM json_each(?1) CROSS JOIN install ON partner = value ->> 0 AND install_id = value ->> 1";
    let found = rows(connection, sql, [json(names)?]).await?;
    found
        .iter()
        .map(|row| {
            let touch = Touch { click_id: row.text(2)?.to_owned(), campaign: optional(row, 3)? };
            Ok((name(row)?, Install { touch, attribution: attribution(row, 4)? }))
        })
        .collect()
}

/// The clicks that events may be matched with, and which of them players have.
async fn load_nearby(
    connection: &Connection,
    searches: &[Search],
    book: &mut Book,
) -> Result<(), StoreFault> {
    if searches.is_empty() {
        return Ok(());
    }
    let partners: BTreeMap<i64, &String> =
        searches.iter().map(|(event, partner, ..)| (*event, partner)).collect();
    for row in rows(connection, CANDIDATES, [json(&searches)?]).await? {
        let event = row.integer(0)?;
        let click_id = ClickId::new(row.text(1)?).ok_or(StoreFault::Corrupt)?;
        let partner = partners.get(&event).ok_or(StoreFault::Corrupt)?;
        if row.integer(7)? != 0 {
            book.taken.insert(((*partner).clone(), click_id.as_str().to_owned()));
        }
        // What does not read as such is not known, and speaks for no match.
        let traits = Traits {
            network: row.optional_text(3)?.and_then(|network| network.parse().ok()),
            device: row.optional_text(4)?.and_then(DeviceClass::named).unwrap_or_default(),
            geo: row.optional_text(5)?.and_then(Text::new),
            at: row.instant(6)?,
        };
        let click = probable::NearbyClick { click_id, campaign: row.text(2)?.to_owned(), traits };
        book.nearby.entry(event).or_default().push(click);
    }
    Ok(())
}

async fn load_entries(
    connection: &Connection,
    names: &BTreeSet<(&str, &str)>,
) -> Result<BTreeMap<(String, String), Posted>, StoreFault> {
    let mut entries = load_named_entries(connection, names).await?;
    // What undoes a chargeback changes what is left of the deposit too.
    let deposits: BTreeSet<(String, String)> = entries
        .iter()
        .filter_map(|((partner, _), entry)| Some((partner.clone(), entry.original_event_id.clone()?)))
        .filter(|name| !entries.contains_key(name))
        .collect();
    if !deposits.is_empty() {
        let names =
            deposits.iter().map(|(partner, event_id)| (partner.as_str(), event_id.as_str())).collect();
        entries.extend(load_named_entries(connection, &names).await?);
    }
    Ok(entries)
}

/// Of each entry, its money and how much of that was undone: by what names it, and, with the other sign, by what names that.
async fn load_named_entries(
    connection: &Connection,
    names: &BTreeSet<(&str, &str)>,
) -> Result<BTreeMap<(String, String), Posted>, StoreFault> {
    let kinds = PostingKind::sql(PostingKind::is_of_deposit);
    let sql = format!(
        "SELECT CAST(entry.partner AS BLOB), CAST(entry.event_id AS BLOB), entry.id, entry.payload_hash, CAST(entry.event AS BLOB), \
         entry.ts_event, CAST(entry.account_id AS BLOB), CAST(entry.campaign AS BLOB), CAST(entry.attribution AS BLOB), entry.score, \
         CAST(money.kind AS BLOB), CAST(money.currency AS BLOB), money.minor, ( \
           SELECT coalesce(sum(back.minor), 0) FROM entry AS undoes JOIN posting AS back ON back.entry = undoes.id \
           AND back.kind IN ({kinds}) WHERE undoes.original = entry.id) + ( \
           SELECT coalesce(sum(back.minor), 0) FROM entry AS undone JOIN entry AS undoes ON undoes.original = undone.id \
           JOIN posting AS back ON back.entry = undoes.id AND back.kind IN ({kinds}) WHERE undone.original = entry.id), \
         (SELECT CAST(event_id AS BLOB) FROM entry AS original WHERE original.id = entry.original) \
         FROM json_each(?1) CROSS JOIN entry ON entry.partner = value ->> 0 AND entry.event_id = value ->> 1 \
         LEFT JOIN posting AS money ON money.entry = entry.id AND money.cause = entry.id AND money.kind IN ({kinds})"
    );
    let found = rows(connection, &sql, [json(names)?]).await?;
    found
        .iter()
        .map(|row| {
            let kind = optional(row, 10)?;
            let money = match &kind {
                None => None,
                Some(_) => {
                    // What undoes an entry has the other sign.
                    let (minor, undone) = (row.integer(12)?, row.integer(13)?);
                    let gone = if minor < 0 { undone } else { 0_i64.saturating_sub(undone) };
                    let amount = Amount { minor: minor.saturating_abs(), currency: currency(row, 11)? };
                    Some((amount, gone))
                }
            };
            let posted = Posted {
                id: row.integer(2)?,
                payload_hash: row.bytes(3)?,
                event: event_type(row, 4)?,
                ts_event: row.instant(5)?,
                original_event_id: optional(row, 14)?,
                account_id: optional(row, 6)?,
                campaign: optional(row, 7)?,
                attribution: attribution(row, 8)?,
                money,
                bonus: kind.as_deref() == Some(PostingKind::Bonus.as_str()),
            };
            Ok((name(row)?, posted))
        })
        .collect()
}

/// Entries that are over their retention and gone.
async fn load_purged(
    connection: &Connection,
    names: &BTreeSet<(&str, &str)>,
) -> Result<BTreeMap<(String, String), [u8; 32]>, StoreFault> {
    let sql = "SELECT CAST(partner AS BLOB), CAST(event_id AS BLOB), payload_hash FROM json_each(?1) \
               CROSS JOIN purged ON partner = value ->> 0 AND event_id = value ->> 1";
    let found = rows(connection, sql, [json(names)?]).await?;
    found.iter().map(|row| Ok((name(row)?, row.bytes(2)?))).collect()
}

/// Players, with the deposits that may still become their first.
async fn load_accounts(
    connection: &Connection,
    names: &BTreeSet<(&str, &str)>,
) -> Result<BTreeMap<(String, String), Account>, StoreFault> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = json(names)?;
    let sql = "SELECT CAST(value ->> 0 AS BLOB), CAST(value ->> 1 AS BLOB), CAST(account.click_id AS BLOB), \
               CAST(account.campaign AS BLOB), CAST(account.attribution AS BLOB), CAST(first.event_id AS BLOB), account.registered_at, account.kyc_at, \
               first_deposit.entry, first.ts_event, CAST(price.currency AS BLOB), price.minor, CAST(price.report_currency AS BLOB), \
               price.report_minor, CAST(price.rate_date AS BLOB), CAST(price.rate_from AS BLOB), CAST(price.rate_to AS BLOB), price.cause, account.score \
               FROM json_each(?1) \
               LEFT JOIN account ON account.partner = value ->> 0 AND account.account_id = value ->> 1 \
               LEFT JOIN first_deposit ON first_deposit.partner = value ->> 0 AND first_deposit.account_id = value ->> 1 \
               LEFT JOIN entry AS first ON first.id = first_deposit.entry \
               LEFT JOIN posting AS price ON price.minor > 0 AND price.id = ( \
                 SELECT max(id) FROM posting WHERE posting.entry = first_deposit.entry AND posting.kind = ?2) \
               WHERE account.partner IS NOT NULL OR first_deposit.entry IS NOT NULL";
    let mut accounts = BTreeMap::new();
    for row in rows(connection, sql, [names.clone(), text(PostingKind::Cpa.as_str())]).await? {
        let campaign = optional(&row, 3)?;
        let account = Account {
            touch: optional(&row, 2)?.map(|click_id| Touch { click_id, campaign }),
            attribution: attribution_of(&row, 4, 18)?,
            registered_at: row.optional_instant(6)?,
            kyc_at: row.optional_instant(7)?,
            first_deposit: first_deposit(&row)?,
            candidates: Vec::new(),
        };
        accounts.insert(name(&row)?, account);
    }
    let sql = format!(
        "SELECT CAST(entry.partner AS BLOB), CAST(entry.account_id AS BLOB), entry.id, entry.ts_event, \
         CAST(money.currency AS BLOB), money.minor, CAST(entry.event_id AS BLOB), NULL, CAST(entry.attribution AS BLOB), entry.score \
         FROM json_each(?1) CROSS JOIN entry ON entry.partner = value ->> 0 AND entry.account_id = value ->> 1 \
         JOIN posting AS money ON money.entry = entry.id AND money.kind = ?2 \
         WHERE (SELECT verdict FROM verdict WHERE verdict.entry = entry.id ORDER BY id DESC LIMIT 1) IN ({})",
        Verdict::sql(Verdict::may_change)
    );
    for row in rows(connection, &sql, [names, text(PostingKind::Deposit.as_str())]).await? {
        let candidate = DepositMade {
            id: row.integer(2)?,
            event_id: row.text(6)?.to_owned(),
            ts_event: row.instant(3)?,
            amount: Amount { minor: row.integer(5)?, currency: currency(&row, 4)? },
            attribution: attribution(&row, 8)?,
        };
        accounts.entry(name(&row)?).or_default().candidates.push(candidate);
    }
    Ok(accounts)
}

/// The first deposit of an account, with what it brought, from column 8 on.
fn first_deposit(row: &Row) -> Result<Option<FirstDeposit>, StoreFault> {
    let Some(id) = row.optional_integer(8)? else { return Ok(None) };
    let Some(event_id) = row.optional_text(5)? else { return Ok(Some(FirstDeposit::purged(id))) };
    // A price is above zero, and what takes it back is not: the last row stands, or nothing does.
    let price = row.optional_text(10)?.map(|_| posting(row, 10, id, PostingKind::Cpa)).transpose()?;
    Ok(Some(FirstDeposit { id, event_id: event_id.to_owned(), ts_event: row.instant(9)?, price }))
}

/// A posting from a column on: currency, minor units, the same of the report, the rate's date, quotes from and to, and the cause.
pub(super) fn posting(
    row: &Row,
    column: usize,
    entry: i64,
    kind: PostingKind,
) -> Result<PostingRow, StoreFault> {
    let at = |offset: usize| column.saturating_add(offset);
    let rate = match row.optional_text(at(4))? {
        None => Rate::Identity,
        Some(date) => {
            let quote = |column| Quote::parse(row.text(column)?).map_err(|_| StoreFault::Corrupt);
            let date = Date::parse(date).ok_or(StoreFault::Corrupt)?;
            Rate::Ecb { date, from: quote(at(5))?, to: quote(at(6))? }
        }
    };
    let report = Amount { minor: row.integer(at(3))?, currency: currency(row, at(2))? };
    let amount = Amount { minor: row.integer(at(1))?, currency: currency(row, at(0))? };
    Ok(PostingRow {
        entry,
        cause: row.integer(at(7))?,
        kind,
        amount,
        report: Conversion { amount: report, rate },
    })
}

/// The event type in a column.
fn event_type(row: &Row, column: usize) -> Result<EventType, StoreFault> {
    EventName::new(row.text(column)?).map(EventType::named).ok_or(StoreFault::Corrupt)
}

/// Partner and id, which come first in every row.
fn name(row: &Row) -> Result<(String, String), StoreFault> {
    Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))
}

pub(super) fn optional(row: &Row, column: usize) -> Result<Option<String>, StoreFault> {
    Ok(row.optional_text(column)?.map(str::to_owned))
}

pub(super) fn currency(row: &Row, column: usize) -> Result<Currency, StoreFault> {
    Currency::of(row.text(column)?).ok_or(StoreFault::Corrupt)
}

/// The attribution in a column, and its score in the next.
pub(super) fn attribution(row: &Row, column: usize) -> Result<Attribution, StoreFault> {
    attribution_of(row, column, column.saturating_add(1))?.ok_or(StoreFault::Corrupt)
}

/// The attribution in a column, where there is one, and its score in another.
fn attribution_of(row: &Row, column: usize, score: usize) -> Result<Option<Attribution>, StoreFault> {
    let Some(name) = row.optional_text(column)? else { return Ok(None) };
    let score = row.optional_integer(score)?.and_then(|score| u32::try_from(score).ok());
    Attribution::of(name, score).map(Some).ok_or(StoreFault::Corrupt)
}
