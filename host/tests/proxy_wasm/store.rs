//! Shared data, metrics and faults.

use countersign_host::fault::{Fault, Faults};
use countersign_host::proxy_wasm::{FilterConfig, FilterHost, Metric, SharedData};

use crate::guest::{guest, ok, post, settings, start, with_header};

/// Does what the headers say: `op` is `g` (get) or `s` (set), `key` and `value` are bytes, `token` four of them. The reply's
/// status is 200 plus the ABI's status; its body is the token and the value that were read.
const DRIVER: &str = r#"
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) 'requests' (i32.const 4300)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $status i32) (local $key i32) (local $key_size i32) (local $token i32)
    (drop (call $increment (i32.load (i32.const 4300)) (i64.const 1)))
    (drop (call $header (i32.const 0) 'key'))
    (local.set $key (call $pointer))
    (local.set $key_size (call $size))
    (drop (call $header (i32.const 0) 'op'))
    (if (i32.eq (i32.load8_u (call $pointer)) (i32.const 0x67))
      (then
        (i32.store (i32.const 4100) (i32.const 0))
        (local.set $status (call $get_shared
          (local.get $key) (local.get $key_size) (i32.const 4096) (i32.const 4100) (i32.const 4104)))
        (i32.store (i32.const 4400) (i32.load (i32.const 4104)))
        (memory.copy (i32.const 4404) (call $pointer) (call $size))
        (call $reply (i32.add (i32.const 200) (local.get $status)) (i32.const 4400) (i32.add (i32.const 4) (call $size))))
      (else
        (drop (call $header (i32.const 0) 'token'))
        (local.set $token (i32.load (call $pointer)))
        (i32.store (i32.const 4100) (i32.const 0))
        (drop (call $header (i32.const 0) 'value'))
        (call $reply
          (i32.add (i32.const 200) (call $set_shared
            (local.get $key) (local.get $key_size) (call $pointer) (call $size) (local.get $token)))
          'done')))
    (i32.const 1))
"#;

const OK: u16 = 0;
const NOT_FOUND: u16 = 1;
const CAS_MISMATCH: u16 = 8;
const INTERNAL_FAILURE: u16 = 10;
/// A token that is never issued.
const NEVER: u32 = u32::MAX;

fn set(host: &mut FilterHost, key: &str, value: &str, token: u32) -> u16 {
    let request = with_header(with_header(post(&[]), "op", b"s"), "key", key.as_bytes());
    let request = with_header(with_header(request, "value", value.as_bytes()), "token", &token.to_le_bytes());
    host.exchange(&request, &mut ok).reply.unwrap().status - 200
}

/// (status, token, value)
fn get(host: &mut FilterHost, key: &str) -> (u16, u32, Vec<u8>) {
    let request = with_header(with_header(post(&[]), "op", b"g"), "key", key.as_bytes());
    let reply = host.exchange(&request, &mut ok).reply.unwrap();
    let (token, value) = reply.body.split_first_chunk::<4>().unwrap();
    (reply.status - 200, u32::from_le_bytes(*token), value.to_vec())
}

#[test]
fn a_write_without_a_token_is_blind() {
    let mut host = start(DRIVER, settings());
    assert_eq!(get(&mut host, "k").0, NOT_FOUND);
    assert_eq!(set(&mut host, "k", "one", 0), OK);
    assert_eq!(set(&mut host, "k", "two", 0), OK, "both racers win");
    assert_eq!(get(&mut host, "k").2, b"two");
}

#[test]
fn a_token_that_was_never_issued_inserts_once() {
    let mut host = start(DRIVER, settings());
    assert_eq!(set(&mut host, "k", "one", NEVER), OK);
    assert_eq!(set(&mut host, "k", "two", NEVER), CAS_MISMATCH);
    assert_eq!(get(&mut host, "k").2, b"one");
}

#[test]
fn a_stale_token_is_refused_and_the_fresh_one_is_not() {
    let mut host = start(DRIVER, settings());
    set(&mut host, "k", "one", NEVER);
    let (_, first, _) = get(&mut host, "k");
    assert_eq!(set(&mut host, "k", "two", first), OK);
    assert_eq!(set(&mut host, "k", "three", first), CAS_MISMATCH);
    let (_, second, value) = get(&mut host, "k");
    assert_eq!(value, b"two");
    assert_ne!(first, second);
    assert_eq!(set(&mut host, "k", "three", second), OK);
}

#[test]
fn a_removed_key_stays_with_a_version() {
    let mut host = start(DRIVER, settings());
    set(&mut host, "k", "one", NEVER);
    let (_, first, _) = get(&mut host, "k");
    // The SDK's removal: no bytes.
    assert_eq!(set(&mut host, "k", "", 0), OK);
    let (status, token, value) = get(&mut host, "k");
    assert_eq!((status, value.as_slice()), (OK, b"".as_slice()));
    assert_ne!(token, first);
    assert_eq!(set(&mut host, "k", "again", NEVER), CAS_MISMATCH);
    assert_eq!(host.config().shared_data.value_bytes("vm"), 0);
}

#[test]
fn worker_threads_share_one_store_and_other_vm_ids_do_not() {
    let module = guest(DRIVER);
    let shared_data = SharedData::new();
    let worker = |vm_id: &str| {
        let config = FilterConfig { shared_data: shared_data.clone(), vm_id: vm_id.to_owned(), ..settings() };
        FilterHost::start(&module, config).unwrap()
    };
    let (mut one, mut two, mut other) = (worker("a"), worker("a"), worker("b"));
    assert_eq!(set(&mut one, "k", "one", NEVER), OK);
    assert_eq!(set(&mut two, "k", "two", NEVER), CAS_MISMATCH);
    assert_eq!(set(&mut other, "k", "other", NEVER), OK);
    assert_eq!(shared_data.keys("a"), [b"k"]);
}

#[test]
fn of_two_racers_exactly_one_inserts_each_key() {
    let module = guest(DRIVER);
    let shared_data = SharedData::new();
    let wins: usize = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..2)
            .map(|_| {
                let config = FilterConfig { shared_data: shared_data.clone(), ..settings() };
                let mut host = FilterHost::start(&module, config).unwrap();
                scope.spawn(move || {
                    (0..400).filter(|key| set(&mut host, &key.to_string(), "mine", NEVER) == OK).count()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(wins, 400);
}

#[test]
fn a_fault_strikes_one_call_and_shows_what_it_says() {
    let faults = Faults::none();
    let mut host = start(DRIVER, FilterConfig { faults: faults.clone(), ..settings() });
    faults.plan("proxy_set_shared_data", 1, Fault::Error);
    assert_eq!(set(&mut host, "k", "one", 0), OK, "one call passes first");
    assert_eq!(set(&mut host, "k", "two", 0), INTERNAL_FAILURE);
    assert_eq!(get(&mut host, "k").2, b"one", "an error has no effect");
    faults.plan("proxy_set_shared_data", 0, Fault::Conflict);
    assert_eq!(set(&mut host, "k", "two", 0), CAS_MISMATCH);
    assert_eq!(get(&mut host, "k").2, b"one", "nor has a lost race");
    faults.plan("proxy_set_shared_data", 0, Fault::ErrorAfterEffect);
    assert_eq!(set(&mut host, "k", "two", 0), INTERNAL_FAILURE);
    assert_eq!(get(&mut host, "k").2, b"two", "an error after the effect has one");
    faults.plan("proxy_get_shared_data", 0, Fault::Garbage(b"rubbish".to_vec()));
    let (status, token, value) = get(&mut host, "k");
    assert_eq!((status, value.as_slice()), (OK, b"rubbish".as_slice()));
    assert_eq!(set(&mut host, "k", "three", token), OK, "the token is the true one");
    faults.plan("proxy_get_shared_data", 0, Fault::Garbage(b"rubbish".to_vec()));
    assert_eq!(get(&mut host, "absent"), (OK, 0, b"rubbish".to_vec()));
    assert_eq!(faults.calls()["proxy_set_shared_data"], 5);
}

#[test]
fn metrics_go_on_counting_in_the_next_vm() {
    let mut host = start(&DRIVER.replace("'done'", "'done') (unreachable"), settings());
    for _ in 0..3 {
        let request = with_header(with_header(post(&[]), "op", b"s"), "key", b"k");
        assert!(host.exchange(&request, &mut ok).trapped);
    }
    assert_eq!((host.traps(), host.config().metrics.value("requests")), (3, 3));
    assert_eq!(host.config().metrics.read("requests"), Some(Metric::Counter(3)));
    assert_eq!(host.config().metrics.read("unknown"), None);
}
