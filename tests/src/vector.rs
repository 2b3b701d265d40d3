//! Vectors as data: `tests/vectors/<suite>/<group>.json`. Every file is always well formed; only what a request carries may not be.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// Which hosts a vector runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Every host.
    Gate,
    /// Hosts with an upstream: what becomes of an event after its claim.
    HandOn,
    /// Hosts with the inbox: attested events at `/collect`.
    Inbox,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 3] = [Self::Gate, Self::HandOn, Self::Inbox];

    /// The name of its folder.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::HandOn => "hand_on",
            Self::Inbox => "inbox",
        }
    }
}

/// One file: vectors that share a configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What the group is about.
    pub comment: String,
    /// File in `tests/vectors/configs/`, without `.json`.
    pub config: String,
    /// Secrets that the configuration names: name → text, as the environment would have it.
    pub secrets: std::collections::BTreeMap<String, String>,
    /// The vectors.
    pub vectors: Vec<Vector>,
}

/// One script. It starts with an empty store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Unique among all vectors: a fact, in lower case with hyphens.
    pub id: String,
    /// Why the vector exists: the attack, the RFC, the section of the source.
    pub comment: String,
    /// Words to select vectors by: refusal codes, `precedence`, …
    pub flags: Vec<String>,
    /// Requests in order.
    pub steps: Vec<Step>,
}

/// One request, and what must come of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The clock: milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The request.
    pub request: Request,
    /// What the upstream does with it, should it arrive; hosts without an upstream pay no heed.
    #[serde(default, skip_serializing_if = "Upstream::is_default")]
    pub upstream: Upstream,
    /// What must come of it.
    pub expect: Expect,
}

/// A request on the wire.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The sender's address, in 127.0.0.0/8 so that a real connection can have it.
    pub peer: String,
    /// Name and value; a value is text, or `base64:…` where it is not.
    pub headers: Vec<(String, String)>,
    /// The body: text, or `base64:…`; absent: no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Send the body in chunks of this many bytes, without `content-length`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_bytes: Option<usize>,
}

/// What the upstream does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Upstream {
    /// It answers 200 with a body of its own.
    #[default]
    Ok,
    /// It answers this.
    Reply {
        /// HTTP status.
        status: u16,
        /// Name and value.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// It closes the connection before it answers.
    Reset,
    /// It does not answer before the proxy's timeout.
    Timeout,
    /// It does not answer before the vector is over; the step's own answer is not looked at.
    Pending,
}

impl Upstream {
    fn is_default(&self) -> bool {
        *self == Self::Ok
    }
}

/// What must come of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The code, for readers and for coverage; hosts cannot show it.
    pub code: String,
    /// HTTP status; absent where the step's own answer is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// All header fields but those of the transport ([`is_transport`]), sorted by name.
    pub headers: Vec<(String, String)>,
    /// The exact body.
    pub body: String,
    /// Whether the upstream was handed the event, and the `x-countersign-*` fields on it, sorted by name. Only on hosts
    /// with an upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_on: Option<Vec<(String, String)>>,
}

/// Whether a header field belongs to the transport or to the proxy itself, and is not compared.
#[must_use]
pub fn is_transport(name: &str) -> bool {
    matches!(
        name,
        "x-request-id" | "date" | "server" | "connection" | "keep-alive" | "transfer-encoding" | "host"
    ) || name.starts_with("x-envoy-")
}

/// Text, or the bytes behind `base64:`.
///
/// # Errors
/// Where `base64:` is not followed by base64.
pub fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.strip_prefix("base64:") {
        Some(encoded) => BASE64_STANDARD.decode(encoded).context("a value after base64: is not base64"),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// The inverse of [`bytes`].
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with("base64:") => text.to_owned(),
        _ => format!("base64:{}", BASE64_STANDARD.encode(bytes)),
    }
}

/// The folder of the vectors.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

impl Group {
    /// Reads `tests/vectors/<suite>/<name>.json`.
    ///
    /// # Errors
    /// Where the file cannot be read or is not a group.
    pub fn load(suite: Suite, name: &str) -> anyhow::Result<Self> {
        let path = folder().join(suite.folder()).join(name).with_extension("json");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a vector file", path.display()))
    }

    /// The text of the group's configuration document.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn configuration(&self) -> anyhow::Result<String> {
        let path = folder().join("configs").join(&self.config).with_extension("json");
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }
}
