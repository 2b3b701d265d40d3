//! The one SQLite file that holds all key-value stores, table and statements as Spin's default backend has them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::OptionalExtension as _;

/// The application's key-value file: one connection, opened with the first use and shared by all stores.
pub(super) struct KeyValueFile {
    file: PathBuf,
    opened: Mutex<Option<rusqlite::Connection>>,
}

impl KeyValueFile {
    pub(super) fn new(file: PathBuf) -> Arc<Self> {
        Arc::new(Self { file, opened: Mutex::default() })
    }

    fn with<R>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<R>,
    ) -> Result<R, String> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match opened.take() {
            Some(connection) => connection,
            None => open(&self.file).map_err(|error| error.to_string())?,
        };
        work(opened.insert(connection)).map_err(|error| error.to_string())
    }
}

fn open(file: &PathBuf) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(file)?;
    connection.execute(
        "CREATE TABLE IF NOT EXISTS spin_key_value (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))",
        [],
    )?;
    Ok(connection)
}

/// An opened store: a label in the shared file.
#[derive(Clone)]
pub struct Store {
    pub(super) label: String,
    pub(super) file: Arc<KeyValueFile>,
}

impl Store {
    /// Runs `work` off the async threads.
    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection, &str) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, String> {
        let store = self.clone();
        let done =
            tokio::task::spawn_blocking(move || store.file.with(|connection| work(connection, &store.label)));
        done.await.map_err(|error| error.to_string())?
    }

    pub(super) async fn get(&self, key: String) -> Result<Option<Vec<u8>>, String> {
        self.run(move |connection, label| {
            connection.prepare_cached(GET)?.query_row([label, &key], |row| row.get(0)).optional()
        })
        .await
    }

    pub(super) async fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        self.run(move |connection, label| {
            let transaction = connection.transaction()?;
            for (key, value) in &pairs {
                transaction.prepare_cached(SET)?.execute(rusqlite::params![label, key, value])?;
            }
            transaction.commit()
        })
        .await
    }

    pub(super) async fn delete(&self, keys: Vec<String>) -> Result<(), String> {
        self.run(move |connection, label| {
            let transaction = connection.transaction()?;
            for key in &keys {
                transaction.prepare_cached(DELETE)?.execute([label, key])?;
            }
            transaction.commit()
        })
        .await
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, String> {
        self.run(|connection, label| {
            connection.prepare_cached(KEYS)?.query_map([label], |row| row.get(0))?.collect()
        })
        .await
    }

    /// Adds to the 8 little-endian bytes under `key`, absent being 0.
    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, String> {
        let sum = self.run(move |connection, label| {
            let transaction = connection.transaction()?;
            let found: Option<Vec<u8>> =
                transaction.prepare_cached(GET)?.query_row([label, &key], |row| row.get(0)).optional()?;
            let Ok(bytes) = <[u8; 8]>::try_from(found.unwrap_or_else(|| vec![0; 8])) else { return Ok(None) };
            let sum = i64::from_le_bytes(bytes).wrapping_add(delta);
            transaction.prepare_cached(SET)?.execute(rusqlite::params![label, key, sum.to_le_bytes()])?;
            transaction.commit()?;
            Ok(Some(sum))
        });
        // Spin's host panics on such a value.
        sum.await?.ok_or_else(|| "incorrect length".to_owned())
    }

    /// Spin's swap with its quirk: from "absent" it is an upsert, so two racers both win.
    pub(super) async fn swap(&self, key: String, old: Option<Vec<u8>>, new: Vec<u8>) -> Result<bool, String> {
        let rows = self.run(move |connection, label| match old {
            Some(old) => connection.prepare_cached(REPLACE)?.execute(rusqlite::params![label, key, new, old]),
            None => connection.prepare_cached(SET)?.execute(rusqlite::params![label, key, new]),
        });
        Ok(rows.await? == 1)
    }
}

const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3) ON CONFLICT(store, key) DO UPDATE SET value=?3";
const GET: &str = "SELECT value FROM spin_key_value WHERE store=?1 AND key=?2";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store=?1 AND key=?2";
const KEYS: &str = "SELECT key FROM spin_key_value WHERE store=?1";
const REPLACE: &str = "UPDATE spin_key_value SET value=?3 WHERE store=?1 AND key=?2 AND value=?4";
