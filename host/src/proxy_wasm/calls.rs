//! The calls on a stream: header maps, buffers, going on, replying, and call-outs.

use wasmtime::{Caller, Linker};

use super::abi::{Abi, MODULE, host_call, unimplemented};
use super::config::HttpCall;
use super::state::{Action, State};
use super::status::{Status, Stop};
use super::{headers, pairs};
use crate::http::Headers;

const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const CALL_RESPONSE_HEADERS: u32 = 6;
const MAP_TYPE_MAX: u32 = 7;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_RESPONSE_BODY: u32 = 4;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
const BUFFER_TYPE_MAX: u32 = 8;

/// Defines the calls of this file.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_map_reads(linker)?;
    link_map_writes(linker)?;
    link_buffers(linker)?;
    link_stream(linker)?;
    link_call_outs(linker)
}

fn link_map_reads(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_get_header_map_value",
        |caller: Caller<'_, State>, map: u32, name: u32, name_size: u32, value: u32, size: u32| {
            host_call(caller, "proxy_get_header_map_value", |abi| {
                let name = abi.read(name, name_size)?;
                let logging = abi.stream().is_some_and(|stream| stream.log_phase);
                let absent = if logging { Status::NotFound } else { Status::BadArgument };
                let found = headers::first(readable(abi, map)?.ok_or(absent)?, &name);
                let found = found.ok_or(Status::NotFound)?.to_vec();
                abi.give(&found, value, size)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_get_header_map_pairs",
        |caller: Caller<'_, State>, map: u32, pairs: u32, size: u32| {
            host_call(caller, "proxy_get_header_map_pairs", |abi| {
                let bytes = readable(abi, map)?.filter(|map| !map.is_empty()).map(|map| pairs::write(map));
                abi.give(&bytes.unwrap_or_default(), pairs, size)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_get_header_map_size",
        |caller: Caller<'_, State>, map: u32, size: u32| {
            host_call(caller, "proxy_get_header_map_size", |abi| {
                let bytes = headers::byte_size(readable(abi, map)?.ok_or(Status::BadArgument)?);
                abi.put_size(size, bytes)
            })
        },
    )?;
    Ok(())
}

fn link_map_writes(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_add_header_map_value",
        |caller: Caller<'_, State>, map: u32, name: u32, name_size: u32, value: u32, size: u32| {
            host_call(caller, "proxy_add_header_map_value", |abi| {
                let (name, value) = (abi.read(name, name_size)?, abi.read(value, size)?);
                headers::add(writable(abi, map)?, &name, &value);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_replace_header_map_value",
        |caller: Caller<'_, State>, map: u32, name: u32, name_size: u32, value: u32, size: u32| {
            host_call(caller, "proxy_replace_header_map_value", |abi| {
                let (name, value) = (abi.read(name, name_size)?, abi.read(value, size)?);
                headers::replace(writable(abi, map)?, &name, &value);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_remove_header_map_value",
        |caller: Caller<'_, State>, map: u32, name: u32, name_size: u32| {
            host_call(caller, "proxy_remove_header_map_value", |abi| {
                let name = abi.read(name, name_size)?;
                headers::remove(writable(abi, map)?, &name);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_set_header_map_pairs",
        |caller: Caller<'_, State>, map: u32, at: u32, size: u32| {
            host_call(caller, "proxy_set_header_map_pairs", |abi| {
                let pairs = pairs::read(&abi.read(at, size)?);
                let map = writable(abi, map)?;
                map.clear();
                pairs.iter().for_each(|(name, value)| headers::add(map, name, value));
                Ok(())
            })
        },
    )?;
    Ok(())
}

/// The map as reads see it: in `on_log` those of the whole stream again.
fn readable<'a>(abi: &'a Abi<'_>, map: u32) -> Result<Option<&'a Headers>, Stop> {
    let state = abi.state_ref();
    let stream = state.stream();
    Ok(match map {
        REQUEST_HEADERS => stream
            .filter(|stream| stream.request.visible || stream.log_phase)
            .and_then(|stream| stream.request.headers.as_ref()),
        RESPONSE_HEADERS => stream
            .filter(|stream| stream.response.visible || stream.log_phase)
            .and_then(|stream| stream.response.headers.as_ref()),
        CALL_RESPONSE_HEADERS => state.call_answer.as_ref().map(|answer| &answer.headers),
        _ if map > MAP_TYPE_MAX => return Err(Status::BadArgument.into()),
        _ => None,
    })
}

/// The map as writes see it: gone once the filter has let it pass.
fn writable<'a>(abi: &'a mut Abi<'_>, map: u32) -> Result<&'a mut Headers, Stop> {
    let stream = abi.state().stream_mut().ok_or(Status::BadArgument)?;
    let half = match map {
        REQUEST_HEADERS => &mut stream.request,
        RESPONSE_HEADERS => &mut stream.response,
        _ => return Err(Status::BadArgument.into()),
    };
    let visible = half.visible;
    half.headers.as_mut().filter(|_| visible).ok_or(Status::BadArgument.into())
}

fn link_buffers(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_get_buffer_bytes",
        |caller: Caller<'_, State>, kind: u32, start: u32, length: u32, bytes: u32, size: u32| {
            host_call(caller, "proxy_get_buffer_bytes", |abi| {
                let end = start.checked_add(length).ok_or(Status::BadArgument)?;
                let range = |whole: &[u8]| {
                    let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
                    whole.get(at(start)..at(end)).unwrap_or_default().to_vec()
                };
                let part = buffer(abi, kind, range)?;
                abi.give(&part, bytes, size)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_get_buffer_status",
        |caller: Caller<'_, State>, kind: u32, size: u32, flags: u32| {
            host_call(caller, "proxy_get_buffer_status", |abi| {
                let length = buffer(abi, kind, <[u8]>::len)?;
                abi.put_size(size, length)?;
                abi.put_u32(flags, 0)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_set_buffer_bytes",
        |caller: Caller<'_, State>, kind: u32, start: u32, length: u32, data: u32, size: u32| {
            host_call(caller, "proxy_set_buffer_bytes", |abi| {
                let data = abi.read(data, size)?;
                change_buffer(abi, kind, start, length, data)
            })
        },
    )?;
    Ok(())
}

/// Reads a buffer; one that is not there now is empty, as it is in Envoy.
fn buffer<T>(abi: &mut Abi<'_>, kind: u32, read: impl FnOnce(&[u8]) -> T) -> Result<T, Stop> {
    let state = abi.state();
    let config = state.config.clone();
    match kind {
        REQUEST_BODY => {
            Ok(read(state.stream_mut().and_then(|stream| stream.request.body()).map_or(&[], |body| body)))
        }
        RESPONSE_BODY => {
            Ok(read(state.stream_mut().and_then(|stream| stream.response.body()).map_or(&[], |body| body)))
        }
        CALL_RESPONSE_BODY => Ok(read(&state.call_answer.as_ref().ok_or(Status::NotFound)?.body)),
        VM_CONFIGURATION => Ok(read(&config.vm_configuration)),
        PLUGIN_CONFIGURATION if state.configuring => Ok(read(&config.plugin_configuration)),
        PLUGIN_CONFIGURATION => Err(Status::NotFound.into()),
        _ if kind > BUFFER_TYPE_MAX => Err(Status::BadArgument.into()),
        _ => Ok(read(&[])),
    }
}

/// From the start, `length` bytes give way to `data`; from the end or beyond it `data` is appended; in between Envoy refuses.
fn change_buffer(abi: &mut Abi<'_>, kind: u32, start: u32, length: u32, data: Vec<u8>) -> Result<(), Stop> {
    let stream = abi.state().stream_mut();
    let body = match kind {
        REQUEST_BODY => stream.and_then(|stream| stream.request.body()),
        RESPONSE_BODY => stream.and_then(|stream| stream.response.body()),
        _ if kind > BUFFER_TYPE_MAX => return Err(Status::BadArgument.into()),
        _ => return Err(Status::NotFound.into()),
    };
    let body = body.ok_or(Status::BadArgument)?;
    let offset = |value| usize::try_from(value).unwrap_or(usize::MAX).min(body.len());
    let (start_at, drained) = (offset(start), offset(length));
    if start == 0 {
        body.splice(..drained, data);
    } else if start_at == body.len() {
        body.extend(data);
    } else {
        return Err(Status::BadArgument.into());
    }
    Ok(())
}

fn link_stream(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "proxy_continue_stream", |caller: Caller<'_, State>, kind: u32| {
        host_call(caller, "proxy_continue_stream", |abi| {
            let context = abi.state().context();
            let action = match kind {
                0 => Action::ContinueRequest(context),
                1 => Action::ContinueResponse(context),
                2 => return Ok(()),
                3 => return Err(Status::Unimplemented.into()),
                _ => return Err(Status::BadArgument.into()),
            };
            // Whichever direction goes on, Envoy forgets the request.
            if let Some(stream) = abi.state().stream_mut() {
                stream.request.visible = false;
                abi.state().actions.push(action);
            }
            Ok(())
        })
    })?;
    linker.func_wrap(MODULE, "proxy_close_stream", |caller: Caller<'_, State>, kind: u32| {
        host_call(caller, "proxy_close_stream", |abi| {
            if kind > 3 {
                return Err(Status::BadArgument.into());
            }
            let context = abi.state().context();
            if kind < 2 && abi.stream().is_some() {
                abi.state().actions.push(Action::Close(context));
            }
            Ok(())
        })
    })?;
    linker.func_wrap(
        MODULE,
        "proxy_send_local_response",
        |caller: Caller<'_, State>,
         status: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         _grpc_status: u32| {
            host_call(caller, "proxy_send_local_response", |abi| {
                let details = abi.read(details, details_size)?;
                let body = abi.read(body, body_size)?;
                let headers = pairs::read(&abi.read(headers, headers_size)?);
                let details = String::from_utf8_lossy(&details).replace(char::is_whitespace, "_");
                let context = abi.state().context();
                if abi.stream().is_some() {
                    abi.state().actions.push(Action::LocalReply { context, status, headers, body, details });
                }
                abi.state().stop_next = true;
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn link_call_outs(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "proxy_http_call",
        |caller: Caller<'_, State>,
         cluster: u32,
         cluster_size: u32,
         headers: u32,
         headers_size: u32,
         body: u32,
         body_size: u32,
         trailers: u32,
         trailers_size: u32,
         timeout_ms: u32,
         token_at: u32| {
            host_call(caller, "proxy_http_call", |abi| {
                let cluster = String::from_utf8_lossy(&abi.read(cluster, cluster_size)?).into_owned();
                let headers = pairs::read(&abi.read(headers, headers_size)?);
                let body = abi.read(body, body_size)?;
                abi.read(trailers, trailers_size)?;
                abi.put_u32(token_at, 0)?;
                let token = call_out(abi.state(), cluster, headers, body, timeout_ms)?;
                abi.put_u32(token_at, token)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_get_status",
        |caller: Caller<'_, State>, code: u32, message: u32, size: u32| {
            host_call(caller, "proxy_get_status", |abi| {
                abi.put_u32(code, 0)?;
                abi.give(&[], message, size)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proxy_call_foreign_function",
        |caller: Caller<'_, State>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| {
            host_call(caller, "proxy_call_foreign_function", |_| Err(Status::NotFound.into()))
        },
    )?;
    for (name, arguments) in [
        ("proxy_grpc_call", 12),
        ("proxy_grpc_stream", 9),
        ("proxy_grpc_send", 4),
        ("proxy_grpc_cancel", 1),
        ("proxy_grpc_close", 1),
    ] {
        unimplemented(linker, name, arguments)?;
    }
    Ok(())
}

fn call_out(
    state: &mut State,
    cluster: String,
    headers: Headers,
    body: Vec<u8>,
    timeout_ms: u32,
) -> Result<u32, Status> {
    let named = [b":path".as_slice(), b":method", b":authority"]
        .iter()
        .all(|name| headers::first(&headers, name).is_some());
    if !named || !state.config.clusters.contains(&cluster) || timeout_ms.cast_signed() < 0 {
        return Err(Status::BadArgument);
    }
    state.calls_made = state.calls_made.wrapping_add(1);
    let token = state.calls_made;
    state.calls.insert(token, HttpCall { token, cluster, headers, body, timeout_ms });
    Ok(token)
}
