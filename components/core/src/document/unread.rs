//! A part of the document that another reader reads.

use serde::de::{Deserialize, Deserializer, IgnoredAny};

/// A part of the document that this reader passes by: strict JSON, and nothing more is known of it. The filter is loaded into
/// other people's proxies, and every struct that it reads costs it a kibibyte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| Self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Unread {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Unread".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({})
    }
}
