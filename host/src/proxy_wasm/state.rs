//! What the host calls of one VM work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::{Memory, StoreLimits, StoreLimitsBuilder, TypedFunc};

use super::config::{FilterConfig, HttpCall};
use super::log::{Level, Log};
use super::stream::Stream;
use crate::http::Headers;

/// What host calls work on.
pub(super) struct State {
    pub(super) config: Arc<FilterConfig>,
    pub(super) lines: Log,
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) current: u32,
    /// 0 where `proxy_set_effective_context` was not called in this callback.
    pub(super) effective: u32,
    pub(super) actions: Vec<Action>,
    /// Whether a local reply keeps the filter chain from going on, whatever the callback returns.
    pub(super) stop_next: bool,
    /// Whether the module initialises itself, when only logging and WASI may be called.
    pub(super) starting: bool,
    /// Whether `proxy_on_configure` runs: only then can the plugin configuration be read.
    pub(super) configuring: bool,
    pub(super) tick_period_ms: u32,
    /// id → name; the two low bits of an id are the type.
    pub(super) metrics: BTreeMap<u32, String>,
    pub(super) calls: BTreeMap<u32, HttpCall>,
    pub(super) calls_made: u32,
    pub(super) call_answer: Option<CallAnswer>,
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    pub(super) limits: StoreLimits,
    random: u64,
}

impl State {
    pub(super) fn new(config: Arc<FilterConfig>, lines: Log, generation: u64) -> Self {
        Self {
            random: config.seed.wrapping_add(generation.wrapping_mul(0xD1B5_4A32_D192_ED03)),
            limits: StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build(),
            config,
            lines,
            streams: BTreeMap::new(),
            current: 0,
            effective: 0,
            actions: Vec::new(),
            stop_next: false,
            starting: false,
            configuring: false,
            tick_period_ms: 0,
            metrics: BTreeMap::new(),
            calls: BTreeMap::new(),
            calls_made: 0,
            call_answer: None,
            memory: None,
            allocate: None,
        }
    }

    /// The context that host calls are for.
    pub(super) fn context(&self) -> u32 {
        if self.effective == 0 { self.current } else { self.effective }
    }

    pub(super) fn stream(&self) -> Option<&Stream> {
        self.streams.get(&self.context())
    }

    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    pub(super) fn log(&mut self, level: Level, message: &[u8]) {
        let line = self.lines.write(level, message);
        if let Some(stream) = self.stream_mut() {
            stream.log.push(line);
        }
    }

    /// Random bytes that depend on the configured seed alone (SplitMix64).
    pub(super) fn random(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = self.random;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend((word ^ (word >> 31)).to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }
}

/// What a guest asked for in a callback, and gets once it has returned.
#[derive(Debug)]
pub(super) enum Action {
    ContinueRequest(u32),
    ContinueResponse(u32),
    Close(u32),
    LocalReply { context: u32, status: u32, headers: Headers, body: Vec<u8>, details: String },
}

/// The answer to a call-out, while the callback that reads it runs.
#[derive(Debug)]
pub(super) struct CallAnswer {
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// Envoy's own bound on the memory of one VM.
const MEMORY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The context that is the plugin itself; streams follow from 2.
pub(super) const ROOT: u32 = 1;
