//! What a partner sends: events of the sandbox, signed as its partner signs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::click::{self, ClickKey};
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::policy::sandbox;
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::time::Timestamp;

/// A request that a test may bend before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Postback {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Name and value, without host and without the body's length.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// The machine's clock.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_ms(u64::try_from(now.as_millis()).unwrap())
}

/// A deposit of the sandbox's partner, now.
pub(crate) fn deposit(event_id: &str) -> Postback {
    deposit_at(event_id, now())
}

/// A deposit of the sandbox's partner at a time of its own.
pub(crate) fn deposit_at(event_id: &str, at: Timestamp) -> Postback {
    let key = ClickKey::new(Arc::from(sandbox::CLICK_KEY_ID), sandbox::CLICK_SECRET.as_bytes());
    // A click of its own for each event: what is spelled alike is one person's.
    let mut random = [7; 8];
    for (index, byte) in event_id.bytes().enumerate() {
        random[index % 8] ^= byte.rotate_left(u32::try_from(index).unwrap());
    }
    let click_id = click::mint(&key, at, random);
    let body = format!(
        r#"{{"event":"deposit_success","event_id":"{event_id}","click_id":"{click_id}","ts_event":"{}","amount":100.5,"currency":"EUR"}}"#,
        at.write_rfc3339()
    );
    Postback {
        method: "POST",
        path: "/postback/sandbox".to_owned(),
        headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
        body: body.into_bytes(),
    }
    .signed(sandbox::SIGNING_SECRET)
}

impl Postback {
    /// Signs the body as it is now, in place of any signature.
    pub(crate) fn signed(mut self, secret: &str) -> Self {
        let key = SigningKey::new(Arc::from("key"), secret.as_bytes(), None, None);
        let mut tape = Tape::default();
        let document = json::read(&self.body, &mut tape, ReadLimits::POSTBACK).unwrap();
        let message = Message { id: "unused", at: now() };
        let place = Place::Header(Place::HEADER.into());
        let signed = sign(Scheme::Jcs, &place, &key, &self.body, &document, message).unwrap();
        let Signed::Headers(headers) = signed else { panic!("the scheme signs in a header") };
        self.headers.retain(|(name, _)| name != Place::HEADER);
        self.headers.extend(headers.into_iter().map(|(name, value)| (name.into(), value.into_bytes())));
        self
    }

    /// Adds a header field.
    pub(crate) fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Sends it to another path.
    pub(crate) fn to(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The signature.
    pub(crate) fn signature(&self) -> String {
        let (_, value) = self.headers.iter().find(|(name, _)| name == Place::HEADER).unwrap();
        String::from_utf8(value.clone()).unwrap()
    }

    /// Method, path and header fields, with one more line for the length, without the empty line.
    pub(crate) fn head(&self, length: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: gate.test\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(length.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }

    /// The whole request with `content-length`.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(&format!("content-length: {}", self.body.len()));
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The pieces of the same request in chunks: the head, each chunk, the end.
    pub(crate) fn chunks(&self, size: usize) -> Vec<Vec<u8>> {
        let mut pieces = vec![self.head("transfer-encoding: chunked")];
        for chunk in self.body.chunks(size) {
            let mut piece = format!("{:x}\r\n", chunk.len()).into_bytes();
            piece.extend_from_slice(chunk);
            piece.extend_from_slice(b"\r\n");
            pieces.push(piece);
        }
        pieces.push(b"0\r\n\r\n".to_vec());
        pieces
    }
}
