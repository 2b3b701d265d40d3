//! The life of a stream: what is held back, what goes on, and how it ends.

use countersign_host::clock::Clock;
use countersign_host::http::{HttpReply, UpstreamAnswer};
use countersign_host::proxy_wasm::{CallOutcome, FilterConfig, Progress, Protocol};

use crate::guest::{ok, post, said, settings, start, upstream_ok, with_certificate, with_header};

/// Holds the headers until the body is whole. A body that starts with `x` is refused, one with `!` traps; a header `x-any` is
/// copied to `x-copy`. All callbacks are logged.
const GATE: &str = r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $log 'request headers')
    (if (i32.eqz (call $header (i32.const 0) 'x-any'))
      (then (drop (call $replace (i32.const 0) 'x-copy' (call $pointer) (call $size)))))
    (i32.const 1))
  (func (export "proxy_on_request_body") (param $context i32) (param $size i32) (param $end i32) (result i32)
    (local $first i32)
    (call $log 'request body')
    (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
    (drop (call $body (i32.const 0)))
    (if (i32.eqz (call $size)) (then (return (i32.const 0))))
    (local.set $first (i32.load8_u (call $pointer)))
    (if (i32.eq (local.get $first) (i32.const 0x21)) (then unreachable))
    (if (i32.eq (local.get $first) (i32.const 0x78)) (then (call $reply (i32.const 403) 'no') (return (i32.const 1))))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $log 'response headers')
    (drop (call $replace (i32.const 2) 'x-gate' 'passed'))
    (i32.const 0))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (call $log 'response body') (i32.const 0))
  (func (export "proxy_on_log") (param i32)
    (call $log 'log')
    (if (i32.eqz (call $property 'response.flags'))
      (then (drop (call $set_property 'flags' (call $pointer) (call $size)))))
    (drop (call $set_property 'code found' (i32.const 4200) (i32.const 0)))
    (i32.store8 (i32.const 4200) (call $property 'response.code'))
    (drop (call $set_property 'code found' (i32.const 4200) (i32.const 1))))
  (func (export "proxy_on_done") (param i32) (result i32) (call $log 'done') (i32.const 1))
  (func (export "proxy_on_delete") (param i32) (call $log 'delete'))
"#;

/// The gate with NUL between the parts of its properties' paths, which the text above cannot hold.
fn gate() -> String {
    GATE.replace("'response.flags'", "'response\0flags'").replace("'response.code'", "'response\0code'")
}

fn header<'a>(reply: &'a HttpReply, name: &str) -> Option<&'a [u8]> {
    reply.headers.iter().find(|(held, _)| held == name.as_bytes()).map(|(_, value)| value.as_slice())
}

#[test]
fn the_upstream_sees_the_request_once_the_body_is_verified() {
    let mut host = start(&gate(), settings());
    let stream = host.open_headers(&post(&["{\"a\":", "1}"]));
    assert!(matches!(host.progress(stream), Progress::Held));
    host.deliver(stream, b"{\"a\":", false);
    assert!(matches!(host.progress(stream), Progress::Held));
    host.deliver(stream, b"1}", true);
    let Progress::AtUpstream(seen) = host.progress(stream) else { panic!("the request went on") };
    assert_eq!((seen.body.concat(), seen.path), (b"{\"a\":1}".to_vec(), b"/postback/acme?x=1".to_vec()));
    host.upstream_answers(stream, ok(&post(&[])));
    let exchange = host.close(stream).unwrap();
    let reply = exchange.reply.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(header(&reply, "x-gate"), Some(b"passed".as_slice()));
    assert!(exchange.upstream_saw_end && !exchange.broken_framing && !exchange.trapped);
}

#[test]
fn the_end_of_a_body_is_an_empty_chunk_on_http1_only() {
    let bodies = |protocol| {
        let mut host = start(&gate(), FilterConfig { protocol, ..settings() });
        host.exchange(&post(&["{", "}"]), &mut ok);
        said(&host).iter().filter(|line| *line == "request body").count()
    };
    assert_eq!((bodies(Protocol::Http1), bodies(Protocol::Http2)), (3, 2));
}

#[test]
fn a_local_reply_from_the_body_callback_passes_the_response_callbacks() {
    let mut host = start(&gate(), settings());
    let exchange = host.exchange(&post(&["x"]), &mut |_| panic!("the upstream is not asked"));
    let reply = exchange.reply.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (403, b"no".as_slice()));
    assert_eq!(header(&reply, "content-length"), Some(b"2".as_slice()));
    assert_eq!(header(&reply, "content-type"), Some(b"text/plain".as_slice()));
    assert_eq!(header(&reply, "x-gate"), Some(b"passed".as_slice()));
    assert!(exchange.upstream_saw.is_none());
    let expected = [
        "request headers",
        "request body",
        "request body",
        "response headers",
        "response body",
        "log",
        "done",
        "delete",
    ];
    assert_eq!(said(&host), expected);
}

#[test]
fn without_the_flag_the_body_callbacks_stay_away_and_the_request_hangs() {
    let mut host = start(&gate(), FilterConfig { allow_on_headers_stop_iteration: false, ..settings() });
    let exchange = host.exchange(&post(&["x"]), &mut |_| panic!("the upstream is not asked"));
    assert_eq!(exchange.reply.unwrap().status, 504);
    assert_eq!(said(&host).iter().filter(|line| line.contains("body")).count(), 1, "only the reply's own");
}

#[test]
fn a_filter_that_continues_in_the_headers_lets_them_go_at_once() {
    let code = gate().replacen(
        "(i32.const 1))\n  (func (export \"proxy_on_request_body\")",
        "(i32.const 0))\n  (func (export \"proxy_on_request_body\")",
        1,
    );
    let mut host = start(&code, settings());
    let exchange = host.exchange(&post(&["x"]), &mut |_| panic!("the request never ends"));
    assert_eq!(exchange.reply.unwrap().status, 403);
    let seen = exchange.upstream_saw.expect("the headers have gone to the upstream");
    assert!(seen.body.is_empty() && !exchange.upstream_saw_end);
}

#[test]
fn a_body_over_the_buffer_limit_is_413() {
    let config = || FilterConfig { body_buffer_bytes_max: 10, ..settings() };
    let mut host = start(&gate(), config());
    assert_eq!(host.exchange(&post(&["12345", "67890"]), &mut ok).reply.unwrap().status, 200);
    let exchange =
        host.exchange(&post(&["12345", "67890", "!"]), &mut |_| panic!("the upstream is not asked"));
    let reply = exchange.reply.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (413, b"Payload Too Large".as_slice()));
    assert!(!exchange.trapped, "the filter does not see the chunk that is too much");
}

#[test]
fn a_trap_is_503_and_the_next_request_has_a_new_vm_over_the_same_shared_data() {
    let mut host = start(&gate(), settings());
    host.config().shared_data.write("vm", b"key", b"kept");
    let waiting = host.open(&post(&["waits"]));
    let exchange = host.exchange(&post(&["!"]), &mut |_| panic!("the upstream is not asked"));
    let reply = exchange.reply.unwrap();
    assert_eq!((reply.status, reply.body.len()), (503, 0));
    assert!(exchange.trapped && exchange.upstream_saw.is_none());
    assert_eq!(exchange.details.as_deref(), Some("wasm_fail_stream"));
    assert_eq!(host.traps(), 1);
    assert_eq!(host.exchange(&post(&["{}"]), &mut ok).reply.unwrap().status, 200);
    assert_eq!(host.config().shared_data.read("vm", b"key").unwrap().0, b"kept");
    // The stream that waited in the dead VM gets its 503 when its upstream answers.
    host.upstream_answers(waiting, ok(&post(&[])));
    let orphan = host.close(waiting).unwrap();
    assert_eq!((orphan.reply.unwrap().status, orphan.trapped, orphan.upstream_saw_end), (503, true, true));
    assert_eq!(host.traps(), 1);
}

#[test]
fn resets_and_timeouts_of_the_upstream_become_replies_that_pass_the_callbacks() {
    for (answer, status, flags) in [(UpstreamAnswer::Reset, 503, 0x40), (UpstreamAnswer::Timeout, 504, 0x4)] {
        let mut host = start(&gate(), settings());
        let exchange = host.exchange(&post(&["{}"]), &mut |_| answer.clone());
        let reply = exchange.reply.unwrap();
        assert_eq!(reply.status, status);
        assert_eq!(header(&reply, "x-gate"), Some(b"passed".as_slice()));
        assert_eq!(exchange.response_flags, flags);
        assert_eq!(exchange.properties[b"flags".as_slice()], flags.to_le_bytes());
        assert_eq!(exchange.properties[b"code found".as_slice()], [0], "the code is known to on_log");
    }
}

#[test]
fn a_sender_that_hangs_up_leaves_only_the_access_log() {
    let mut host = start(&gate(), settings());
    let exchange = host.exchange(&post(&["{}"]), &mut |_| UpstreamAnswer::SenderGone);
    assert!(exchange.reply.is_none() && exchange.upstream_saw_end);
    assert_eq!(said(&host), ["request headers", "request body", "request body", "log", "done", "delete"]);
    assert_eq!(exchange.properties[b"flags".as_slice()], 0x4000_u64.to_le_bytes());
    assert_eq!(exchange.properties[b"code found".as_slice()], [1], "response.code is not found");
}

#[test]
fn a_sender_that_hangs_up_after_half_a_body_leaves_nothing_upstream() {
    let mut host = start(&gate(), settings());
    let stream = host.open_headers(&post(&["half", "other half"]));
    host.deliver(stream, b"half", false);
    host.hang_up(stream);
    let exchange = host.close(stream).unwrap();
    assert!(exchange.reply.is_none() && exchange.upstream_saw.is_none());
}

#[test]
fn a_stream_that_waits_does_not_hinder_another() {
    let mut host = start(&gate(), settings());
    let waiting = host.open(&post(&["first"]));
    assert_eq!(host.exchange(&post(&["second"]), &mut ok).reply.unwrap().status, 200);
    assert!(matches!(host.progress(waiting), Progress::AtUpstream(_)));
    assert!(host.close(waiting).is_none(), "it is not over");
    host.upstream_answers(waiting, UpstreamAnswer::Reply(HttpReply { status: 418, ..HttpReply::default() }));
    assert_eq!(host.close(waiting).unwrap().reply.unwrap().status, 418);
}

#[test]
fn header_values_are_any_bytes() {
    let value: Vec<u8> = (0x80..=0xFF).collect();
    let mut host = start(&gate(), settings());
    let request = with_header(post(&["{}"]), "x-any", &value);
    let seen = host.exchange(&request, &mut ok).upstream_saw.unwrap();
    assert!(seen.headers.contains(&(b"x-copy".to_vec(), value)));
}

#[test]
fn a_filter_sees_the_first_of_equal_headers() {
    let mut host = start(&gate(), settings());
    let request = with_header(with_header(post(&["{}"]), "x-any", b"first"), "x-any", b"second");
    let seen = host.exchange(&request, &mut ok).upstream_saw.unwrap();
    assert!(seen.headers.contains(&(b"x-copy".to_vec(), b"first".to_vec())));
}

#[test]
fn some_headers_are_joined_and_others_stay_apart() {
    let mut host = start(&gate(), settings());
    let mut request = post(&["{}"]);
    for name in ["authorization", "x-forwarded-for", "cookie", "idempotency-key"] {
        request = with_header(with_header(request, name, b"a"), name, b"b");
    }
    let seen = host.exchange(&request, &mut ok).upstream_saw.unwrap().headers;
    let values = |name: &str| -> Vec<String> {
        let held = seen.iter().filter(|(held, _)| held == name.as_bytes());
        held.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    };
    assert_eq!(values("authorization"), ["a,b"]);
    assert_eq!(values("x-forwarded-for"), ["a,b"]);
    assert_eq!(values("cookie"), ["a", "b"]);
    assert_eq!(values("idempotency-key"), ["a", "b"]);
}

#[test]
fn the_senders_own_certificate_header_is_removed_unless_it_is_forwarded() {
    for (forward, expected) in [(false, None), (true, Some(b"URI=x".to_vec()))] {
        let mut host =
            start(&gate(), FilterConfig { forward_client_certificate_header: forward, ..settings() });
        let request = with_header(post(&["{}"]), "x-forwarded-client-cert", b"URI=x");
        let seen = host.exchange(&request, &mut ok).upstream_saw.unwrap().headers;
        let held = seen.into_iter().find(|(name, _)| name == b"x-forwarded-client-cert");
        assert_eq!(held.map(|(_, value)| value), expected);
    }
}

#[test]
fn within_the_reload_backoff_a_dead_vm_is_not_replaced() {
    let clock = Clock::fixed(1_000);
    let config = FilterConfig { clock: clock.clone(), reload_backoff_ms: 1_000, ..settings() };
    let mut host = start(&gate(), config);
    let mut status = |at_ms, body: &str| {
        clock.set_ms(at_ms);
        host.exchange(&post(&[body]), &mut ok).reply.unwrap().status
    };
    assert_eq!(status(2_500, "!"), 503);
    assert_eq!(status(2_500, "{}"), 200, "the dead VM was old");
    assert_eq!(status(2_600, "!"), 503);
    assert_eq!(status(2_700, "{}"), 503, "the dead VM was young");
    assert_eq!(status(3_500, "{}"), 200);
}

#[test]
fn an_empty_chunked_reply_is_one_body_callback() {
    let mut host = start(&gate(), settings());
    let headers = vec![(b"transfer-encoding".to_vec(), b"chunked".to_vec())];
    let reply = HttpReply { status: 200, headers, body: Vec::new() };
    host.exchange(&post(&["{}"]), &mut |_| UpstreamAnswer::Reply(reply.clone()));
    assert_eq!(said(&host).iter().filter(|line| *line == "response body").count(), 1);
}

#[test]
fn the_response_code_is_known_to_the_callbacks_of_a_local_reply() {
    let code = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $reply (i32.const 65) 'no') (i32.const 1))
      (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (if (i32.eqz (call $property 'PATH')) (then (call $log (call $pointer) (call $size))))
        (i32.const 0))"#;
    let mut host = start(&code.replace("PATH", "response\0code"), settings());
    host.exchange(&post(&[]), &mut ok);
    assert_eq!(said(&host), ["A\0\0\0\0\0\0\0"], "65, as a letter");
}

/// Holds the response's headers, and puts the answer's own body in the place of the upstream's.
const REWRITER: &str = r#"
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $header (i32.const 2) ':status'))
    ;; the first digit of the status: 3 is refused, as is a bodiless 2xx answered in its place
    (if (i32.eq (i32.load8_u (call $pointer)) (i32.const 0x33))
      (then (call $reply (i32.const 502) 'upstream_redirect_refused') (return (i32.const 1))))
    (if (local.get 2) (then (call $reply (i32.const 200) '{}') (return (i32.const 1))))
    (drop (call $replace (i32.const 2) 'content-length' '6'))
    (i32.const 1))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
    (call $log 'response body')
    (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
    (drop (call $set_buffer (i32.const 1) (i32.const 0) (local.get 1) 'signed'))
    (i32.const 0))
"#;

#[test]
fn a_reply_body_is_replaced_at_its_end() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut host = start(REWRITER, FilterConfig { protocol, ..settings() });
        let exchange = host.exchange(&post(&[]), &mut ok);
        let reply = exchange.reply.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"signed".as_slice()));
        assert!(!exchange.broken_framing);
    }
}

#[test]
fn a_local_reply_in_place_of_the_upstreams_passes_no_callback_again() {
    let mut host = start(REWRITER, settings());
    let mut answer = |status| {
        let reply = HttpReply { status, ..HttpReply::default() };
        let reply = host.exchange(&post(&[]), &mut |_| UpstreamAnswer::Reply(reply.clone())).reply.unwrap();
        (reply.status, String::from_utf8(reply.body).unwrap())
    };
    assert_eq!(answer(302), (502, "upstream_redirect_refused".to_owned()));
    assert_eq!(answer(204), (200, "{}".to_owned()));
    assert_eq!(said(&host), [""; 0]);
}

#[test]
fn a_content_length_that_does_not_fit_is_reported() {
    let mut host = start(&REWRITER.replace("'6'", "'7'"), settings());
    assert!(host.exchange(&post(&[]), &mut ok).broken_framing);
}

#[test]
fn properties_tell_the_sender_and_its_certificate() {
    let code = |path: &str| {
        format!(
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                 (if (call $property '{path}') (then (call $reply (i32.const 404) 'none') (return (i32.const 1))))
                 (call $reply (i32.const 200) (call $pointer) (call $size)) (i32.const 1))"#
        )
    };
    let uri = "spiffe://acme/postbacks";
    let digest = "ab".repeat(32);
    for (path, plain, mtls) in [
        ("source\0address", Some(b"203.0.113.7:4711".as_slice()), Some(b"203.0.113.7:4711".as_slice())),
        ("source\0port", Some(&4711_u64.to_le_bytes()), Some(&4711_u64.to_le_bytes())),
        ("connection\0mtls", Some(&[0]), Some(&[1])),
        ("connection\0uri_san_peer_certificate", None, Some(uri.as_bytes())),
        ("connection\0sha256_peer_certificate_digest", None, Some(digest.as_bytes())),
        ("request\0url_path", Some(b"/postback/acme"), Some(b"/postback/acme")),
        ("request\0headers\0content-type", Some(b"application/json"), Some(b"application/json")),
        ("plugin_root_id", Some(b"root"), Some(b"root")),
        ("xds\0cluster_name", None, None),
        ("response\0code", None, None),
    ] {
        let mut host = start(&code(path), settings());
        for (request, expected) in [(post(&[]), plain), (with_certificate(post(&[]), uri), mtls)] {
            let reply = host.exchange(&request, &mut ok).reply.unwrap();
            let found = (reply.status == 200).then_some(reply.body.as_slice());
            assert_eq!(found, expected, "{path:?}");
        }
    }
}

#[test]
fn a_call_out_holds_the_stream_until_it_is_answered() {
    let pairs = "\x03\0\0\0\x05\0\0\0\x01\0\0\0\x07\0\0\0\x04\0\0\0\x0a\0\0\0\x01\0\0\0:path\0/\0:method\0POST\0:authority\0r\0";
    let code = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (call $call 'redis' 'PAIRS' 'GET' (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 4104))
          (then (call $reply (i32.const 500) 'no cluster')))
        (i32.const 1))
      (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $body (i32.const 4)))
        (drop (call $become (i32.const 2)))
        (if (local.get 2)
          (then (drop (call $go_on (i32.const 0))))
          (else (call $reply (i32.const 503) 'store_unavailable'))))"#;
    let code = code.replace("PAIRS", pairs);
    let run = |outcome: CallOutcome| {
        let mut host = start(&code, FilterConfig { clusters: ["redis".to_owned()].into(), ..settings() });
        let stream = host.open(&post(&["{}"]));
        let call = host.calls().pop().expect("a call-out waits");
        assert_eq!(
            (call.cluster.as_str(), call.body.as_slice(), call.timeout_ms),
            ("redis", b"GET".as_slice(), 1000)
        );
        host.answer_call(call.token, outcome);
        host.upstream_answers(stream, ok(&post(&[])));
        host.close(stream).unwrap().reply.unwrap().status
    };
    assert_eq!(run(CallOutcome::Reply(upstream_ok())), 200);
    assert_eq!(run(CallOutcome::Reset), 503);
    let mut host = start(&code, settings());
    assert_eq!(host.exchange(&post(&[]), &mut ok).reply.unwrap().status, 500, "the cluster is not known");
}

#[test]
fn ten_thousand_requests_leave_the_memory_where_it_was() {
    let mut host = start(&gate(), settings());
    let memory = host.memory_bytes();
    for number in 0..10_000_u32 {
        let body = format!("{{\"n\":{number}}}");
        assert_eq!(host.exchange(&post(&[&body]), &mut ok).reply.unwrap().status, 200);
    }
    assert_eq!(host.memory_bytes(), memory);
}
