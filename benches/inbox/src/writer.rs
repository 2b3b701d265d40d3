//! Something else that writes into the gate's database, as whatever posts the inbox's events does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rusqlite::{Connection, TransactionBehavior};

/// Rows of a transaction.
const ROWS: usize = 256;
/// From one transaction's begin to the next's: 3,000 rows a second.
const PERIOD: Duration = Duration::from_millis(85);

/// Writes until it is stopped.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    running: JoinHandle<Result<usize>>,
    started: Instant,
}

impl Writer {
    pub(crate) fn start(database: &Path) -> Result<Self> {
        let mut connection = Connection::open(database)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS other (id INTEGER PRIMARY KEY, name BLOB UNIQUE, text TEXT)",
        )?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let started = Instant::now();
        let running = thread::spawn(move || {
            let mut written = 0;
            let mut next = started;
            while !stopped.load(Ordering::Relaxed) {
                write(&mut connection)?;
                written += ROWS;
                next += PERIOD;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(written)
        });
        Ok(Self { stop, running, started })
    }

    /// Ends it, and answers how many rows a second it wrote.
    pub(crate) fn stop(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.running.join().map_err(|_| anyhow!("the other writer panicked"))??;
        Ok(written as f64 / self.started.elapsed().as_secs_f64())
    }
}

fn write(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction
            .prepare_cached("INSERT INTO other (name, text) VALUES (randomblob(16), hex(randomblob(100)))")?;
        for _ in 0..ROWS {
            insert.execute([])?;
        }
    }
    Ok(transaction.commit()?)
}
