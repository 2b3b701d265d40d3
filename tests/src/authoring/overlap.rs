//! The keys of the document that overlap: receipts, attestations and click ids before, in and after a rotation. A partner's own keys
//! are in [`super::signing`], and what `/collect` believes is in [`super::inbox`].

use countersign_core::outcome::Code::{self, Accepted, Duplicate, InternalError};

use super::draft::Draft;
use super::{Chapter, Entry, keys, one, script};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |suite, name, comment, entries| Chapter { suite, name, comment, config: "rotation", entries };
    vec![
        chapter(
            Suite::Gate,
            "receipt_rotation",
            "Receipt keys that overlap: the newest valid one signs, and a repeat gets the receipt of the first time.",
            receipts(),
        ),
        chapter(
            Suite::Gate,
            "click_rotation",
            "Keys of click ids that overlap: an id is recognised as long as its key is listed.",
            clicks(),
        ),
        chapter(
            Suite::HandOn,
            "hop_rotation",
            "Hop keys that overlap: the newest valid one attests what is handed on.",
            attestations(),
        ),
    ]
}

/// Before the new key begins.
const BEFORE_MS: u64 = 31_001;
/// The first instant of the new key.
const BEGIN_MS: u64 = 31_000;
/// The last instant of the old key.
const LAST_MS: u64 = 28_999;
/// The first instant without the old key.
const END_MS: u64 = 29_000;

fn plain(number: u64) -> Draft {
    Draft::of("plain").id(&format!("e-{number}")).string("ts_event", "2026-10-21T15:11:00Z")
}

/// A request at every edge of the rotation.
fn edges(draft: impl Fn(u64) -> Draft) -> [(Draft, Code); 4] {
    [
        (draft(1).earlier_ms(BEFORE_MS), Accepted),
        (draft(2).earlier_ms(BEGIN_MS), Accepted),
        (draft(3).later_ms(LAST_MS), Accepted),
        (draft(4).later_ms(END_MS), Accepted),
    ]
}

fn receipts() -> Vec<Entry> {
    let why = "The receipt of the first time, whichever key signs first receipts now.";
    vec![
        script(
            "first-receipts-are-of-the-newest-valid-key",
            "The first is signed with the old key, all others with the new one.",
            edges(plain),
        ),
        one(
            "no-receipt-key-is-valid-yet",
            "A clock that stands before every key: nothing is taken, and the sender tries again.",
            plain(1).earlier_ms(151_001),
            InternalError,
        ),
        script(
            "repeat-in-the-overlap-has-the-receipt-of-the-first-time",
            why,
            [(plain(1).earlier_ms(BEFORE_MS), Accepted), (plain(1).earlier_ms(BEGIN_MS), Duplicate)],
        ),
        script(
            "repeat-after-the-old-key-ended-has-the-receipt-of-the-first-time",
            why,
            [(plain(1).earlier_ms(BEFORE_MS), Accepted), (plain(1).later_ms(END_MS), Duplicate)],
        ),
    ]
}

fn clicks() -> Vec<Entry> {
    let of = |secret: &'static str| {
        move |number: u64| plain(number).string("click_id", &keys::click_with(&keys::key(secret), number))
    };
    let sealed = keys::sealed_with(&keys::key("old_click_key"), 1, 7);
    vec![
        script(
            "click-of-the-old-key-is-recognised-throughout",
            "Its dates say when it mints.",
            edges(of("old_click_key")),
        ),
        script(
            "click-of-the-new-key-is-recognised-throughout",
            "Another redirector's clock may be ahead of this one.",
            edges(of("click_key")),
        ),
        one(
            "sealed-click-of-a-key-that-ended-is-opened",
            "What an operator keeps comes back months later.",
            plain(1).string("click_id", &sealed).later_ms(END_MS),
            Accepted,
        ),
        one(
            "click-of-a-key-that-is-not-listed-is-refused",
            "A key that leaked is taken off the list.",
            plain(1).string("click_id", &keys::click_with(&keys::key("gone_click_key"), 1)),
            Code::ClickIdInvalid,
        ),
    ]
}

fn attestations() -> Vec<Entry> {
    vec![script(
        "handed-on-with-the-newest-valid-hop-key",
        "The first is attested with the old key, all others with the new one.",
        edges(plain),
    )]
}
