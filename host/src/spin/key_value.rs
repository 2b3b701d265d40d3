//! `spin:key-value@3` over one SQLite file for all stores.

use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use super::bindings::key_value::{self, Error};
use super::guest::Guest;
use super::key_value_file::Store;
use super::stream::Received;
use super::strike::{Struck, strike};
use crate::fault::Faults;

/// Stores that one instance may hold open, as in Spin.
const STORES_MAX: u32 = 256;
/// Keys that wait for a slow reader.
const KEYS_BUFFERED: usize = 4;

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
