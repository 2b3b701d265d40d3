//! From version 1: what SQL alone cannot do.

use countersign_core::json::Tape;
use countersign_core::names;
use countersign_core::store::StoreFault;
use countersign_ledger::payload::Payload;
use spin_sdk::sqlite::{Connection, Value};

use crate::database::{Row, blob, rows, run, text};

/// Identities that are read, and written, at a time.
const PAGE: usize = 256;
/// Columns of an identity.
const COLUMNS: usize = 7;
/// With places for them.
const PLACES: &str = "(?,?,?,?,?,?,?)";

/// Brings the identities of version 1 into this version's table. Their instant is that of their event where that is in the inbox, else
/// that of the claim, and they last as long as they would have. With the money that version 1 left out they have another name.
///
/// # Errors
/// What the database failed with.
pub(crate) async fn identities(connection: &Connection) -> Result<(), StoreFault> {
    let sql = "SELECT fallback_1.fingerprint, coalesce(inbox.ts_event, claimed_at), claimed_by, CAST(fallback_1.event_id AS BLOB), \
               lease_until, window_until, claimed_at, CAST(inbox.partner AS BLOB), CAST(inbox.event AS BLOB), \
               CAST(inbox.click_id AS BLOB), CAST(inbox.payload AS BLOB) \
               FROM fallback_1 LEFT JOIN inbox ON inbox.fingerprint = claimed_by \
               WHERE fallback_1.fingerprint > ?1 ORDER BY fallback_1.fingerprint LIMIT ?2";
    let mut tape = Tape::default();
    let mut after = blob(&[]);
    let page = i64::try_from(PAGE).unwrap_or(i64::MAX);
    loop {
        let found = rows(connection, sql, [after, Value::Integer(page)]).await?;
        if found.is_empty() {
            return Ok(());
        }
        let (mut values, length) = (Vec::new(), found.len());
        after = Value::Null;
        for row in found {
            let name = name_with_money(&row, &mut tape);
            // One that cannot be read is none, which whoever meets it hears of.
            let event_id = text(row.text(3).unwrap_or(""));
            for (column, value) in row.into_values().into_iter().take(COLUMNS).enumerate() {
                values.push(match column {
                    0 => {
                        after = value.clone();
                        name.clone().unwrap_or(value)
                    }
                    3 => event_id.clone(),
                    _ => value,
                });
            }
        }
        let sql = format!(
            "INSERT OR IGNORE INTO fallback (fingerprint, ts_event, claimed_by, event_id, lease_until, remembered_until, claimed_at) \
             VALUES {}",
            vec![PLACES; length].join(",")
        );
        run(connection, &sql, values).await?;
    }
}

/// The name of an identity whose event has money; `None` where it has none, or is not in the inbox.
fn name_with_money(row: &Row, tape: &mut Tape) -> Option<Value> {
    let of = |column: usize| row.text(column).ok();
    let (partner, event, click_id) = (of(7)?, of(8)?, of(9)?);
    let amount = Payload::read(of(10)?.as_bytes(), tape)?.amount?;
    Some(blob(&names::fallback(partner, event, click_id, Some(&amount))))
}
