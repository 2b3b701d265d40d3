//! The core alone as a wasm module without a host: it imports nothing, and still decides about a postback.
//!
//! The caller puts in bytes one by one, plays, and takes the reply's body out byte by byte: no pointers, no memory to share.

use std::cell::RefCell;

use countersign_core::dedup::{MemoryTable, TableStore};
use countersign_core::drive::drive_now;
use countersign_core::gate::{Body, Delivery, Gate, Mode, Outcome, Peer, Request, Scratch, request_id};
use countersign_core::headers::Headers;
use countersign_core::outcome::Reply;
use countersign_core::policy::Policy;
use countersign_core::time::Timestamp;

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Appends one byte to the input: the configuration, the method, the path, the body, and then names and values of header
/// fields, with a NUL between any two.
#[unsafe(no_mangle)]
pub extern "C" fn probe_put(byte: u32) {
    INPUT.with_borrow_mut(|input| input.extend(u8::try_from(byte)));
}

/// Plays the input at `now_ms`, on an empty table and with an upstream that acknowledges; the status of the reply, or 0 where
/// the input is no request or its configuration is wrong. Secrets are the text of their own names.
#[unsafe(no_mangle)]
pub extern "C" fn probe_play(now_ms: u64) -> u32 {
    let input = INPUT.with_borrow_mut(core::mem::take);
    let Some(reply) = play(&input, Timestamp::from_ms(now_ms)) else { return 0 };
    OUTPUT.set(reply.body);
    reply.status.into()
}

/// The byte of the reply's body at that place; 256 beyond its end.
#[unsafe(no_mangle)]
pub extern "C" fn probe_take(at: u32) -> u32 {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    OUTPUT.with_borrow(|body| body.get(at).map_or(256, |byte| u32::from(*byte)))
}

fn play(input: &[u8], now: Timestamp) -> Option<Reply> {
    let mut parts = input.split(|byte| *byte == 0);
    let document = core::str::from_utf8(parts.next()?).ok()?;
    let (method, path, body) = (parts.next()?, parts.next()?, parts.next()?);
    let mut headers = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        headers.push((name, value));
    }
    let policy = Policy::compile(document, &mut |name| Some(name.as_bytes().to_vec())).ok()?;
    let mut store = TableStore::new(MemoryTable::default(), &policy.scope, policy.dedup.size);
    let gate = Gate::new(policy, Mode::Forward);
    let mut scratch = Scratch::default();
    let request = Request {
        id: request_id(None, || 0),
        method,
        path,
        headers: Headers(&headers),
        body: Body::Whole(body),
        peer: Peer::default(),
        scratch: &mut scratch,
    };
    match drive_now(&mut store, gate.begin(request, now)) {
        Outcome::Answer(answer) => Some(*answer.reply),
        Outcome::Forward(claimed) => {
            let settled = claimed.settle(Delivery::Acknowledged { replayed: false }, now);
            store.settle(settled.settlement.as_ref()?).ok()?;
            Some(*settled.reply)
        }
    }
}
