//! What SQLite does on this machine with one insert for each event: the gate's own rows in a copy of its database, without HTTP, wasm and
//! checks. The other rows are compared with it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;

/// An event that is in the inbox, as the gate brought it in (`schema/arrivals.sql`); the copies differ in what follows.
const TEMPLATE: &str = "SELECT payload_hash, receipt_key, partner, event, click_id, ts_event, key_id, source, receipt, payload, \
                        received_at FROM inbox LIMIT 1";
/// The template, then fingerprint, event id and the time in microseconds. The quota is one that nobody spends. Nobody asks about the
/// source; the gate does, at most once a second for an honest one.
const INSERT: &str = "INSERT INTO arriving (place, payload_hash, receipt_key, partner, event, click_id, ts_event, key_id, source, \
                      receipt, payload, claimed_at, fingerprint, event_id, now_us, interval_us, window_us, step_us) \
                      VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, 10000000, 3600000000)";
/// Spin's connections wait 5 s for the lock. Here whoever has it has it again at once, and some thread would give up.
const LOCK_WAIT: Duration = Duration::from_secs(600);

/// Commits each of so many events by itself, from so many threads with a connection each: events in a second.
///
/// # Errors
/// The database has no event yet, a commit failed, or the copy has other events than were committed.
pub(crate) fn measure(database: &Path, events: usize, threads: usize) -> Result<f64> {
    let folder = TempDir::new_in(database.parent().context("a database is in a folder")?)?;
    let file = folder.path().join("alone.db");
    Connection::open(database)?.execute("VACUUM INTO ?1", [file.to_str().context("a path in UTF-8")?])?;
    let copy = Connection::open(&file)?;
    copy.pragma_update(None, "journal_mode", "WAL")?;
    let count = || -> Result<u64> {
        let count: i64 = copy.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    };
    let before = count()?;
    let template: Vec<Value> =
        copy.query_row(TEMPLATE, [], |row| (0..row.as_ref().column_count()).map(|at| row.get(at)).collect())?;
    let (next, events) = (AtomicU64::new(0), u64::try_from(events)?);
    let insert = || -> Result<()> {
        let connection = Connection::open(&file)?;
        connection.busy_timeout(LOCK_WAIT)?;
        let mut statement = connection.prepare(INSERT)?;
        loop {
            let event = next.fetch_add(1, Ordering::Relaxed);
            if event >= events {
                return Ok(());
            }
            let now_us = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
            let own = [
                Value::Blob(fingerprint(event)),
                Value::Text(format!("alone_{event}")),
                Value::Integer(now_us),
            ];
            statement.execute(params_from_iter(template.iter().chain(&own)))?;
        }
    };
    let begin = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(insert)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no insert panics"))
    })
    .context("an insert into the copy of the gate's database")?;
    let seconds = begin.elapsed().as_secs_f64();
    let kept = count()? - before;
    ensure!(kept == events, "the run is void: of {events} events that were inserted the copy has {kept}");
    Ok(events as f64 / seconds)
}

/// 32 bytes that are spread like a digest (the multiplier is 2⁶⁴ over the golden ratio).
fn fingerprint(event: u64) -> Vec<u8> {
    event.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(4)
}
