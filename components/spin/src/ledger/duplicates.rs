//! What administrators see of fallback duplicates.

use std::fmt::Write as _;

use countersign_core::store::StoreFault;
use serde::Serialize;
use spin_sdk::sqlite::Value;

use super::Ledger;
use crate::database::{Row, first, rows, text};

/// An event with an id of its own that says again what another event has said: it was answered `duplicate_of`, and is not posted.
#[derive(Clone, Debug, Serialize)]
pub struct Duplicate {
    /// Its row.
    pub id: i64,
    /// Who sent it.
    pub partner: String,
    /// Its own id.
    pub event_id: String,
    /// The event that was accepted.
    pub duplicate_of: String,
    /// Its type.
    pub event: String,
    /// The click that both name.
    pub click_id: String,
    /// When it happened by the sender's clock, in milliseconds since the Unix epoch.
    pub ts_event: i64,
    /// When it came, in milliseconds since the Unix epoch.
    pub received_at: i64,
    /// The key that verified it.
    pub key_id: String,
    /// SHA-256 of the canonical payload, in hexadecimal digits.
    pub payload_hash: String,
    /// The canonical payload, empty after its retention; of a single one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl Ledger {
    /// Duplicates by row, those behind `after`.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn duplicates(
        &self,
        after: i64,
        partner: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Duplicate>, StoreFault> {
        let connection = self.database.connect().await?;
        let sql = format!(
            "{DUPLICATE} NULL FROM duplicate WHERE id > ?1 AND (?2 IS NULL OR partner = ?2) ORDER BY id LIMIT ?3"
        );
        let values =
            [Value::Integer(after), partner.map_or(Value::Null, text), Value::Integer(i64::from(limit))];
        let found = rows(&connection, &sql, values).await?;
        self.database.keep(connection);
        found.iter().map(duplicate).collect()
    }

    /// One duplicate, with its payload.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn duplicate(&self, id: i64) -> Result<Option<Duplicate>, StoreFault> {
        let connection = self.database.connect().await?;
        let sql = format!("{DUPLICATE} CAST(payload AS BLOB) FROM duplicate WHERE id = ?1");
        let found = first(&connection, &sql, [Value::Integer(id)]).await?;
        self.database.keep(connection);
        found.as_ref().map(duplicate).transpose()
    }
}

const DUPLICATE: &str = "SELECT id, CAST(partner AS BLOB), CAST(event_id AS BLOB), CAST(duplicate_of AS BLOB), CAST(event AS BLOB), \
    CAST(click_id AS BLOB), ts_event, received_at, CAST(key_id AS BLOB), payload_hash,";

fn duplicate(row: &Row) -> Result<Duplicate, StoreFault> {
    // A damaged row is among those that are shown: what cannot be read of it is left empty.
    let readable = |column: usize| row.text(column).unwrap_or("").to_owned();
    let hash = row.bytes::<32>(9).map_or(String::new(), |hash| {
        hash.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a `String` cannot fail.
            let _written = write!(hex, "{byte:02x}");
            hex
        })
    });
    Ok(Duplicate {
        id: row.integer(0)?,
        partner: readable(1),
        event_id: readable(2),
        duplicate_of: readable(3),
        event: readable(4),
        click_id: readable(5),
        ts_event: row.integer(6)?,
        received_at: row.integer(7)?,
        key_id: readable(8),
        payload_hash: hash,
        payload: row.optional_text(10).unwrap_or(None).map(str::to_owned),
    })
}
