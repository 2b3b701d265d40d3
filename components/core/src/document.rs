//! The configuration document, as an operator writes it (`docs/config.md`), and the reader that names every mistake.
//!
//! The structs say what may be written: a member that is an `Option` may be left out, every other is required, and a
//! [`Whole`] carries its range. The JSON Schema (`schemas/countersign.schema.json`) is generated from them. What the members
//! mean together is checked by [`crate::policy`].

mod error;
mod read;
mod unread;
mod whole;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use error::nearest;
pub use error::{ConfigError, ConfigErrors, Path};
pub use read::{DOCUMENT_BYTES_MAX, OTHERS, read, read_leniently};
pub use unread::Unread;
pub use whole::Whole;

/// The configuration of Countersign: one document, the same for every host.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(title = "Countersign configuration"))]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Where the JSON Schema is, for editors. Not read.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// Version of this format: 1.
    pub version: Whole<1, 1>,
    /// `production` or `sandbox`.
    pub environment: Environment,
    /// Where the codes of answers are documented: the `type` of a refusal is this URL, `#` and the code. Absolute, `https:` (in
    /// the sandbox `http:` too), without a `#`, at most 512 bytes. Default: `https://countersign.example/docs/rejects.md`.
    pub documentation_url: Option<String>,
    /// Name of what this document configures: 1 to 64 of `a-z`, `0-9`, `_` and `-`. With the environment it is the scope of
    /// everything that is stored: documents of other scopes share nothing. Default: `default`.
    pub name: Option<String>,
    /// Limits on requests, before anything is known of their sender.
    pub limits: Option<RequestLimits>,
    /// Proxies whose `x-forwarded-for` and `x-forwarded-client-cert` are believed: addresses or CIDR networks, at most 64.
    /// Default: none.
    pub trusted_proxies: Option<Vec<String>>,
    /// How claims are kept (source §8).
    pub dedup: Option<Dedup>,
    /// What stands behind the gate.
    pub upstream: Option<Upstream>,
    /// How a `click_id` proves that it is ours (source §3). Required in production.
    pub click_id: Option<ClickId>,
    /// The keys that sign receipts. Required in production.
    pub receipt: Option<Keys>,
    /// The hop keys, which prove to the upstream that a request came through the gate. Required in production.
    pub attestation: Option<Keys>,
    /// Where clicks are sent on to (source §2). The tracker's reader has its members.
    pub campaigns: Option<Unread>,
    /// How clicks are redirected and logged (source §2). The tracker's reader has its members.
    pub redirect: Option<Unread>,
    /// How events become money (source §7, §8). The tracker's reader has its members.
    pub ledger: Option<Unread>,
    /// What personal data is kept, and for how long (source §9). The tracker's reader has its members.
    pub privacy: Option<Unread>,
    /// Who may call `/internal/…`. The tracker's reader has its members.
    pub admin: Option<Unread>,
    /// Who sends postbacks, by name: 1 to 64 of `a-z`, `0-9`, `_` and `-`; at most 1,000. In the sandbox the partner
    /// `sandbox` exists without being written here.
    pub partners: Option<BTreeMap<String, Partner>>,
}

/// Whether real money moves.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real events. Every secret has at least 32 bytes, and nothing published is believed.
    Production,
    /// Tests. Has the well-known partner `sandbox` with a published key; errors may show the string-to-sign.
    Sandbox,
}

/// The name of a document that writes none.
pub const DEFAULT_NAME: &str = "default";

impl Environment {
    /// As the document writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Limits on requests, before anything is known of their sender.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestLimits {
    /// Longest body in bytes. Default: 65536.
    pub body_bytes_max: Option<Whole<1_024, 1_048_576>>,
    /// Refusals per minute that one source (an IPv4 address, or an IPv6 /64) may collect before it is answered 429; as many
    /// at once. Default: 600.
    pub source_requests_per_minute: Option<Whole<1, 60_000>>,
    /// How far `ts_event` may lie ahead of this clock, in seconds. Default: 300.
    pub ts_event_future_seconds_max: Option<Whole<0, 86_400>>,
}

/// How claims are kept (source §8).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// Slots of the claim table, for hosts that keep claims in memory. Default: 65536.
    pub slots: Option<Whole<64, 1_048_576>>,
    /// Events that one slot remembers. Default: 8.
    pub entries_per_slot: Option<Whole<1, 32>>,
    /// Days for which a committed event is remembered. Default: 30.
    pub retention_days: Option<Whole<1, 400>>,
    /// Seconds for which a claim waits for its hand-on to be settled; longer than the upstream's timeout. Default: 30.
    pub lease_seconds: Option<Whole<1, 300>>,
}

/// What stands behind the gate.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Whether it takes an event that it has already for a repeat, however old: then the gate need not refuse what is older than
    /// its own memory. Default: `true` in the sandbox, `false` in production.
    pub idempotent: Option<bool>,
}

/// A secret: by the name under which the host resolves it, or sealed. It never stands in the document in the clear.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// 1 to 64 of `a-z`, `0-9` and single `_`; first a letter, last no `_`. In the sandbox it begins with `sandbox_`, in
    /// production never.
    pub name: String,
    /// The secret itself, encrypted: `cs-seal1_…`, as `countersign seal` prints it. Default: the host resolves the name.
    pub sealed: Option<String>,
}

/// The keys of one use: one `secret`, which is always valid, or several `keys` that overlap.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The only key. Its id is the secret's name.
    pub secret: Option<Secret>,
    /// The keys, in place of `secret`: 1 to 8.
    pub keys: Option<Vec<Key>>,
}

/// A key, and the time in which it is valid. Rotation is an overlap of two keys.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// 1 to 64 letters, digits, `.`, `_` and `-`; unique in its list.
    pub id: String,
    /// The secret.
    pub secret: Secret,
    /// First instant at which the key is valid, `2026-01-01T00:00:00Z`. Default: always.
    pub not_before: Option<String>,
    /// First instant at which the key is no longer valid. Default: never.
    pub not_after: Option<String>,
}

/// How a `click_id` proves that it is ours (source §3).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClickId {
    /// Keys that mint it, one after the other; each recognises what it minted as long as it is listed. At most 8. May be left
    /// out where `verify` is `off`.
    pub keys: Option<Vec<Key>>,
    /// What becomes of an event whose `click_id` does not prove itself. Default: `require`.
    pub verify: Option<ClickVerify>,
}

/// What becomes of an event whose `click_id` does not prove itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClickVerify {
    /// It is refused: every click id is one of ours.
    Require,
    /// It is refused if it claims to be ours (`clk_…`, sealed `cls_…`); another tracker's passes.
    WhenOurs,
    /// It passes: another tracker minted all of them. Unreplaced macros are still refused.
    Off,
}

/// Who sends postbacks, how they prove it, and what they may send.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Partner {
    /// How the payloads are signed (source §5).
    pub signature: Signature,
    /// The tokens that must be presented (source §5). Default: none, and the path names the partner.
    pub token: Option<Token>,
    /// Where requests must come from (source §5). Default: from anywhere.
    pub source: Option<Source>,
    /// The quota of verified events (source §5).
    pub rate: Option<Rate>,
    /// How old an event may be that this gate does not know, in seconds; at most the retention where the upstream is not
    /// idempotent. An inbox takes every age. Default: the retention; with an idempotent upstream any age.
    pub ts_event_past_seconds_max: Option<TsEventPast>,
    /// The answer to an event that is being handed on at this moment: 503 or 409. Default: 503, which every sender retries.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [409, 503, null])))]
    pub in_flight_status: Option<Whole<409, 503>>,
    /// Rules by event type (source §4, §8): for the built-in types, and to declare further ones; at most 64.
    pub events: Option<BTreeMap<String, EventRule>>,
    /// The commercial terms (source §8). The tracker's reader has their members.
    pub contract: Option<Unread>,
    /// What is kept of the partner's payloads (source §9). The tracker's reader has its members.
    pub privacy: Option<Unread>,
}

/// How payloads are signed (source §5).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// What is signed. Default: `jcs`.
    pub scheme: Option<SignatureScheme>,
    /// Where the signature stands; not for `standard-webhooks`. Default: `header`.
    #[serde(rename = "in")]
    pub place: Option<SignaturePlace>,
    /// Name of the header or of the top-level member; not for `standard-webhooks`. Default: `x-signature`, or `signature`
    /// in the body.
    pub name: Option<String>,
    /// How far the `webhook-timestamp` may be off, in seconds; only for `standard-webhooks`. Default: 300.
    pub tolerance_seconds: Option<Whole<1, 3_600>>,
    /// The keys: 1 to 8, at most 4 of them valid at once.
    pub keys: Vec<Key>,
}

/// What is signed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// The canonical payload (RFC 8785): the order of the members and the spaces do not matter.
    Jcs,
    /// The body, byte for byte.
    Raw,
    /// The body with an id and a time, as Standard Webhooks has it.
    StandardWebhooks,
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignaturePlace {
    /// In a header field.
    Header,
    /// In a top-level member, which is left out of what is signed; only with `jcs`.
    Body,
}

/// The tokens that must be presented (source §5): `Authorization: Bearer …`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The `iss` of the partner's JWTs, 1 to 128 visible ASCII characters; unique among the partners.
    pub issuer: String,
    /// The `aud` that a JWT must name, 1 to 128 visible ASCII characters. Default: `countersign`.
    pub audience: Option<String>,
    /// Longest life of a JWT (`exp` - `iat`) in seconds. Default: 900, the most that the source allows.
    pub lifetime_seconds_max: Option<Whole<1, 900>>,
    /// Keys that sign JWTs; at most 8.
    pub keys: Option<Vec<TokenKey>>,
    /// Opaque tokens, by their SHA-256; at most 16.
    pub opaque: Option<Vec<OpaqueToken>>,
}

/// A key that signs JWTs. Its algorithm is pinned: a token cannot choose another.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenKey {
    /// The `kid` by which a JWT names it, any text of 1 to 128 bytes without control characters; unique among the partner's keys and
    /// tokens.
    pub id: String,
    /// The only algorithm for which the key is used.
    pub algorithm: TokenAlgorithm,
    /// The secret of an `HS256` key.
    pub secret: Option<Secret>,
    /// The public key of an `ES256` or `EdDSA` key.
    pub public_key: Option<PublicKey>,
    /// First instant at which the key is valid, `2026-01-01T00:00:00Z`. Default: always.
    pub not_before: Option<String>,
    /// First instant at which the key is no longer valid. Default: never.
    pub not_after: Option<String>,
}

/// The algorithm of a token key.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256 and a shared secret.
    #[serde(rename = "HS256")]
    Hs256,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A public key as a JSON Web Key (RFC 7517, RFC 8037): paste the key's `kty`, `crv`, `x` and `y`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    /// `EC` for `ES256`, `OKP` for `EdDSA`. Default: as the algorithm has it.
    pub kty: Option<String>,
    /// `P-256` for `ES256`, `Ed25519` for `EdDSA`. Default: as the algorithm has it.
    pub crv: Option<String>,
    /// 32 bytes in base64url without padding: 43 characters.
    pub x: String,
    /// For `ES256` only: 32 bytes in base64url without padding, 43 characters.
    pub y: Option<String>,
}

/// An opaque token. Only its SHA-256 is known here, so the document betrays no token.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpaqueToken {
    /// 1 to 128 bytes without control characters; unique among the partner's keys and tokens.
    pub id: String,
    /// SHA-256 of the token: 64 hex digits. The token has 32 random bytes or more, or its hash could be searched for.
    pub sha256: String,
    /// First instant at which the token is valid, `2026-01-01T00:00:00Z`. Default: always.
    pub not_before: Option<String>,
    /// First instant at which the token is no longer valid, 400 days after `not_before` at the latest. Default: those 400 days; where
    /// neither is written, never.
    pub not_after: Option<String>,
}

/// Where requests must come from (source §5). Each list that is written must be satisfied.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Addresses or CIDR networks, v4 or v6; at most 256. Default: any address.
    pub allow: Option<Vec<String>>,
    /// URI names (SAN) of client certificates; at most 16. Default: none needed.
    pub certificate_uri: Option<Vec<String>>,
    /// SHA-256 of client certificates (DER), 64 hex digits each; at most 16. Default: none needed.
    pub certificate_sha256: Option<Vec<String>>,
}

/// The quota of verified events (source §5).
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Events per second, sustained. Default: 50.
    pub per_second: Option<Whole<1, 100_000>>,
    /// Events admitted at once after a pause. Default: 4 × `per_second`.
    pub burst: Option<Whole<1, 1_000_000>>,
}

/// Rules for one event type.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// Declares a type that is not built in.
    pub custom: Option<CustomEvent>,
    /// Seconds in which a second event of the same click and type is a duplicate, whatever its id (source §8); at most the
    /// retention. Default: none, the id alone tells events apart.
    pub fallback_window_seconds: Option<FallbackWindow>,
}

/// Length of a fallback window in seconds: at most 400 days, as the retention.
pub type FallbackWindow = Whole<1, 34_560_000>;

/// Age of an event in seconds: at most 400 days, as the retention.
pub type TsEventPast = Whole<1, 34_560_000>;

/// A declared event type: 1 to 64 of `a-z`, `0-9` and `_`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomEvent {
    /// Whether events of this type carry money.
    pub amount: CustomAmount,
}

/// Whether events of a declared type carry money.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CustomAmount {
    /// `amount` and `currency` are refused.
    None,
    /// `amount` and `currency` may be there, both or neither.
    Optional,
    /// `amount` and `currency` must be there.
    Required,
}

/// The JSON Schema of the document, as `schemas/countersign.schema.json` has it.
///
/// # Errors
/// None that can happen: a schema is JSON.
#[cfg(feature = "schema")]
pub fn schema() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Configuration))?;
    text.push('\n');
    Ok(text)
}
