//! `spin:key-value@3` over one SQLite file for all stores, table and statements as Spin's default backend has them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::OptionalExtension as _;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use super::bindings::key_value::{self, Error};
use super::guest::Guest;
use super::stream::Received;
use crate::fault::{Fault, Faults};

/// Stores that one instance may hold open, as in Spin.
const STORES_MAX: u32 = 256;
/// Keys that wait for a slow reader.
const KEYS_BUFFERED: usize = 4;

const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3) ON CONFLICT(store, key) DO UPDATE SET value=?3";
const GET: &str = "SELECT value FROM spin_key_value WHERE store=?1 AND key=?2";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store=?1 AND key=?2";
const KEYS: &str = "SELECT key FROM spin_key_value WHERE store=?1";
const REPLACE: &str = "UPDATE spin_key_value SET value=?3 WHERE store=?1 AND key=?2 AND value=?4";

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
    label: String,
    file: Arc<KeyValueFile>,
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

/// What a planned fault makes of a call that returns `R`.
pub(super) enum Struck<R> {
    /// The call fails before it does anything.
    Refused(String),
    /// The call does its work and then fails.
    AfterEffect,
    /// The call answers this.
    Answer(R),
    /// No fault.
    Pass,
}

/// Asks the plan for `call`; `garbage` makes an answer of the bytes, where the call has one to fake.
pub(super) fn strike<R>(
    faults: &Faults,
    call: &str,
    garbage: impl FnOnce(Vec<u8>) -> Option<R>,
) -> Struck<R> {
    match faults.strike(call) {
        None => Struck::Pass,
        Some(Fault::Error) => Struck::Refused("disk I/O error".to_owned()),
        Some(Fault::Conflict) => Struck::Refused("database is locked".to_owned()),
        Some(Fault::ErrorAfterEffect) => Struck::AfterEffect,
        Some(Fault::Garbage(bytes)) => {
            garbage(bytes).map_or_else(|| Struck::Refused("disk I/O error".to_owned()), Struck::Answer)
        }
    }
}

impl<R> Struck<R> {
    /// Makes the call, or what the fault makes of it.
    pub(super) async fn call(self, work: impl Future<Output = Result<R, String>>) -> Result<R, String> {
        match self {
            Self::Refused(why) => Err(why),
            Self::AfterEffect => work.await.and(Err("disk I/O error".to_owned())),
            Self::Answer(answer) => Ok(answer),
            Self::Pass => work.await,
        }
    }
}

impl Guest {
    /// Opens a store for either key-value interface; `Err(None)` is a label that the manifest does not list.
    pub(super) fn open_store(&mut self, label: &str, call: &str) -> Result<Resource<Store>, Option<String>> {
        let component = self.component();
        match strike::<()>(&component.shared.faults, call, |_| None) {
            Struck::Pass | Struck::Answer(()) => {}
            Struck::Refused(why) => return Err(Some(why)),
            Struck::AfterEffect => return Err(Some("disk I/O error".to_owned())),
        }
        if !component.stores.contains(label) {
            return Err(None);
        }
        if self.stores == STORES_MAX {
            return Err(Some("store table full".to_owned()));
        }
        let store = Store { label: label.to_owned(), file: component.shared.key_value.clone() };
        let resource = self.table.push(store).map_err(|error| Some(error.to_string()))?;
        self.stores += 1;
        Ok(resource)
    }

    pub(super) fn drop_store(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        self.stores = self.stores.saturating_sub(1);
        Ok(())
    }
}

impl key_value::Host for Guest {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl key_value::HostStore for Guest {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.drop_store(store)
    }
}

/// The store behind a handle, and the plan of faults.
fn store<T>(
    accessor: &Accessor<T, HasSelf<Guest>>,
    resource: &Resource<Store>,
) -> Result<(Store, Faults), Error> {
    accessor.with(|mut access| {
        let guest = access.get();
        let store = guest.table.get(resource).map_err(|_| Error::NoSuchStore)?.clone();
        Ok((store, guest.component().shared.faults.clone()))
    })
}

impl<T: Send> key_value::HostStoreWithStore<T> for HasSelf<Guest> {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<Store>, Error> {
        let opened = accessor.with(|mut access| access.get().open_store(&label, "key_value.open"));
        opened.map_err(|why| match why {
            None => Error::AccessDenied,
            Some(full) if full == "store table full" => Error::StoreTableFull,
            Some(other) => Error::Other(other),
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (store, faults) = store(accessor, &resource)?;
        strike(&faults, "key_value.get", |bytes| Some(Some(bytes)))
            .call(store.get(key))
            .await
            .map_err(Error::Other)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let (store, faults) = store(accessor, &resource)?;
        strike(&faults, "key_value.set", |_| None)
            .call(store.set(vec![(key, value)]))
            .await
            .map_err(Error::Other)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
    ) -> Result<(), Error> {
        let (store, faults) = store(accessor, &resource)?;
        strike(&faults, "key_value.delete", |_| None)
            .call(store.delete(vec![key]))
            .await
            .map_err(Error::Other)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
    ) -> Result<bool, Error> {
        let (store, faults) = store(accessor, &resource)?;
        let work = async { Ok(store.get(key).await?.is_some()) };
        strike(&faults, "key_value.exists", |_| None).call(work).await.map_err(Error::Other)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (store, faults) = store(accessor, &resource)?;
        let struck = strike(&faults, "key_value.get_keys", |bytes| {
            Some(vec![String::from_utf8_lossy(&bytes).into_owned()])
        });
        let (keys_sender, keys) = mpsc::channel(KEYS_BUFFERED);
        let (end_sender, end) = oneshot::channel();
        tokio::spawn(async move {
            let result = match struck.call(store.keys()).await {
                Ok(found) => {
                    for key in found {
                        // The guest dropped the stream: it wants no more keys.
                        if keys_sender.send(key).await.is_err() {
                            break;
                        }
                    }
                    Ok(())
                }
                Err(why) => Err(Error::Other(why)),
            };
            drop(keys_sender);
            // Nobody is left to hear of it if the guest dropped the future.
            _ = end_sender.send(result);
        });
        accessor.with(|mut access| {
            Ok((StreamReader::new(&mut access, Received(keys))?, FutureReader::new(&mut access, end)?))
        })
    }
}
