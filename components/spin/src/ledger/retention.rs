//! What is over its retention goes (source §9).

use countersign_core::store::StoreFault;
use spin_sdk::sqlite::{Connection, Value};

use super::{Ledger, json};
use crate::database::{rows, run};

/// Rows that one statement takes out.
const PURGE_MAX: i64 = 500;

impl Ledger {
    /// Takes out some of what is over its retention (source §9): a small batch of each class, so that nobody waits long.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn purge(&self) -> Result<(), StoreFault> {
        let connection = self.database.connect().await?;
        let (now, retention) = ((self.clock)().as_ms(), self.rules.retention);
        let before = |kept_ms: u64| Value::Integer(i64::try_from(now.saturating_sub(kept_ms)).unwrap_or(0));
        let purges = [
            // The row stays: its id is the entry's, and its fingerprint knows a repeat.
            (
                "UPDATE inbox SET payload = '', source = NULL WHERE id IN (SELECT id FROM inbox WHERE received_at < ?1 AND payload <> '' \
              AND NOT EXISTS (SELECT 1 FROM queue WHERE inbox_id = inbox.id) \
              AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE inbox_id = inbox.id AND discarded_at IS NULL) ORDER BY received_at LIMIT ?2)",
                before(retention.raw_ms),
            ),
            (
                "UPDATE duplicate SET payload = '', source = NULL WHERE id IN (SELECT id FROM duplicate WHERE received_at < ?1 \
              AND payload <> '' ORDER BY received_at LIMIT ?2)",
                before(retention.raw_ms),
            ),
            (
                "UPDATE click SET utm_source = NULL, utm_medium = NULL, utm_campaign = NULL, utm_term = NULL, utm_content = NULL, \
              sub1 = NULL, sub2 = NULL, sub3 = NULL, sub4 = NULL, sub5 = NULL, creative_id = NULL, consent_version = NULL, \
              consent_analytics = NULL, consent_ads = NULL, cut = NULL, referrer_host = NULL, geo = NULL, device_class = NULL, \
              ip_prefix = NULL, ip = NULL, agent = NULL, user_agent = NULL \
              WHERE click_id IN (SELECT click_id FROM click WHERE clicked_at < ?1 AND device_class IS NOT NULL \
              ORDER BY clicked_at LIMIT ?2)",
                before(retention.clicks_ms),
            ),
            (
                "DELETE FROM rejection WHERE id IN (SELECT id FROM rejection WHERE rejected_at < ?1 ORDER BY rejected_at LIMIT ?2)",
                before(retention.rejections_ms),
            ),
            (
                "DELETE FROM rejection_count WHERE hour IN (SELECT hour FROM rejection_count WHERE hour < ?1 / 3600000 ORDER BY hour LIMIT ?2)",
                before(retention.rejections_ms),
            ),
            (
                "DELETE FROM dead_letter WHERE inbox_id IN (SELECT inbox_id FROM dead_letter WHERE discarded_at < ?1 LIMIT ?2)",
                before(retention.rejections_ms),
            ),
        ];
        for (sql, before) in purges {
            run(&connection, sql, [before, Value::Integer(PURGE_MAX)]).await?;
        }
        purge_entries(&connection, before(retention.ledger_ms)).await?;
        self.database.keep(connection);
        Ok(())
    }
}

/// Takes out the oldest entries; their sums are carried forward. What takes back a deposit goes after it: as long as the deposit is
/// there, what is left of it must be known.
async fn purge_entries(connection: &Connection, before: Value) -> Result<(), StoreFault> {
    let sql = "SELECT id FROM entry WHERE received_at < ?1 \
               AND NOT EXISTS (SELECT 1 FROM entry AS deposit WHERE deposit.id = entry.original) ORDER BY received_at LIMIT ?2";
    let found = rows(connection, sql, [before, Value::Integer(PURGE_MAX)]).await?;
    let entries = found.iter().map(|row| row.integer(0)).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Ok(());
    }
    run(connection, "INSERT INTO purging VALUES (?1)", [json(&entries)?]).await
}
