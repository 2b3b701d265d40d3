//! The WASI calls that a `wasm32-wasip1` filter imports, answered as Envoy answers them: no files, no arguments, the VM's
//! environment, and standard output and error into the proxy's log.

use wasmtime::{Caller, Linker, bail};

use super::abi::Abi;
use super::log::Level;
use super::state::State;
use super::status::Stop;

const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOENT: u32 = 44;
const NOSYS: u32 = 52;
const NOTSUP: u32 = 58;

const RANDOM_BYTES_MAX: u32 = 64 * 1024;

/// Defines the WASI imports.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    const MODULE: &str = "wasi_snapshot_preview1";
    linker.func_wrap(MODULE, "args_sizes_get", |caller: Caller<'_, State>, count: u32, size: u32| {
        errno(Abi::new(caller), |abi| abi.put_u32(count, 0).and_then(|()| abi.put_u32(size, 0)))
    })?;
    linker.func_wrap(MODULE, "args_get", |_: u32, _: u32| 0_u32)?;
    linker.func_wrap(MODULE, "environ_sizes_get", |caller: Caller<'_, State>, count: u32, size: u32| {
        errno(Abi::new(caller), |abi| environment_sizes(abi, count, size))
    })?;
    linker.func_wrap(MODULE, "environ_get", |caller: Caller<'_, State>, pointers: u32, bytes: u32| {
        errno(Abi::new(caller), |abi| environment(abi, pointers, bytes))
    })?;
    linker.func_wrap(MODULE, "clock_time_get", |caller: Caller<'_, State>, id: u32, _: u64, time: u32| {
        // One clock serves both: time that a test moves back is meant to be seen.
        if id > 1 { Ok(NOTSUP) } else { errno(Abi::new(caller), |abi| abi.put_now(time)) }
    })?;
    linker.func_wrap(MODULE, "clock_res_get", |caller: Caller<'_, State>, id: u32, resolution: u32| {
        if id > 1 { Ok(NOTSUP) } else { errno(Abi::new(caller), |abi| abi.put_u64(resolution, 1)) }
    })?;
    linker.func_wrap(MODULE, "random_get", |caller: Caller<'_, State>, bytes: u32, size: u32| {
        if size > RANDOM_BYTES_MAX {
            Ok(INVAL)
        } else {
            errno(Abi::new(caller), |abi| abi.put_random(bytes, size))
        }
    })?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |caller: Caller<'_, State>, fd: u32, parts: u32, count: u32, written: u32| match fd {
            1 => errno(Abi::new(caller), |abi| write(abi, Level::Info, parts, count, written)),
            2 => errno(Abi::new(caller), |abi| write(abi, Level::Error, parts, count, written)),
            _ => Ok(BADF),
        },
    )?;
    linker.func_wrap(MODULE, "fd_read", |_: u32, _: u32, _: u32, _: u32| NOSYS)?;
    linker.func_wrap(MODULE, "fd_close", |_: u32| 0_u32)?;
    linker.func_wrap(MODULE, "fd_seek", |_: u32, _: i64, _: u32, _: u32| 0_u32)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |caller: Caller<'_, State>, fd: u32, stat: u32| {
        if !matches!(fd, 1 | 2) {
            return Ok(BADF);
        }
        // Of the 24 bytes only the right to write is set.
        errno(Abi::new(caller), |abi| {
            [0, 64, 0].into_iter().zip((stat..).step_by(8)).try_for_each(|(word, at)| abi.put_u64(at, word))
        })
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |_: u32, _: u32| NOSYS)?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", |_: u32, _: u32, _: u32| NOSYS)?;
    linker.func_wrap(MODULE, "fd_filestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(
        MODULE,
        "path_open",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: i64, _: i64, _: u32, _: u32| NOENT,
    )?;
    linker.func_wrap(MODULE, "path_filestat_get", |_: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |caller: Caller<'_, State>, _: u32, _: u32, _: u32, events: u32| {
            errno(Abi::new(caller), |abi| abi.put_u32(events, 0))
        },
    )?;
    linker.func_wrap(MODULE, "sched_yield", || 0_u32)?;
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> wasmtime::Result<()> {
        bail!("the filter called proc_exit({code}): a filter must not end its own process")
    })?;
    Ok(())
}

fn errno(mut abi: Abi<'_>, body: impl FnOnce(&mut Abi<'_>) -> Result<(), Stop>) -> wasmtime::Result<u32> {
    match body(&mut abi) {
        Ok(()) => Ok(0),
        Err(Stop::Status(_)) => Ok(FAULT),
        Err(Stop::Trap(trap)) => Err(trap),
    }
}

/// `NAME=value`, NUL.
fn entries(abi: &Abi<'_>) -> Vec<Vec<u8>> {
    let environment = &abi.state_ref().config.vm_environment;
    environment.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

fn environment_sizes(abi: &mut Abi<'_>, count: u32, size: u32) -> Result<(), Stop> {
    let entries = entries(abi);
    abi.put_size(count, entries.len())?;
    abi.put_size(size, entries.iter().map(Vec::len).sum())
}

fn environment(abi: &mut Abi<'_>, mut pointers: u32, mut bytes: u32) -> Result<(), Stop> {
    for entry in entries(abi) {
        abi.put_u32(pointers, bytes)?;
        abi.put(bytes, &entry)?;
        pointers = pointers.wrapping_add(4);
        bytes = bytes.wrapping_add(u32::try_from(entry.len()).unwrap_or(u32::MAX));
    }
    Ok(())
}

fn write(abi: &mut Abi<'_>, level: Level, parts: u32, count: u32, written: u32) -> Result<(), Stop> {
    let mut text = Vec::new();
    for part in (parts..).step_by(8).zip(0..count).map(|(part, _)| part) {
        let at = abi.u32_at(part)?;
        let size = abi.u32_at(part.wrapping_add(4))?;
        text.extend(abi.read(at, size)?);
    }
    let size = text.len();
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    if size > 0 {
        abi.state().log(level, &text);
    }
    abi.put_size(written, size)
}
