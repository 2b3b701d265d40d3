//! The only file that calls the proxy: one short function per host call, status to [`Refused`] in one place.
//!
//! The SDK's own wrappers panic on a status that they do not expect, and on text that is not UTF-8; either would take the VM,
//! and with it every partner's requests. So the calls are declared here, values are bytes, and a status is a number.

#![expect(
    unsafe_code,
    reason = "the proxy is called through its C ABI; nothing else in the filter is unsafe"
)]

use core::ptr::{null, null_mut};

/// The proxy did not do what it was asked; the status it gave (proxy-wasm ABI 0.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u32);

impl Refused {
    /// There is no such value.
    pub(crate) const NOT_FOUND: Self = Self(1);
    /// The compare-and-swap token is not the current one.
    pub(crate) const CAS_MISMATCH: Self = Self(8);
}

/// A token that the proxy never issues: with it a write succeeds only where the key is absent.
const NEVER_ISSUED: u32 = u32::MAX;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal),* })*) => {
        $($(#[$doc])* #[derive(Clone, Copy)]
        pub(crate) enum $name { $($variant),* }

        impl $name {
            /// The ABI's number.
            const fn number(self) -> u32 {
                match self { $(Self::$variant => $number),* }
            }
        })*
    };
}

numbers! {
    /// A header map.
    Map { RequestHeaders = 0, RequestTrailers = 1, ResponseHeaders = 2, ResponseTrailers = 3 }
    /// A buffer.
    Buffer { RequestBody = 0, ResponseBody = 1, PluginConfiguration = 7 }
    /// How loud a log line is.
    Level { Warn = 3, Error = 4 }
    /// What a metric is.
    Metric { Counter = 0, Gauge = 1, Histogram = 2 }
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        data: *const u8,
        data_size: usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        size: usize,
        token: u32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

fn done(status: u32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused(status)) }
}

/// Takes over bytes that the proxy allocated through this module's `proxy_on_memory_allocate`.
fn owned(status: u32, data: *mut u8, size: usize) -> Result<Vec<u8>, Refused> {
    done(status)?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the proxy allocated exactly `size` bytes through `proxy_on_memory_allocate` (a boxed slice of that length), wrote
    // all of them, and keeps no pointer.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Writes a line to the proxy's log; a line that it does not take is lost.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: pointer and length are of one live `str`.
    let _lost = unsafe { proxy_log(level.number(), message.as_ptr(), message.len()) };
}

/// Nanoseconds since the Unix epoch, by the proxy's clock.
pub(crate) fn now_nanoseconds() -> Result<u64, Refused> {
    let mut time = 0;
    // SAFETY: the pointer is of a live `u64`.
    done(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) }).map(|()| time)
}

/// Calls `on_tick` every `milliseconds` from now on.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Refused> {
    // SAFETY: no pointers.
    done(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// The first `max` bytes of a buffer.
pub(crate) fn buffer(buffer: Buffer, max: usize) -> Result<Vec<u8>, Refused> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both pointers are of live locals.
    let status = unsafe { proxy_get_buffer_bytes(buffer.number(), 0, max, &raw mut data, &raw mut size) };
    owned(status, data, size)
}

/// Puts `value` in place of the first `size` bytes of a buffer.
pub(crate) fn replace_buffer(buffer: Buffer, size: usize, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: pointer and length are of one live slice.
    done(unsafe { proxy_set_buffer_bytes(buffer.number(), 0, size, value.as_ptr(), value.len()) })
}

/// A header map as the proxy serialises it; [`Pairs`] reads it.
pub(crate) fn header_map(map: Map) -> Result<Vec<u8>, Refused> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both pointers are of live locals.
    let status = unsafe { proxy_get_header_map_pairs(map.number(), &raw mut data, &raw mut size) };
    owned(status, data, size)
}

/// Puts `pairs` in place of a whole header map, pseudo headers included.
pub(crate) fn replace_header_map(map: Map, pairs: &[(&[u8], &[u8])]) -> Result<(), Refused> {
    let bytes = serialized(pairs);
    // SAFETY: pointer and length are of one live `Vec`.
    done(unsafe { proxy_set_header_map_pairs(map.number(), bytes.as_ptr(), bytes.len()) })
}

/// Sets a header field, in place of all of its name.
pub(crate) fn set_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: pointers and lengths are of two live slices.
    done(unsafe {
        proxy_replace_header_map_value(map.number(), name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes all header fields of a name.
pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), Refused> {
    // SAFETY: pointer and length are of one live slice.
    done(unsafe { proxy_remove_header_map_value(map.number(), name.as_ptr(), name.len()) })
}

/// A property by its path, segments separated by NUL (`b"source\0address"`).
pub(crate) fn property(path: &[u8]) -> Result<Vec<u8>, Refused> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: all pointers are of live locals.
    let status = unsafe { proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size) };
    owned(status, data, size)
}

/// Sets a property; Envoy's access log reads it as `%FILTER_STATE(wasm.NAME:PLAIN)%`.
pub(crate) fn set_property(name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: pointers and lengths are of two live slices.
    done(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A shared value and its compare-and-swap token; `None` where the key was never written.
pub(crate) fn shared_data(key: &[u8]) -> Result<Option<(Vec<u8>, u32)>, Refused> {
    let (mut data, mut size, mut token) = (null_mut(), 0, 0);
    // SAFETY: all pointers are of live locals and one live slice.
    let status = unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), &raw mut data, &raw mut size, &raw mut token)
    };
    match owned(status, data, size) {
        Ok(value) => Ok(Some((value, token))),
        Err(Refused::NOT_FOUND) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// Writes a shared value where the key was never written; otherwise [`Refused::CAS_MISMATCH`].
pub(crate) fn insert_shared_data(key: &[u8], value: &[u8]) -> Result<(), Refused> {
    replace_shared_data(key, value, NEVER_ISSUED)
}

/// Writes a shared value where `token` is still the current one; otherwise [`Refused::CAS_MISMATCH`].
pub(crate) fn replace_shared_data(key: &[u8], value: &[u8], token: u32) -> Result<(), Refused> {
    // With token 0 the proxy would write blindly, and both of two racers would win.
    let token = if token == 0 { NEVER_ISSUED } else { token };
    // SAFETY: pointers and lengths are of two live slices.
    done(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), token) })
}

/// Makes the following calls act on another stream; for `on_tick`.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Refused> {
    // SAFETY: no pointers.
    done(unsafe { proxy_set_effective_context(context) })
}

/// Answers the stream without the upstream.
pub(crate) fn send_local_response(
    status: u16,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
) -> Result<(), Refused> {
    let headers = serialized(headers);
    // SAFETY: pointers and lengths are of live values; null with length 0 is what the ABI asks for no details.
    done(unsafe {
        proxy_send_local_response(
            u32::from(status),
            null(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    })
}

/// Defines a metric, or finds it by its name.
pub(crate) fn define_metric(kind: Metric, name: &str) -> Result<u32, Refused> {
    let mut id = 0;
    // SAFETY: all pointers are of live locals and one live `str`.
    done(unsafe { proxy_define_metric(kind.number(), name.as_ptr(), name.len(), &raw mut id) }).map(|()| id)
}

/// Adds to a counter.
pub(crate) fn increment_metric(id: u32, by: u64) -> Result<(), Refused> {
    // SAFETY: no pointers.
    done(unsafe { proxy_increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX)) })
}

/// Sets a gauge.
pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Refused> {
    // SAFETY: no pointers.
    done(unsafe { proxy_record_metric(id, value) })
}

/// A header map as the ABI serialises it: count, lengths, then names and values, each with a NUL behind it.
fn serialized(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(&length(pairs.len()));
    for (name, value) in pairs {
        bytes.extend_from_slice(&length(name.len()));
        bytes.extend_from_slice(&length(value.len()));
    }
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}

/// Reads a serialised header map in place.
#[derive(Clone)]
pub(crate) struct Pairs<'m> {
    lengths: &'m [u8],
    data: &'m [u8],
}

impl<'m> Pairs<'m> {
    /// The pairs of a serialised map; none where it is cut short.
    pub(crate) fn of(map: &'m [u8]) -> Self {
        let split = || {
            let (count, rest) = map.split_first_chunk::<4>()?;
            let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
            rest.split_at_checked(count.checked_mul(8)?)
        };
        let (lengths, data) = split().unwrap_or((&[], &[]));
        Self { lengths, data }
    }

    fn part(&mut self) -> Option<&'m [u8]> {
        let (length, lengths) = self.lengths.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (part, data) = self.data.split_at_checked(length)?;
        self.lengths = lengths;
        self.data = data.split_first().map_or(data, |(_nul, data)| data);
        Some(part)
    }
}

impl<'m> Iterator for Pairs<'m> {
    type Item = (&'m [u8], &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.part()?, self.part()?))
    }
}
