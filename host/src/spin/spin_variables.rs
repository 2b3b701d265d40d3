//! `spin:variables@3`: the values of one component, by name.

use wasmtime::component::{Accessor, HasSelf};

use super::bindings::variables::{Error, Host, HostWithStore};
use super::guest::Guest;
use super::variables::valid_name;
use crate::fault::Fault;

impl Host for Guest {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl<T: Send> HostWithStore<T> for HasSelf<Guest> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        let component = accessor.with(|mut access| access.get().component());
        match component.shared.faults.strike("variables.get") {
            None => {}
            Some(Fault::Garbage(bytes)) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Some(Fault::Error | Fault::Conflict | Fault::ErrorAfterEffect) => {
                return Err(Error::Provider("the provider is unavailable".to_owned()));
            }
        }
        valid_name(&name).map_err(|why| Error::InvalidName(format!("{name:?}: {why}")))?;
        let value = component.variables.get(&name);
        value.cloned().ok_or_else(|| Error::Undefined(format!("no variable for {:?}.{name:?}", component.id)))
    }
}
