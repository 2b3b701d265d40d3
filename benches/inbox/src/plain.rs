//! What SQLite does on this machine with one insert for each event, without HTTP, wasm and checks: what the rows are compared with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, params};
use tempfile::TempDir;

/// One table with the inbox's one index that is not in the order of arrival.
const TABLE: &str = "CREATE TABLE event (id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE, payload TEXT NOT NULL) STRICT";
/// About what the canonical form of a deposit is long.
const PAYLOAD_BYTES: usize = 300;
/// As Spin's connections wait for the lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Commits each of so many events by itself, from so many threads with a connection each: events in a second.
///
/// # Errors
/// A commit failed, or the table has other events than were committed.
pub(crate) fn measure(events: usize, threads: usize) -> Result<f64> {
    let program = std::env::current_exe()?;
    let folder = TempDir::new_in(program.parent().context("a program is in a folder")?)?;
    let file = folder.path().join("plain.db");
    // SQLite itself refuses a second one while the journal's mode changes.
    let database = Connection::open(&file)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.execute_batch(TABLE)?;
    let (next, payload) = (AtomicU64::new(0), "x".repeat(PAYLOAD_BYTES));
    let events = u64::try_from(events)?;
    let insert = || -> Result<()> {
        let database = Connection::open(&file)?;
        database.busy_timeout(LOCK_WAIT)?;
        let mut statement = database.prepare("INSERT INTO event (fingerprint, payload) VALUES (?1, ?2)")?;
        loop {
            let event = next.fetch_add(1, Ordering::Relaxed);
            if event >= events {
                return Ok(());
            }
            statement.execute(params![fingerprint(event), payload])?;
        }
    };
    let begin = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(insert)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no insert panics"))
    })
    .context("a commit of plain SQLite")?;
    let seconds = begin.elapsed().as_secs_f64();
    let kept: i64 = database.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
    ensure!(u64::try_from(kept)? == events, "the run is void: of {events} events plain SQLite has {kept}");
    Ok(events as f64 / seconds)
}

/// 32 bytes that are spread like a digest (the multiplier is 2⁶⁴ over the golden ratio).
fn fingerprint(event: u64) -> Vec<u8> {
    event.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(4)
}
