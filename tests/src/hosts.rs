//! The hosts behind one trait.

pub mod embed;
pub mod envoy;
pub mod filter;
pub mod native;
pub mod spin;

use countersign_host::fault::Faults;

use crate::vector::{Expect, Group, Suite, Upstream, Vector, is_transport, text};

/// A host that plays vectors.
pub trait Host {
    /// Plays a vector on an empty store and tells, for each step, what came of it: [`Expect`] with an empty `code`, header
    /// fields without those of the transport, sorted by name.
    ///
    /// # Errors
    /// Where the host itself fails; a wrong answer is no error.
    fn play(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>>;

    /// What the host has logged since it was made; a host whose log cannot be read has none.
    fn log(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Every host there is. One more breaks the build of every matrix until its suites are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostName {
    /// The core in this process, over a table in memory.
    Native,
    /// `embed.wasm`, the bare component, under wasmtime.
    Embed,
    /// `countersign_envoy.wasm` under wasmtime.
    Filter,
    /// The same file in the real Envoy process.
    Envoy,
    /// `gate.wasm` under wasmtime, on the Spin host, in front of its inbox.
    Spin,
}

impl HostName {
    /// Every host.
    pub const ALL: [Self; 5] = [Self::Native, Self::Embed, Self::Filter, Self::Envoy, Self::Spin];

    /// As in `exceptions.toml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Embed => "embed",
            Self::Filter => "filter",
            Self::Envoy => "envoy",
            Self::Spin => "spin",
        }
    }

    /// Whether the host plays a suite.
    #[must_use]
    pub const fn plays(self, suite: Suite) -> bool {
        match (self, suite) {
            (Self::Native, Suite::Gate | Suite::HandOn | Suite::Inbox) => true,
            (Self::Embed | Self::Filter | Self::Envoy, Suite::Gate | Suite::HandOn) => true,
            // They hand on, and have no inbox.
            (Self::Embed | Self::Filter | Self::Envoy, Suite::Inbox) => false,
            (Self::Spin, Suite::Gate | Suite::Inbox) => true,
            // Its inbox is the hand-on.
            (Self::Spin, Suite::HandOn) => false,
        }
    }

    /// Whether the host hands an accepted event of this suite on to an upstream, so that `handed_on` can be compared.
    #[must_use]
    pub const fn has_upstream(self, suite: Suite) -> bool {
        match (self, suite) {
            (Self::Native | Self::Embed | Self::Filter | Self::Envoy, Suite::Gate | Suite::HandOn) => true,
            (Self::Native | Self::Embed | Self::Filter | Self::Envoy, Suite::Inbox) => false,
            (Self::Spin, Suite::Gate | Suite::HandOn | Suite::Inbox) => false,
        }
    }

    /// A host of that name for a suite.
    ///
    /// # Errors
    /// Where what it runs on is missing, with the remedy.
    pub fn start(self, suite: Suite) -> anyhow::Result<Box<dyn Host>> {
        self.start_with(suite, Faults::none())
    }

    /// A host whose store fails as `faults` plans.
    ///
    /// # Errors
    /// As [`HostName::start`].
    pub fn start_with(self, suite: Suite, faults: Faults) -> anyhow::Result<Box<dyn Host>> {
        Ok(match self {
            Self::Native => Box::new(native::Native::new(suite, faults)),
            Self::Embed => Box::new(embed::Embed::new(faults)),
            Self::Filter => Box::new(filter::Filter::new(faults)?),
            // Nothing can be made to fail inside the real process from outside; `tests/envoy` breaks its upstream instead.
            Self::Envoy => Box::new(envoy::Envoy::default()),
            Self::Spin => Box::new(spin::Spin::new(faults)),
        })
    }
}

/// What the upstream of every host sends back for [`Upstream::Ok`]: status, header fields, body.
pub const UPSTREAM_OK: (u16, &[(&str, &str)], &str) = (200, &[("content-type", "text/plain")], "taken");

/// Status, header fields, body.
pub type UpstreamReply = (u16, Vec<(String, String)>, String);

/// An upstream's answer, with `content-length` among its fields. `None` where it does not answer.
#[must_use]
pub fn upstream_reply(upstream: &Upstream) -> Option<UpstreamReply> {
    let (status, headers, body) = match upstream {
        Upstream::Ok => {
            let (status, headers, body) = UPSTREAM_OK;
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            (status, headers.collect(), body.to_owned())
        }
        Upstream::Reply { status, headers, body } => (*status, headers.clone(), body.clone()),
        Upstream::Reset | Upstream::Timeout | Upstream::Pending => return None,
    };
    let mut headers: Vec<_> = headers;
    // A 204 has no body, and so no length (RFC 9110 §8.6).
    if status != 204 {
        headers.push(("content-length".to_owned(), body.len().to_string()));
    }
    Some((status, headers, body))
}

/// Whether the upstream calls the event a repeat.
#[must_use]
pub fn says_replayed(headers: &[(String, String)]) -> bool {
    field(headers, "idempotent-replayed").is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

/// A header field of an upstream's answer.
#[must_use]
pub fn field<'h>(headers: &'h [(String, String)], wanted: &str) -> Option<&'h [u8]> {
    let field = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    field.map(|(_, value)| value.as_bytes())
}

/// What the sender hears of the header fields of an upstream that refused the event: what the upstream says to the gate is not for
/// the sender.
pub fn passed_on(headers: &[(String, String)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    fields.filter(|(name, _)| !name.to_ascii_lowercase().starts_with(b"x-countersign-"))
}

/// Header fields as vectors compare them: without those of the transport, names in lower case, sorted.
pub fn compared<'h>(fields: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) -> Vec<(String, String)> {
    let mut fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).to_ascii_lowercase(), text(value)))
        .filter(|(name, _)| !is_transport(name))
        .collect();
    fields.sort();
    fields
}

/// The `x-countersign-*` fields of a request that was handed on.
pub fn handed_on<'h>(fields: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) -> Vec<(String, String)> {
    let mut fields = compared(fields);
    fields.retain(|(name, _)| name.starts_with("x-countersign-"));
    fields
}
