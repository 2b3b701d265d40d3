//! Requests from end to end, and stores that fail.

use countersign_host::embed::records::{End, Settlement};
use countersign_host::embed::{Delivery, EmbedConfig, EmbedHost, EmbedModule, StartError, UpstreamAnswer};
use countersign_host::fault::Fault;
use countersign_host::http::{HttpReply, PeerCertificate};

use crate::memory::{LEASE_MS, Memory, NOW, config, document, module, registration, signed, world, world_of};

pub(crate) fn field<'r>(reply: &'r HttpReply, name: &str) -> Option<&'r str> {
    let named = reply.headers.iter().find(|(field, _)| field == name.as_bytes());
    named.map(|(_, value)| std::str::from_utf8(value).unwrap())
}

fn ends(settlements: &[Settlement]) -> Vec<End> {
    settlements.iter().map(|settlement| settlement.end).collect()
}

#[test]
fn a_wrong_configuration_names_every_path_and_its_remedy() {
    let start = |config: EmbedConfig| match EmbedHost::start(module(), config, Box::new(Memory::default())) {
        Err(StartError::Configuration(mistakes)) => mistakes,
        Err(StartError::Component(error)) => panic!("the component failed: {error:#}"),
        Ok(_) => panic!("the gate must not start"),
    };
    let wrong = document(None).replace("\"per_second\": 10", "\"per_second\": 0").replace("1024", "7");
    let mistakes = start(config(wrong));
    let paths: Vec<_> = mistakes.iter().map(|mistake| &*mistake.path).collect();
    assert_eq!(paths, ["limits.body_bytes_max", "partners.acme.rate.per_second"]);
    assert!(mistakes.iter().all(|mistake| !mistake.problem.is_empty() && !mistake.remedy.is_empty()));

    let mistakes = start(EmbedConfig { secrets: [].into(), ..config(document(None)) });
    assert_eq!(mistakes[0].path, "partners.acme.signature.keys[0].secret.name");
    assert_eq!(start(config("not JSON".to_owned()))[0].path, "");
}

#[test]
fn what_is_no_component_does_not_load() {
    assert!(EmbedModule::load(b"not wasm").is_err());
    assert!(EmbedModule::load(&wat::parse_str("(module)").unwrap()).is_err());
    assert!(EmbedModule::load(&wat::parse_str("(component)").unwrap()).is_err());
}

#[test]
fn an_event_is_claimed_handed_on_committed_and_then_a_duplicate() {
    let mut world = world();
    let request = registration("reg-1", "click-1");
    let claimed = world.claim(&request, NOW);
    assert_eq!(claimed.lease_until_ms, NOW + LEASE_MS);
    assert_eq!(claimed.facts.event_id.as_deref(), Some("reg-1"));
    let names: Vec<_> = claimed.headers.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect();
    assert_eq!(
        names,
        [
            "x-countersign-partner",
            "x-countersign-event-id",
            "x-countersign-receipt",
            "x-countersign-attestation"
        ]
    );
    let receipt = String::from_utf8(claimed.headers[2].1.clone()).unwrap();

    let in_flight = world.answer(&request, NOW + 1_000);
    assert_eq!((in_flight.http.status, &*in_flight.facts.code), (503, "in_flight"));
    assert_eq!(field(&in_flight.http, "retry-after"), Some("29"));

    let reply = world.host.settle(claimed, &answered(200), NOW + 2_000).unwrap();
    assert_eq!((reply.http.status, &*reply.facts.code), (200, "accepted"));
    assert_eq!(
        String::from_utf8(reply.http.body.clone()).unwrap(),
        format!(r#"{{"status":"ok","idempotent":false,"receipt":"{receipt}"}}"#)
    );
    assert_eq!(field(&reply.http, "content-length"), Some(&*reply.http.body.len().to_string()));
    assert_eq!(field(&reply.http, "ratelimit"), Some(r#""partner";r=2;t=1"#));
    assert_eq!(reply.facts.partner.as_deref(), Some("acme"));
    assert_eq!(reply.facts.key_id.as_deref(), Some("k1"));

    let repeat = world.answer(&request, NOW + 3_000);
    assert_eq!((repeat.http.status, &*repeat.facts.code), (200, "duplicate"));
    assert_eq!(field(&repeat.http, "idempotent-replayed"), Some("true"));
    let reused = world.answer(&registration("reg-1", "click-2"), NOW + 4_000);
    assert_eq!((reused.http.status, &*reused.facts.code), (422, "event_id_reused"));

    let kept = world.memory.lock();
    let (claim, settlement) = (&kept.claims[0], &kept.settlements[0]);
    assert_eq!((claim.key.fingerprint.len(), claim.payload_hash.len(), claim.lease_ms), (16, 32, LEASE_MS));
    assert_eq!((&*claim.event, &*claim.click_id), ("registration", "click-1"));
    assert_eq!((claim.source.as_deref(), &*claim.receipt), (Some("203.0.113.7"), &*receipt));
    assert_eq!(claim.fallback.as_ref().map(|fallback| fallback.window_ms), Some(60_000));
    assert_eq!(settlement.key.fingerprint, claim.key.fingerprint);
    assert_eq!(settlement.payload_hash, claim.payload_hash);
    assert_eq!(ends(&kept.settlements), [End::Commit]);
}

/// An upstream that answers this, and says no more.
fn answered(status: u16) -> Delivery {
    Delivery::Answered(UpstreamAnswer { status, replayed: false, duplicate_of: None, not_accepted: None })
}

#[test]
fn a_known_failure_releases_and_an_unknown_one_leaves_the_lease() {
    let mut world = world();
    let cases = [
        (Delivery::NotDelivered, 503, "upstream_unavailable", true),
        (answered(500), 503, "upstream_unavailable", true),
        (answered(422), 400, "upstream_refused", true),
        (answered(302), 502, "upstream_redirect_refused", false),
        (answered(503), 503, "upstream_unavailable", false),
        (Delivery::Unknown, 503, "upstream_unavailable", false),
    ];
    for (number, (delivery, status, code, settled)) in cases.into_iter().enumerate() {
        // After a release the same event is claimed anew; what nobody knows of stays in flight.
        let event_id = format!("reg-{number}");
        let claimed = world.claim(&registration(&event_id, &event_id), NOW);
        let before = world.memory.lock().settlements.len();
        let reply = world.host.settle(claimed, &delivery, NOW + 10).unwrap();
        assert_eq!((reply.http.status, &*reply.facts.code), (status, code));
        let kept = world.memory.lock();
        assert_eq!(kept.settlements.len(), before + usize::from(settled), "{code}");
    }
    assert_eq!(ends(&world.memory.lock().settlements), [End::Release; 3]);
    let unknown = registration("reg-5", "reg-5");
    assert_eq!(world.answer(&unknown, NOW + 20).facts.code, "in_flight");

    let claimed = world.claim(&unknown, NOW + LEASE_MS);
    world.host.let_go(claimed).unwrap();
    assert_eq!(world.answer(&unknown, NOW + LEASE_MS).facts.code, "in_flight");
}

#[test]
fn a_body_over_the_limit_is_refused_and_one_at_it_is_read() {
    let mut world = world();
    let mut request = registration("reg-3", "click-3");
    request.body.push(vec![b' '; 1024 - request.body[0].len()]);
    let claimed = world.claim(&request, NOW);
    assert_eq!(claimed.facts.event_id.as_deref(), Some("reg-3"));
    request.body.push(vec![b' ']);
    assert_eq!(world.answer(&request, NOW).facts.code, "payload_too_large");
}

#[test]
fn a_forgery_is_counted_against_its_source_until_the_source_is_limited() {
    let mut world = world();
    let forged = signed("{}", "some other key, which is 32 bytes long too");
    let source = u64::from_be_bytes([0, 0, 0, 0, 203, 0, 113, 7]);
    let refused = world.answer(&forged, NOW);
    assert_eq!((refused.http.status, &*refused.facts.code), (403, "signature_invalid"));
    assert_eq!(world.memory.lock().refusals.get(&source), Some(&1));
    world.memory.lock().refusals.insert(source, u32::MAX);
    let limited = world.answer(&registration("reg-4", "click-4"), NOW);
    assert_eq!((limited.http.status, &*limited.facts.code), (429, "source_limited"));
    assert_eq!(field(&limited.http, "retry-after"), Some("2"));
    assert!(world.memory.lock().claims.is_empty());
}

#[test]
fn a_store_that_fails_is_answered_503_and_the_next_request_is_not() {
    let mut world = world();
    for call in ["store.throttle", "store.claim"] {
        for fault in [Fault::Error, Fault::Conflict, Fault::Garbage(vec![0xff; 300])] {
            world.faults.plan(call, 0, fault.clone());
            let reply = world.answer(&registration("reg-5", "click-5"), NOW);
            assert_eq!(
                (reply.http.status, &*reply.facts.code),
                (503, "store_unavailable"),
                "{call} {fault:?}"
            );
            assert_eq!(field(&reply.http, "retry-after"), Some("5"));
        }
    }
    let claimed = world.claim(&registration("reg-5", "click-5"), NOW);
    world.faults.plan("store.settle", 0, Fault::Error);
    let reply = world.host.settle(claimed, &answered(200), NOW).unwrap();
    assert_eq!(reply.http.status, 200, "the hand-on is a fact, whether or not the store hears of it");
    assert!(world.memory.lock().settlements.is_empty());

    world.faults.plan("store.claim", 0, Fault::ErrorAfterEffect);
    assert_eq!(world.answer(&registration("reg-6", "click-6"), NOW).facts.code, "store_unavailable");
    let retry = world.answer(&registration("reg-6", "click-6"), NOW + 5_000);
    assert_eq!(retry.facts.code, "in_flight", "the claim was made; its lease serves the sender's retry");
    let _served = world.claim(&registration("reg-6", "click-6"), NOW + LEASE_MS);
}

#[test]
fn a_certificate_proves_itself_by_its_whole_digest_only() {
    let digest = "ab".repeat(32);
    let mut world = world_of(document(Some(&digest)));
    let mut request = registration("reg-7", "click-7");
    for sha256_hex in ["", "ab", &digest[2..], &"ab".repeat(33), &"cd".repeat(32), "no digits"] {
        request.certificate =
            Some(PeerCertificate { uri_sans: Vec::new(), sha256_hex: sha256_hex.to_owned() });
        assert_eq!(world.answer(&request, NOW).facts.code, "certificate_not_allowed", "{sha256_hex:?}");
    }
    request.certificate = Some(PeerCertificate { uri_sans: Vec::new(), sha256_hex: digest });
    assert_eq!(world.claim(&request, NOW).facts.partner.as_deref(), Some("acme"));
}
