//! A request while it is written: its parts are put together, signed and given their token last, so that any part can be changed
//! without a thought for the others.

use countersign_core::json::{self, Tape};
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::time::Timestamp;

use super::keys::{self, T0};
use super::token::TokenDraft;
use crate::vector::{Request, Upstream, text};

/// A request while it is written.
#[derive(Clone, Debug)]
pub struct Draft {
    at: u64,
    method: &'static str,
    path: String,
    peer: String,
    fields: Vec<(String, Vec<u8>)>,
    members: Vec<(String, String)>,
    /// Stands for the members, where they cannot say it.
    body: Option<Vec<u8>>,
    /// Follows the body, unsigned with `jcs`.
    tail: String,
    signer: Option<Signer>,
    token: Option<TokenDraft>,
    /// What is changed in the body once it is signed.
    changed: Option<(String, String)>,
    chunk_bytes: Option<usize>,
    upstream: Upstream,
}

/// How a request is signed.
#[derive(Clone, Debug)]
pub struct Signer {
    scheme: Scheme,
    place: Place,
    secret: Vec<u8>,
    /// `webhook-timestamp` less the request's clock.
    sent_ms: i64,
    /// `webhook-id`.
    id: String,
}

impl Signer {
    /// Scheme `jcs` in the usual header, with the key that a host makes of the secret of that name.
    #[must_use]
    pub fn jcs(secret: &str) -> Self {
        Self::of(Scheme::Jcs, Place::Header(Place::HEADER.into()), keys::key(secret))
    }

    /// Any scheme and place.
    #[must_use]
    pub fn of(scheme: Scheme, place: Place, secret: Vec<u8>) -> Self {
        Self { scheme, place, secret, sent_ms: 0, id: "msg_1".to_owned() }
    }

    /// A `webhook-timestamp` that is so many milliseconds after the request's clock.
    #[must_use]
    pub fn sent_ms(self, sent_ms: i64) -> Self {
        Self { sent_ms, ..self }
    }

    /// Another `webhook-id`.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }
}

/// Who the sender is on the way through a proxy that is trusted, if nothing else is said.
pub const CLIENT: &str = "203.0.113.7";
/// A trusted proxy's address.
pub const PROXY: &str = "127.0.0.1";
/// The address of a peer that nobody trusts.
pub const STRANGER: &str = "127.200.0.1";

impl Draft {
    /// A good registration of a partner that signs with `jcs` in a header and needs no token: `/postback/{partner}`, sent by
    /// [`CLIENT`] through [`PROXY`], signed with the secret `{partner}_key`.
    #[must_use]
    pub fn of(partner: &str) -> Self {
        let member = |name: &str, value: &str| (name.to_owned(), json_string(value));
        Self {
            at: T0,
            method: "POST",
            path: format!("/postback/{partner}"),
            peer: PROXY.to_owned(),
            fields: vec![
                ("content-type".to_owned(), b"application/json".to_vec()),
                ("x-forwarded-for".to_owned(), CLIENT.as_bytes().to_vec()),
            ],
            members: vec![
                member("event", "registration"),
                member("event_id", "e-1"),
                member("click_id", &keys::click(1)),
                member("ts_event", "2026-10-21T15:12:30Z"),
            ],
            body: None,
            tail: String::new(),
            signer: Some(Signer::jcs(&format!("{partner}_key"))),
            token: None,
            changed: None,
            chunk_bytes: None,
            upstream: Upstream::Ok,
        }
    }

    /// Sent this much later than [`T0`].
    #[must_use]
    pub fn later_ms(self, milliseconds: u64) -> Self {
        Self { at: T0 + milliseconds, ..self }
    }

    /// Sent this much earlier than [`T0`].
    #[must_use]
    pub fn earlier_ms(self, milliseconds: u64) -> Self {
        Self { at: T0 - milliseconds, ..self }
    }

    /// Another method.
    #[must_use]
    pub fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// Another path.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Another peer.
    #[must_use]
    pub fn peer(self, peer: &str) -> Self {
        Self { peer: peer.to_owned(), ..self }
    }

    /// The peer and what it says of the sender, as another request has them.
    #[must_use]
    pub fn from_where(mut self, other: &Self) -> Self {
        self.peer.clone_from(&other.peer);
        self.fields.retain(|(name, _)| name != "x-forwarded-for");
        self.fields.extend(other.fields.iter().filter(|(name, _)| name == "x-forwarded-for").cloned());
        self
    }

    /// A header field in place of all of its name.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).also(name, value)
    }

    /// One header field more.
    #[must_use]
    pub fn also(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// No header field of that name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    /// Sent by this address through the trusted proxy.
    #[must_use]
    pub fn client(self, addresses: &str) -> Self {
        self.header("x-forwarded-for", addresses)
    }

    /// A member, as JSON, in place of one of its name or behind all others.
    #[must_use]
    pub fn member(mut self, name: &str, json: &str) -> Self {
        match self.members.iter_mut().find(|(member, _)| member == name) {
            Some((_, value)) => json.clone_into(value),
            None => self.members.push((name.to_owned(), json.to_owned())),
        }
        self
    }

    /// A member that is a string.
    #[must_use]
    pub fn string(self, name: &str, value: &str) -> Self {
        self.member(name, &json_string(value))
    }

    /// No member of that name.
    #[must_use]
    pub fn less(mut self, name: &str) -> Self {
        self.members.retain(|(member, _)| member != name);
        self
    }

    /// Another event id.
    #[must_use]
    pub fn id(self, event_id: &str) -> Self {
        self.string("event_id", event_id)
    }

    /// Of the `number`th click.
    #[must_use]
    pub fn click(self, number: u64) -> Self {
        self.string("click_id", &keys::click(number))
    }

    /// A deposit of this amount, which is a JSON value.
    #[must_use]
    pub fn deposit(self, amount: &str, currency: &str) -> Self {
        self.string("event", "deposit_success").member("amount", amount).string("currency", currency)
    }

    /// This body in place of the members.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: Some(body.as_ref().to_vec()), ..self }
    }

    /// The body as it would be sent, with the members in reverse order and white space around everything.
    #[must_use]
    pub fn rewritten(self) -> Self {
        let members: Vec<_> =
            self.members.iter().rev().map(|(name, value)| format!(" \"{name}\" :\t{value} ")).collect();
        let body = format!("\r\n{{{}}} \n", members.join(",\n"));
        self.body(body)
    }

    /// This behind the body; not signed.
    #[must_use]
    pub fn tail(self, tail: &str) -> Self {
        Self { tail: tail.to_owned(), ..self }
    }

    /// White space behind the body until it has this many bytes.
    #[must_use]
    pub fn padded_to(self, bytes: usize) -> Self {
        let missing = bytes - self.signed().1.len();
        self.tail(&" ".repeat(missing))
    }

    /// Sent in chunks, without a declared length.
    #[must_use]
    pub fn chunked(self, bytes: usize) -> Self {
        Self { chunk_bytes: Some(bytes), ..self }
    }

    /// Signed otherwise.
    #[must_use]
    pub fn signed_by(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Not signed.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { signer: None, ..self }
    }

    /// With a signature of the right form and nothing else.
    #[must_use]
    pub fn forged(self) -> Self {
        self.unsigned().header(Place::HEADER, format!("sha256={}", "0".repeat(64)))
    }

    /// Changed after it was signed.
    #[must_use]
    pub fn changed(self, from: &str, to: &str) -> Self {
        Self { changed: Some((from.to_owned(), to.to_owned())), ..self }
    }

    /// With a token.
    #[must_use]
    pub fn token(self, token: TokenDraft) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Without a token.
    #[must_use]
    pub fn no_token(self) -> Self {
        Self { token: None, ..self }
    }

    /// With a change to the token, if there is one.
    #[must_use]
    pub fn map_token(mut self, change: impl FnOnce(TokenDraft) -> TokenDraft) -> Self {
        self.token = self.token.map(change);
        self
    }

    /// What the upstream does, should the request arrive.
    #[must_use]
    pub fn upstream(self, upstream: Upstream) -> Self {
        Self { upstream, ..self }
    }

    /// What the upstream answers, without header fields of its own.
    #[must_use]
    pub fn answered(self, status: u16, body: &str) -> Self {
        self.upstream(Upstream::Reply { status, headers: Vec::new(), body: body.to_owned() })
    }

    /// The value of the header field that the signature is, where it is one.
    #[must_use]
    pub fn signature_header(&self) -> String {
        let (fields, _) = self.signed();
        fields
            .into_iter()
            .next()
            .map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
            .unwrap_or_default()
    }

    /// The header fields that the signature is, and the body with it.
    fn signed(&self) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
        let unsigned = self.body.clone().unwrap_or_else(|| object(&self.members).into_bytes());
        let Some(signer) = &self.signer else { return (Vec::new(), unsigned) };
        let key = SigningKey::new("".into(), &signer.secret, None, None);
        let mut tape = Tape::default();
        let Ok(document) = json::read(&unsigned, &mut tape, signer.scheme.read_limits()) else {
            // What is no JSON cannot be canonicalised; the refusal comes before the signature is looked at.
            let (name, value) = (Place::HEADER.to_owned(), format!("sha256={}", "0".repeat(64)));
            return (vec![(name, value.into_bytes())], unsigned);
        };
        let at = Timestamp::from_ms(self.at.saturating_add_signed(signer.sent_ms));
        let message = Message { id: &signer.id, at };
        match sign(signer.scheme, &signer.place, &key, &unsigned, &document, message) {
            Ok(Signed::Headers(fields)) => {
                let fields = fields.into_iter().map(|(name, value)| (name.into(), value.into_bytes()));
                (fields.collect(), unsigned)
            }
            Ok(Signed::Member(name, value)) => {
                let mut members = self.members.clone();
                members.push((name.into(), json_string(&value)));
                (Vec::new(), object(&members).into_bytes())
            }
            Err(_) => (Vec::new(), unsigned),
        }
    }

    /// The finished request: its clock, itself, and what the upstream does with it.
    #[must_use]
    pub fn finish(&self) -> (u64, Request, Upstream) {
        let (signature, mut body) = self.signed();
        if let Some((from, to)) = &self.changed {
            body = String::from_utf8_lossy(&body).replace(from, to).into_bytes();
        }
        body.extend_from_slice(self.tail.as_bytes());
        let mut fields = self.fields.clone();
        if let Some(token) = &self.token {
            fields.push(("authorization".to_owned(), format!("Bearer {}", token.mint(self.at)).into_bytes()));
        }
        // A field that the author wrote stands in place of the signature's own.
        let own: Vec<_> =
            signature.into_iter().filter(|(name, _)| !fields.iter().any(|(f, _)| f == name)).collect();
        fields.extend(own);
        let request = Request {
            method: self.method.to_owned(),
            path: self.path.clone(),
            peer: self.peer.clone(),
            headers: fields.into_iter().map(|(name, value)| (name, text(&value))).collect(),
            body: Some(text(&body)),
            chunk_bytes: self.chunk_bytes,
        };
        (self.at, request, self.upstream.clone())
    }
}

/// A text as JSON.
fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", json_string(name))).collect();
    format!("{{{}}}", members.join(","))
}
