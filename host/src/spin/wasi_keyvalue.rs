//! `wasi:keyvalue@0.2.0-draft2` over the same stores, with Spin's semantics of `increment` and `swap`.

use wasmtime::component::Resource;

use super::bindings::keyvalue::store::{Error, KeyResponse};
use super::bindings::keyvalue::{atomics, batch, store};
use super::guest::Guest;
use super::key_value_file::Store;
use super::strike::strike;
use crate::fault::{Fault, Faults};

/// A compare-and-swap under way: what `current` last saw is what `swap` compares with.
#[derive(Clone)]
pub struct Swap {
    store: Store,
    key: String,
    seen: Option<Vec<u8>>,
}

impl Guest {
    fn bucket(&self, bucket: &Resource<Store>) -> Result<(Store, Faults), Error> {
        let store = self.table.get(bucket).map_err(|_| Error::NoSuchStore)?.clone();
        Ok((store, self.component().shared.faults.clone()))
    }
}

impl store::Host for Guest {
    async fn open(&mut self, identifier: String) -> Result<Resource<Store>, Error> {
        self.open_store(&identifier, "wasi_keyvalue.open")
            .map_err(|why| why.map_or(Error::AccessDenied, Error::Other))
    }

    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl store::HostBucket for Guest {
    async fn get(&mut self, bucket: Resource<Store>, key: String) -> Result<Option<Vec<u8>>, Error> {
        let (store, faults) = self.bucket(&bucket)?;
        strike(&faults, "wasi_keyvalue.get", |bytes| Some(Some(bytes)))
            .call(store.get(key))
            .await
            .map_err(Error::Other)
    }

    async fn set(&mut self, bucket: Resource<Store>, key: String, value: Vec<u8>) -> Result<(), Error> {
        let (store, faults) = self.bucket(&bucket)?;
        strike(&faults, "wasi_keyvalue.set", |_| None)
            .call(store.set(vec![(key, value)]))
            .await
            .map_err(Error::Other)
    }

    async fn delete(&mut self, bucket: Resource<Store>, key: String) -> Result<(), Error> {
        let (store, faults) = self.bucket(&bucket)?;
        strike(&faults, "wasi_keyvalue.delete", |_| None)
            .call(store.delete(vec![key]))
            .await
            .map_err(Error::Other)
    }

    async fn exists(&mut self, bucket: Resource<Store>, key: String) -> Result<bool, Error> {
        let (store, faults) = self.bucket(&bucket)?;
        let work = async { Ok(store.get(key).await?.is_some()) };
        strike(&faults, "wasi_keyvalue.exists", |_| None).call(work).await.map_err(Error::Other)
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Store>,
        cursor: Option<String>,
    ) -> Result<KeyResponse, Error> {
        if cursor.is_some() {
            return Err(Error::Other("list_keys: cursor not supported".to_owned()));
        }
        let (store, faults) = self.bucket(&bucket)?;
        let garbage = |bytes: Vec<u8>| Some(vec![String::from_utf8_lossy(&bytes).into_owned()]);
        let keys = strike(&faults, "wasi_keyvalue.list_keys", garbage)
            .call(store.keys())
            .await
            .map_err(Error::Other)?;
        Ok(KeyResponse { keys, cursor: None })
    }

    async fn drop(&mut self, bucket: Resource<Store>) -> wasmtime::Result<()> {
        self.drop_store(bucket)
    }
}

impl batch::Host for Guest {
    async fn get_many(
        &mut self,
        bucket: Resource<Store>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        let (store, faults) = self.bucket(&bucket)?;
        let garbled = keys.clone();
        let garbage =
            |bytes: Vec<u8>| Some(garbled.into_iter().map(|key| (key, Some(bytes.clone()))).collect());
        let work = async {
            let mut found = Vec::new();
            for key in keys {
                // Keys that are absent are left out, as in Spin.
                if let Some(value) = store.get(key.clone()).await? {
                    found.push((key, Some(value)));
                }
            }
            Ok(found)
        };
        strike(&faults, "wasi_keyvalue.get_many", garbage).call(work).await.map_err(Error::Other)
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Store>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let (store, faults) = self.bucket(&bucket)?;
        strike(&faults, "wasi_keyvalue.set_many", |_| None).call(store.set(pairs)).await.map_err(Error::Other)
    }

    async fn delete_many(&mut self, bucket: Resource<Store>, keys: Vec<String>) -> Result<(), Error> {
        let (store, faults) = self.bucket(&bucket)?;
        strike(&faults, "wasi_keyvalue.delete_many", |_| None)
            .call(store.delete(keys))
            .await
            .map_err(Error::Other)
    }
}

impl atomics::Host for Guest {
    async fn increment(&mut self, bucket: Resource<Store>, key: String, delta: i64) -> Result<i64, Error> {
        let (store, faults) = self.bucket(&bucket)?;
        let garbage = |bytes: Vec<u8>| Some(i64::from_le_bytes(bytes.try_into().ok()?));
        let sum = strike(&faults, "wasi_keyvalue.increment", garbage).call(store.increment(key, delta)).await;
        sum.map_err(Error::Other)
    }

    async fn swap(&mut self, swap: Resource<Swap>, value: Vec<u8>) -> Result<(), atomics::CasError> {
        let other = |why: String| atomics::CasError::StoreError(Error::Other(why));
        let mut swap = self.table.delete(swap).map_err(|error| other(error.to_string()))?;
        let fault = self.component().shared.faults.strike("wasi_keyvalue.swap");
        let swapped = match fault {
            None => swap.store.swap(swap.key.clone(), swap.seen.clone(), value).await.map_err(other)?,
            Some(Fault::Conflict) => false,
            Some(Fault::ErrorAfterEffect) => {
                swap.store.swap(swap.key.clone(), swap.seen.clone(), value).await.map_err(other)?;
                return Err(other("disk I/O error".to_owned()));
            }
            Some(Fault::Error | Fault::Garbage(_)) => return Err(other("disk I/O error".to_owned())),
        };
        if swapped {
            return Ok(());
        }
        // The loser gets a handle that has seen the winner's value.
        swap.seen = swap.store.get(swap.key.clone()).await.map_err(other)?;
        let again = self.table.push(swap).map_err(|error| other(error.to_string()))?;
        Err(atomics::CasError::CasFailed(again))
    }

    fn convert_cas_error(&mut self, error: atomics::CasError) -> wasmtime::Result<atomics::CasError> {
        Ok(error)
    }
}

impl atomics::HostCas for Guest {
    async fn new(&mut self, bucket: Resource<Store>, key: String) -> Result<Resource<Swap>, Error> {
        let (store, _) = self.bucket(&bucket)?;
        self.table.push(Swap { store, key, seen: None }).map_err(|error| Error::Other(error.to_string()))
    }

    async fn current(&mut self, swap: Resource<Swap>) -> Result<Option<Vec<u8>>, Error> {
        let held = self.table.get(&swap).map_err(|error| Error::Other(error.to_string()))?.clone();
        let faults = self.component().shared.faults.clone();
        let work = held.store.get(held.key.clone());
        let value = strike(&faults, "wasi_keyvalue.current", |bytes| Some(Some(bytes)))
            .call(work)
            .await
            .map_err(Error::Other)?;
        let held = self.table.get_mut(&swap).map_err(|error| Error::Other(error.to_string()))?;
        held.seen.clone_from(&value);
        Ok(value)
    }

    async fn drop(&mut self, swap: Resource<Swap>) -> wasmtime::Result<()> {
        self.table.delete(swap)?;
        Ok(())
    }
}
