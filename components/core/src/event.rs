//! The event vocabulary (source §4, §8): types, required members, and what is wrong with an event that is refused.

use crate::text::Text;

/// An event's id: 1 to 128 visible ASCII characters, so that it can stand in a header field.
pub type EventId = Text<128>;
/// An event's type: 1 to 64 of `a-z`, `0-9` and `_`.
pub type EventName = Text<64>;
/// A click's id: 1 to 128 visible ASCII characters; one of ours has 44.
pub type ClickId = Text<128>;
