//! Requests as bytes, rendered before the clock starts: each a distinct, signed deposit.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use countersign_core::click::{self, ClickKey};
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::policy::sandbox;
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::time::Timestamp;

/// The partner of the benches.
pub const PARTNER: &str = "bench";
/// The secret's name: a variable of the VM.
pub const SECRET_NAME: &str = "sandbox_bench_key";
/// Signs the events of a machine that measures itself.
pub const SECRET: &str = "countersign-bench-signing-key-is-published";

/// Makes events that were never sent before.
pub struct Sender {
    signing: SigningKey,
    click: ClickKey,
    tape: Tape,
    next: u64,
}

/// Many requests, one after the other.
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl FromIterator<Vec<u8>> for Batch {
    /// Of requests as they go over the wire.
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(requests: I) -> Self {
        let mut batch = Self { bytes: Vec::new(), ends: Vec::new() };
        for request in requests {
            batch.bytes.extend_from_slice(&request);
            batch.ends.push(batch.bytes.len());
        }
        batch
    }
}

impl Batch {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Request `index`, from the request line to the end of the body.
    #[must_use]
    pub fn request(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// The first event is number 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signing: SigningKey::new(Arc::from("bench"), SECRET.as_bytes(), None, None),
            click: ClickKey::new(Arc::from(sandbox::CLICK_KEY_ID), sandbox::CLICK_SECRET.as_bytes()),
            tape: Tape::default(),
            next: 0,
        }
    }

    /// The next `count` requests.
    ///
    /// # Errors
    /// The clock is before 1970; or the core does not take what it is given here.
    pub fn batch(&mut self, count: usize) -> Result<Batch> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = Timestamp::from_ms(u64::try_from(now.as_millis())?);
        let mut batch = Batch { bytes: Vec::with_capacity(count * 800), ends: Vec::with_capacity(count) };
        for _ in 0..count {
            self.render(now, &mut batch.bytes)?;
            batch.ends.push(batch.bytes.len());
        }
        Ok(batch)
    }

    /// As the source's §4.3: unsorted members, spaces, a signature of the canonical payload in a header field.
    fn render(&mut self, now: Timestamp, bytes: &mut Vec<u8>) -> Result<()> {
        self.next += 1;
        let number = self.next;
        let click_id = click::mint(&self.click, now, number.to_be_bytes());
        let body = format!(
            r#"{{ "event": "deposit_success", "event_id": "dep_{number:012}", "click_id": "{click_id}", "account_id": "u_{number:08}", "amount": 100.00, "currency": "USD", "is_ftd": true, "payment_method": "card", "ts_event": "{}" }}"#,
            now.write_rfc3339()
        );
        let Ok(document) = json::read(body.as_bytes(), &mut self.tape, ReadLimits::POSTBACK) else {
            bail!("an event of ours is not JSON: {body}");
        };
        let place = Place::Header(Place::HEADER.into());
        let message = Message { id: "unused", at: now };
        let signed = sign(Scheme::Jcs, &place, &self.signing, body.as_bytes(), &document, message);
        let Ok(Signed::Headers(fields)) = signed else { bail!("an event of ours cannot be signed: {body}") };
        let head = format!(
            "POST /postback/{PARTNER} HTTP/1.1\r\nhost: bench\r\nuser-agent: countersign-bench\r\naccept: application/json\r\ncontent-type: application/json\r\n"
        );
        bytes.extend_from_slice(head.as_bytes());
        for (name, value) in &fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        Ok(())
    }
}
