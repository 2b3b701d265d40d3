//! Loading, starting, and what surrounds the streams.

use countersign_host::clock::Clock;
use countersign_host::proxy_wasm::{FilterConfig, FilterHost, FilterModule, Level, imports};

use crate::guest::{guest, ok, post, said, settings, start};

#[test]
fn a_module_without_the_abi_version_is_refused() {
    let wasm = wat::parse_str(r#"(module (memory (export "memory") 1))"#).unwrap();
    let refusal = FilterModule::load(&wasm).err().expect("it is refused").to_string();
    assert!(refusal.contains("proxy_abi_version"), "{refusal}");
}

#[test]
fn an_import_that_envoy_does_not_offer_is_refused() {
    let wasm = wat::parse_str(
        r#"(module (import "env" "proxy_make_tea" (func)) (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")))"#,
    )
    .unwrap();
    let refusal = format!("{:#}", FilterModule::load(&wasm).err().expect("it is refused"));
    assert!(refusal.contains("proxy_make_tea"), "{refusal}");
    assert_eq!(imports(&wasm).unwrap(), [("env".to_owned(), "proxy_make_tea".to_owned())]);
}

#[test]
fn a_refused_configuration_stops_the_start_and_keeps_the_log() {
    let module = guest(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (drop (call $proxy_buffer (i32.const 7) (i32.const 0) (i32.const 100) (i32.const 4096) (i32.const 4100)))
             (drop (call $proxy_log (i32.const 4) (call $pointer) (call $size)))
             (i32.ne (call $size) (i32.const 3)))"#,
    );
    let config = |text: &str| FilterConfig { plugin_configuration: text.as_bytes().to_vec(), ..settings() };
    let refusal = FilterHost::start(&module, config("bad")).err().expect("three bytes are refused");
    assert!(refusal.reason.contains("proxy_on_configure refused"), "{refusal}");
    assert_eq!((refusal.log[0].level, refusal.log[0].message.as_str()), (Level::Error, "bad"));
    assert!(FilterHost::start(&module, config("good")).is_ok());
}

#[test]
fn the_plugin_configuration_is_readable_only_while_configuring() {
    let mut host = start(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $reply (i32.add (i32.const 200) (call $body (i32.const 7))) 'done') (i32.const 0))"#,
        FilterConfig { plugin_configuration: b"secret".to_vec(), ..settings() },
    );
    let reply = host.exchange(&post(&[]), &mut ok).reply.unwrap();
    assert_eq!(reply.status, 201, "the buffer is not found");
}

#[test]
fn a_host_call_before_the_module_has_started_stops_the_start() {
    let module = guest(r#"(func (export "_initialize") (drop (call $tick_every (i32.const 5))))"#);
    let refusal = FilterHost::start(&module, settings()).err().expect("it is refused");
    assert!(refusal.to_string().contains("proxy_set_tick_period_milliseconds"), "{refusal}");
}

#[test]
fn the_guest_sees_the_fixed_clock_the_seeded_randomness_and_its_environment() {
    let clock = Clock::fixed(0x4142);
    let wasi = r#"(module
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $now (i32.const 0) (i64.const 1) (i32.const 0)))
        ;; in milliseconds, which are two letters
        (i64.store (i32.const 0) (i64.div_u (i64.load (i32.const 0)) (i64.const 1000000)))
        (drop (call $random (i32.const 8) (i32.const 8)))
        (drop (call $sizes (i32.const 16) (i32.const 20)))
        (drop (call $environ (i32.const 24) (i32.const 100)))
        ;; one iovec at 40: the environment's text
        (i32.store (i32.const 40) (i32.load (i32.const 24)))
        (i32.store (i32.const 44) (i32.load (i32.const 20)))
        (drop (call $write (i32.const 2) (i32.const 40) (i32.const 1) (i32.const 48)))
        (drop (call $log (i32.const 1) (i32.const 0) (i32.const 8)))
        (drop (call $log (i32.const 1) (i32.const 8) (i32.const 8)))
        (i32.const 1)))"#;
    let module = FilterModule::load(&wat::parse_str(wasi).unwrap()).unwrap();
    let log = |seed| {
        let vm_environment = [("KEY".to_owned(), "value".to_owned())].into();
        let config = FilterConfig { clock: clock.clone(), seed, vm_environment, ..settings() };
        FilterHost::start(&module, config).unwrap().log()
    };
    let lines = log(7);
    assert_eq!((lines[0].level, lines[0].message.as_str()), (Level::Error, "KEY=value\0"));
    assert_eq!(lines[1].message, "BA\0\0\0\0\0\0");
    assert_eq!(lines, log(7), "one seed, one sequence");
    assert_ne!(lines, log(8), "another seed, another sequence");
}

#[test]
fn a_tick_acts_on_a_stream_that_is_held() {
    let mut host = start(
        r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)
             (drop (call $tick_every (i32.const 250))) (i32.const 1))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
           (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (call $log 'body') (i32.const 1))
           (func (export "proxy_on_tick") (param i32)
             (drop (call $become (i32.const 2)))
             (call $reply (i32.const 503) 'filter_misconfigured'))"#,
        FilterConfig { allow_on_headers_stop_iteration: false, ..settings() },
    );
    assert_eq!(host.tick_period_ms(), 250);
    let stream = host.open(&post(&["{}"]));
    assert!(host.tick());
    let exchange = host.close(stream).expect("the tick answered");
    let reply = exchange.reply.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (503, b"filter_misconfigured".as_slice()));
    assert!(exchange.upstream_saw.is_none(), "nothing reached the upstream");
    assert_eq!(said(&host), [""; 0], "the body stayed away");
}
