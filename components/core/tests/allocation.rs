//! An accepted request allocates its reply, and nothing else, once the memory that is kept between requests is warm.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that stops has failed")]

use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use countersign_core::click::{self, ClickKey};
use countersign_core::dedup::{MemoryTable, TableStore};
use countersign_core::drive::drive_now;
use countersign_core::gate::{Body, Delivery, Gate, Mode, Outcome, Peer, Request, Scratch, request_id};
use countersign_core::headers::Headers;
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::outcome::Reply;
use countersign_core::policy::{Policy, sandbox};
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::time::Timestamp;

/// 2025-10-21T15:12:31Z, the instant of the source's first deposit.
const NOW: Timestamp = Timestamp::from_ms(1_761_059_551_000);
/// The partner's quota is the largest, and it has a fallback window: its claims take every part of the table.
const DOCUMENT: &str = r#"{
    "version": 1, "environment": "sandbox",
    "dedup": { "slots": 64, "entries_per_slot": 4 },
    "partners": { "acme": {
        "signature": { "keys": [{ "id": "k1", "secret": { "name": "sandbox_acme_key" } }] },
        "rate": { "per_second": 100000, "burst": 1000000 },
        "events": { "deposit_success": { "fallback_window_seconds": 3600 } } } } }"#;
const SECRET: &[u8] = b"a signing key of this test, and of nothing else";
/// So many that every slot of the table has been written, and every ring is full.
const WARM_UP: u64 = 4_000;

struct World {
    gate: Gate,
    store: TableStore<MemoryTable>,
    scratch: Scratch,
}

/// The body of event `number`, and the value of its signature's header field.
fn event(number: u64) -> (String, String) {
    let click_key = ClickKey::new(Arc::from(sandbox::CLICK_KEY_ID), sandbox::CLICK_SECRET.as_bytes());
    let click_id = click::mint(&click_key, NOW, number.to_be_bytes());
    let body = format!(
        r#"{{ "event": "deposit_success", "event_id": "dep_{number}", "click_id": "{click_id}", "amount": 100.00, "currency": "USD", "ts_event": "2025-10-21T15:12:31Z" }}"#
    );
    let mut tape = Tape::default();
    let document = json::read(body.as_bytes(), &mut tape, ReadLimits::POSTBACK).unwrap();
    let key = SigningKey::new(Arc::from("k1"), SECRET, None, None);
    let place = Place::Header(Place::HEADER.into());
    let message = Message { id: "unused", at: NOW };
    let signed = sign(Scheme::Jcs, &place, &key, body.as_bytes(), &document, message).unwrap();
    let Signed::Headers(fields) = signed else { panic!("the scheme signs in a header field") };
    (body, fields.into_iter().next().unwrap().1)
}

/// Sends event `number`. What was allocated from the request to the hand-on, from there to the end, and the reply.
fn send(world: &mut World, number: u64) -> (AllocationInfo, AllocationInfo, Box<Reply>) {
    let (body, signature) = event(number);
    let headers: [(&[u8], &[u8]); 2] =
        [(b"content-type", b"application/json"), (b"x-signature", signature.as_bytes())];
    let mut claimed = None;
    let decided = measure(|| {
        let request = Request {
            id: request_id(Some(b"r-1"), || 0),
            method: b"POST",
            path: b"/postback/acme",
            headers: Headers(&headers),
            body: Body::Whole(body.as_bytes()),
            peer: Peer { address: Some([192, 0, 2, 1].into()), certificate: &[] },
            scratch: &mut world.scratch,
        };
        match drive_now(&mut world.store, world.gate.begin(request, NOW)) {
            Outcome::Forward(forward) => claimed = Some(forward),
            Outcome::Answer(answer) => panic!("{:?}", answer.reply),
        }
    });
    let claimed = claimed.unwrap();
    let mut reply = None;
    let settled = measure(|| {
        assert_eq!(claimed.headers().count(), 4);
        let settled = claimed.settle(Delivery::Acknowledged { replayed: false }, NOW);
        world.store.settle(&settled.settlement.unwrap()).unwrap();
        reply = Some(settled.reply);
    });
    (decided, settled, reply.unwrap())
}

#[test]
fn warm_request_allocates_its_reply_and_nothing_else() {
    let policy = Policy::compile(DOCUMENT, &mut |_| Some(SECRET.to_vec())).unwrap();
    let store = TableStore::new(MemoryTable::default(), &policy.scope, policy.dedup.size);
    let mut world = World { gate: Gate::new(policy, Mode::Forward), store, scratch: Scratch::default() };
    let (cold, _, _) = send(&mut world, 0);
    assert!(cold.count_total > 0, "the counter counts");
    for number in 1..WARM_UP {
        send(&mut world, number);
    }
    for number in WARM_UP..WARM_UP + 100 {
        let (decided, settled, reply) = send(&mut world, number);
        assert_eq!(reply.status, 200);
        assert_eq!(decided.count_total, 0, "checks, throttle and claim of a warm request allocate nothing");
        // Its box, its body, its list of fields, and each field's value: none is allocated twice, and nothing beside them.
        let parts = 3 + u64::try_from(reply.headers.len()).unwrap();
        assert_eq!((settled.count_total, settled.count_current), (parts, i64::try_from(parts).unwrap()));
        if number == WARM_UP {
            println!("an accepted request allocates {parts} times: the parts of its reply");
        }
    }
}
