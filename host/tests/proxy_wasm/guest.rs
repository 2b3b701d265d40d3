//! Filters in WebAssembly text, small enough to see through.

use std::fmt::Write as _;

use countersign_host::http::{HttpReply, HttpRequest, PeerCertificate, UpstreamAnswer};
use countersign_host::proxy_wasm::{FilterConfig, FilterHost, FilterModule, Level};

/// Imports, memory, an allocator that starts over before it runs out, and two shorthands. Results are left at 4096 (pointer),
/// 4100 (size) and 4104 (token).
const PRELUDE: &str = r#"
  (import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $proxy_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $proxy_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $proxy_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick_every (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $become (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $go_on (param i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 8192))
  (func (export "malloc") (param $size i32) (result i32)
    (if (i32.gt_u (i32.add (global.get $heap) (local.get $size)) (i32.const 200000))
      (then (global.set $heap (i32.const 8192))))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))
  (func (export "proxy_abi_version_0_2_1"))
  (func $log (param i32 i32) (drop (call $proxy_log (i32.const 2) (local.get 0) (local.get 1))))
  (func $header (param $map i32) (param i32 i32) (result i32)
    (call $proxy_get (local.get $map) (local.get 1) (local.get 2) (i32.const 4096) (i32.const 4100)))
  (func $property (param i32 i32) (result i32)
    (call $proxy_property (local.get 0) (local.get 1) (i32.const 4096) (i32.const 4100)))
  (func $body (param $kind i32) (result i32)
    (call $proxy_buffer (local.get $kind) (i32.const 0) (i32.const 100000) (i32.const 4096) (i32.const 4100)))
  (func $pointer (result i32) (i32.load (i32.const 4096)))
  (func $size (result i32) (i32.load (i32.const 4100)))
  (func $reply (param $status i32) (param $body i32) (param $size i32)
    (drop (call $send (local.get $status) (i32.const 0) (i32.const 0) (local.get $body) (local.get $size)
      (i32.const 0) (i32.const 0) (i32.const -1))))
"#;

/// Compiles a guest. In `code`, `'text'` stands for two operands: where that text lies in memory, and its size.
pub(crate) fn guest(code: &str) -> FilterModule {
    let (mut data, mut wat, mut at) = (String::new(), String::new(), 16);
    for (number, part) in code.split('\'').enumerate() {
        if number % 2 == 0 {
            wat.push_str(part);
            continue;
        }
        let escaped: String = part.bytes().fold(String::new(), |mut escaped, byte| {
            write!(escaped, "\\{byte:02x}").unwrap();
            escaped
        });
        writeln!(data, "(data (i32.const {at}) \"{escaped}\")").unwrap();
        write!(wat, "(i32.const {at}) (i32.const {})", part.len()).unwrap();
        at += part.len();
    }
    assert!(at < 4096, "the texts of a guest must end before its scratch memory");
    let module =
        wat::parse_str(format!("(module {PRELUDE}\n{data}\n{wat})")).expect("the guest's text is valid");
    FilterModule::load(&module).expect("the guest loads")
}

/// The settings that the filter of this project needs.
pub(crate) fn settings() -> FilterConfig {
    FilterConfig { allow_on_headers_stop_iteration: true, ..FilterConfig::default() }
}

pub(crate) fn start(code: &str, config: FilterConfig) -> FilterHost {
    FilterHost::start(&guest(code), config).unwrap_or_else(|error| panic!("the guest starts: {error}"))
}

/// A POST of these chunks.
pub(crate) fn post(chunks: &[&str]) -> HttpRequest {
    HttpRequest {
        method: b"POST".to_vec(),
        path: b"/postback/acme?x=1".to_vec(),
        authority: b"tracker.example".to_vec(),
        headers: vec![(b"content-type".to_vec(), b"application/json".to_vec())],
        body: chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect(),
        peer: "203.0.113.7:4711".parse().unwrap(),
        certificate: None,
    }
}

pub(crate) fn with_header(mut request: HttpRequest, name: &str, value: &[u8]) -> HttpRequest {
    request.headers.push((name.as_bytes().to_vec(), value.to_vec()));
    request
}

pub(crate) fn with_certificate(mut request: HttpRequest, uri: &str) -> HttpRequest {
    request.certificate =
        Some(PeerCertificate { uri_sans: vec![uri.to_owned()], sha256_hex: "ab".repeat(32) });
    request
}

/// An upstream that says 200 with a body.
pub(crate) fn ok(_: &HttpRequest) -> UpstreamAnswer {
    UpstreamAnswer::Reply(upstream_ok())
}

pub(crate) fn upstream_ok() -> HttpReply {
    HttpReply {
        status: 200,
        headers: vec![(b"content-length".to_vec(), b"2".to_vec())],
        body: b"ok".to_vec(),
    }
}

/// What the guest logged at `Info`, in order.
pub(crate) fn said(host: &FilterHost) -> Vec<String> {
    host.log().into_iter().filter(|line| line.level == Level::Info).map(|line| line.message).collect()
}
