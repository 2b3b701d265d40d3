//! How a host call reaches the guest's memory, and the calls that concern no HTTP: log, time, properties, shared data, metrics.

use wasmtime::{Caller, Linker, Memory, bail};

use super::log::Level;
use super::metrics::Metric;
use super::property;
use super::state::{ROOT, State};
use super::status::{Status, Stop};
use super::stream::Stream;
use crate::fault::Fault;

pub(super) const MODULE: &str = "env";

/// One host call under way.
pub(super) struct Abi<'a> {
    caller: Caller<'a, State>,
    /// Bytes that a planned fault shows instead of the true ones.
    garbage: Option<Vec<u8>>,
}

/// Runs one `proxy_*` call under the plan of faults and answers its status; garbage planned for a call that hands no bytes back
/// fails after its effect.
pub(super) fn host_call(
    caller: Caller<'_, State>,
    name: &str,
    body: impl FnOnce(&mut Abi<'_>) -> Result<(), Stop>,
) -> wasmtime::Result<u32> {
    const INTERNAL_FAILURE: u32 = Status::InternalFailure as u32;
    let mut abi = Abi::new(caller);
    if abi.state().starting && name != "proxy_log" {
        bail!("{name} must not be called before the module has started");
    }
    let mut fails_after = false;
    match abi.state().config.faults.strike(name) {
        None => {}
        Some(Fault::Error) => return Ok(INTERNAL_FAILURE),
        Some(Fault::Conflict) => return Ok(Status::CasMismatch as u32),
        Some(Fault::Garbage(bytes)) => abi.garbage = Some(bytes),
        Some(Fault::ErrorAfterEffect) => fails_after = true,
    }
    match body(&mut abi) {
        Err(Stop::Trap(trap)) => Err(trap),
        Err(Stop::Status(status)) if !fails_after => Ok(status as u32),
        Ok(()) if !fails_after && abi.garbage.is_none() => Ok(0),
        Ok(()) | Err(Stop::Status(_)) => Ok(INTERNAL_FAILURE),
    }
}

impl<'a> Abi<'a> {
    pub(super) fn new(caller: Caller<'a, State>) -> Self {
        Self { caller, garbage: None }
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    pub(super) fn state_ref(&self) -> &State {
        self.caller.data()
    }

    /// The stream that the call is for.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.caller.data().stream()
    }

    fn memory(&mut self) -> Result<Memory, Stop> {
        let memory = self.caller.data().memory;
        // Before the instance is known its start section may call already.
        let exported = || self.caller.get_export("memory").and_then(wasmtime::Extern::into_memory);
        memory.or_else(exported).ok_or(Status::InvalidMemoryAccess.into())
    }

    /// The guest's bytes.
    pub(super) fn read(&mut self, at: u32, size: u32) -> Result<Vec<u8>, Stop> {
        let (at, size) = (index(at), index(size));
        let memory = self.memory()?;
        let bytes = at.checked_add(size).and_then(|end| memory.data(&self.caller).get(at..end));
        bytes.map(<[u8]>::to_vec).ok_or(Status::InvalidMemoryAccess.into())
    }

    pub(super) fn u32_at(&mut self, at: u32) -> Result<u32, Stop> {
        let bytes = self.read(at, 4)?;
        let bytes: [u8; 4] = bytes.try_into().map_err(|_| Status::InvalidMemoryAccess)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Stop> {
        let memory = self.memory()?;
        memory.write(&mut self.caller, index(at), bytes).map_err(|_| Status::InvalidMemoryAccess.into())
    }

    pub(super) fn put_u32(&mut self, at: u32, value: u32) -> Result<(), Stop> {
        self.put(at, &value.to_le_bytes())
    }

    pub(super) fn put_size(&mut self, at: u32, size: usize) -> Result<(), Stop> {
        self.put_u32(at, u32::try_from(size).unwrap_or(u32::MAX))
    }

    pub(super) fn put_u64(&mut self, at: u32, value: u64) -> Result<(), Stop> {
        self.put(at, &value.to_le_bytes())
    }

    /// A number that a planned fault may replace by its first eight bytes.
    pub(super) fn give_u64(&mut self, at: u32, value: u64) -> Result<(), Stop> {
        let mut bytes = value.to_le_bytes();
        if let Some(garbage) = self.garbage.take() {
            bytes = [0; 8];
            bytes.iter_mut().zip(garbage).for_each(|(byte, garbage)| *byte = garbage);
        }
        self.put(at, &bytes)
    }

    /// Nanoseconds since the Unix epoch.
    pub(super) fn put_now(&mut self, at: u32) -> Result<(), Stop> {
        let now = self.state().config.clock.now().as_nanos();
        self.give_u64(at, u64::try_from(now).unwrap_or(u64::MAX))
    }

    pub(super) fn put_random(&mut self, at: u32, size: u32) -> Result<(), Stop> {
        let bytes = self.state().random(index(size));
        self.put(at, &bytes)
    }

    /// Hands bytes over in memory that the guest's own allocator provides; none at all leave a null pointer.
    pub(super) fn give(&mut self, bytes: &[u8], pointer_at: u32, size_at: u32) -> Result<(), Stop> {
        let garbage = self.garbage.take();
        let bytes = garbage.as_deref().unwrap_or(bytes);
        let mut pointer = 0;
        if !bytes.is_empty() {
            let allocate = self.caller.data().allocate.clone().ok_or(Status::InvalidMemoryAccess)?;
            let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
            pointer = allocate.call(&mut self.caller, size)?;
            if pointer == 0 {
                return Err(Status::InvalidMemoryAccess.into());
            }
            self.put(pointer, bytes)?;
        }
        self.put_u32(pointer_at, pointer)?;
        self.put_size(size_at, bytes.len())
    }
}

/// Defines the calls of this file.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_log_and_time(linker)?;
    link_properties(linker)?;
    link_shared_data(linker)?;
    link_metrics(linker)
}

fn link_log_and_time(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_log",
        |caller: Caller<'_, State>, level: u32, message: u32, size: u32| {
            host_call(caller, "proxy_log", |abi| {
                let level = Level::from_number(level).ok_or(Status::BadArgument)?;
                let message = abi.read(message, size)?;
                abi.state().log(level, &message);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(MODULE, "proxy_get_log_level", |caller: Caller<'_, State>, level: u32| {
        host_call(caller, "proxy_get_log_level", |abi| abi.put_u32(level, Level::Trace.number()))
    })?;
    linker.func_wrap(
        MODULE,
        "proxy_get_current_time_nanoseconds",
        |caller: Caller<'_, State>, time: u32| {
            host_call(caller, "proxy_get_current_time_nanoseconds", |abi| abi.put_now(time))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_set_tick_period_milliseconds",
        |caller: Caller<'_, State>, period_ms: u32| {
            host_call(caller, "proxy_set_tick_period_milliseconds", |abi| {
                abi.state().tick_period_ms = period_ms;
                Ok(())
            })
        },
    )?;
    linker.func_wrap(MODULE, "proxy_set_effective_context", |caller: Caller<'_, State>, context: u32| {
        host_call(caller, "proxy_set_effective_context", |abi| {
            let known = context == ROOT || abi.state().streams.contains_key(&context);
            if !known {
                return Err(Status::BadArgument.into());
            }
            abi.state().effective = context;
            Ok(())
        })
    })?;
    linker.func_wrap(MODULE, "proxy_done", |caller: Caller<'_, State>| {
        // Only a context whose `proxy_on_done` said "not yet" may ask; streams are deleted at once all the same.
        host_call(caller, "proxy_done", |_| Err(Status::NotFound.into()))
    })?;
    Ok(())
}

fn link_properties(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_get_property",
        |caller: Caller<'_, State>, path: u32, path_size: u32, value: u32, size: u32| {
            host_call(caller, "proxy_get_property", |abi| {
                let path = abi.read(path, path_size)?;
                let parts: Vec<&[u8]> =
                    path.strip_suffix(&[0]).unwrap_or(&path).split(|byte| *byte == 0).collect();
                let found = property::read(abi.state_ref(), &parts);
                let found = found.or_else(|| abi.garbage.clone()).ok_or(Status::NotFound)?;
                abi.give(&found, value, size)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_set_property",
        |caller: Caller<'_, State>, path: u32, path_size: u32, value: u32, size: u32| {
            host_call(caller, "proxy_set_property", |abi| {
                let (path, value) = (abi.read(path, path_size)?, abi.read(value, size)?);
                let stream = abi.state().stream_mut().ok_or(Status::NotFound)?;
                stream.properties.insert(path, value);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn link_shared_data(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_get_shared_data",
        |caller: Caller<'_, State>, key: u32, key_size: u32, value: u32, size: u32, token: u32| {
            host_call(caller, "proxy_get_shared_data", |abi| {
                let key = abi.read(key, key_size)?;
                let config = abi.state().config.clone();
                let held = config.shared_data.read(&config.vm_id, &key);
                let (bytes, held_token) = match (held, &abi.garbage) {
                    (Some(held), _) => held,
                    (None, Some(garbage)) => (garbage.clone(), 0),
                    (None, None) => return Err(Status::NotFound.into()),
                };
                abi.give(&bytes, value, size)?;
                abi.put_u32(token, held_token)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_set_shared_data",
        |caller: Caller<'_, State>, key: u32, key_size: u32, value: u32, size: u32, token: u32| {
            host_call(caller, "proxy_set_shared_data", |abi| {
                let (key, value) = (abi.read(key, key_size)?, abi.read(value, size)?);
                let config = abi.state().config.clone();
                Ok(config.shared_data.set(&config.vm_id, &key, &value, token)?)
            })
        },
    )?;
    for (name, arguments) in [
        ("proxy_register_shared_queue", 3),
        ("proxy_resolve_shared_queue", 5),
        ("proxy_dequeue_shared_queue", 3),
    ] {
        unimplemented(linker, name, arguments)?;
    }
    unimplemented(linker, "proxy_enqueue_shared_queue", 3)
}

fn link_metrics(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_define_metric",
        |caller: Caller<'_, State>, kind: u32, name: u32, size: u32, id: u32| {
            host_call(caller, "proxy_define_metric", |abi| {
                let name = String::from_utf8_lossy(&abi.read(name, size)?).into_owned();
                let fresh = match kind {
                    0 => Metric::Counter(0),
                    1 => Metric::Gauge(0),
                    2 => Metric::Histogram(Vec::new()),
                    _ => return Err(Status::BadArgument.into()),
                };
                let state = abi.state();
                state.config.metrics.define(&name, fresh);
                let defined =
                    u32::try_from(state.metrics.len()).unwrap_or(u32::MAX).wrapping_mul(4).wrapping_add(kind);
                state.metrics.insert(defined, name);
                abi.put_u32(id, defined)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_increment_metric",
        |caller: Caller<'_, State>, id: u32, offset: i64| {
            host_call(caller, "proxy_increment_metric", |abi| {
                change_metric(abi, id, |metric| match metric {
                    // A counter refuses even 0, and the Rust SDK traps on that answer.
                    Metric::Counter(value) if offset > 0 => {
                        *value = value.wrapping_add_signed(offset);
                        Ok(())
                    }
                    Metric::Gauge(value) => {
                        *value = value.wrapping_add_signed(offset);
                        Ok(())
                    }
                    Metric::Counter(_) | Metric::Histogram(_) => Err(Status::BadArgument),
                })
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_record_metric",
        |caller: Caller<'_, State>, id: u32, recorded: u64| {
            host_call(caller, "proxy_record_metric", |abi| {
                change_metric(abi, id, |metric| {
                    match metric {
                        Metric::Counter(value) => *value = value.wrapping_add(recorded),
                        Metric::Gauge(value) => *value = recorded,
                        Metric::Histogram(values) => values.push(recorded),
                    }
                    Ok(())
                })
            })
        },
    )?;
    linker.func_wrap(MODULE, "proxy_get_metric", |caller: Caller<'_, State>, id: u32, value_at: u32| {
        host_call(caller, "proxy_get_metric", |abi| {
            let value = change_metric(abi, id, |metric| match metric {
                Metric::Counter(value) | Metric::Gauge(value) => Ok(*value),
                Metric::Histogram(_) => Err(Status::BadArgument),
            })?;
            abi.give_u64(value_at, value)
        })
    })?;
    Ok(())
}

fn change_metric<T>(
    abi: &mut Abi<'_>,
    id: u32,
    change: impl FnOnce(&mut Metric) -> Result<T, Status>,
) -> Result<T, Stop> {
    let state = abi.state();
    let name = state.metrics.get(&id).ok_or(Status::NotFound)?;
    let changed = state.config.metrics.change(name, change).ok_or(Status::NotFound)?;
    Ok(changed?)
}

/// Defines a call with this many 32-bit arguments that answers `Unimplemented`.
pub(super) fn unimplemented(
    linker: &mut Linker<State>,
    name: &'static str,
    arguments: usize,
) -> wasmtime::Result<()> {
    use wasmtime::{FuncType, Val, ValType};
    let kind = FuncType::new(linker.engine(), vec![ValType::I32; arguments], [ValType::I32]);
    linker.func_new(MODULE, name, kind, move |caller, _, results| {
        let status = host_call(caller, name, |_| Err(Status::Unimplemented.into()))?;
        results.iter_mut().for_each(|result| *result = Val::I32(status.cast_signed()));
        Ok(())
    })?;
    Ok(())
}

fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
