//! Check 7: strict JSON. What two readers could read differently is refused, with its offset.

use countersign_core::outcome::Code::{Accepted, PayloadMalformed};

use super::draft::Draft;
use super::{Chapter, Entry, one};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Gate, name, comment, config: "gate", entries };
    vec![
        chapter("json_structure", "Check 7: documents, members, depth.", structure()),
        chapter("json_values", "Check 7: numbers, texts, UTF-8.", [numbers(), texts()].concat()),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

fn structure() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (id, body) in [
        ("garbage-is-malformed", "hello"),
        ("white-space-is-malformed", " \r\n\t"),
        ("open-object-is-malformed", "{\"event\":\"registration\""),
        ("trailing-comma-is-malformed", "{\"event\":\"registration\",}"),
        ("missing-comma-is-malformed", "{\"a\":1 \"b\":2}"),
        ("missing-colon-is-malformed", "{\"a\" 1}"),
        ("missing-value-is-malformed", "{\"a\":}"),
        ("name-without-quotes-is-malformed", "{event:\"registration\"}"),
        ("single-quotes-are-malformed", "{'event':'registration'}"),
        ("comment-is-malformed", "{/* x */\"a\":1}"),
        ("two-documents-are-malformed", "{} {}"),
        ("closing-bracket-of-another-kind-is-malformed", "{\"a\":[1}"),
        ("literal-in-upper-case-is-malformed", "{\"a\":TRUE}"),
        ("nan-is-malformed", "{\"a\":NaN}"),
        ("duplicate-member-is-malformed", "{\"amount\":1,\"amount\":1000}"),
        ("duplicate-member-behind-an-escape-is-malformed", "{\"amount\":1,\"\\u0061mount\":1000}"),
        ("duplicate-member-deep-down-is-malformed", "{\"x\":[{\"a\":1,\"a\":2}]}"),
        ("vertical-tab-is-no-white-space", "{\"a\":\u{b}1}"),
        ("no-break-space-is-no-white-space", "{\"a\":\u{a0}1}"),
    ] {
        entries.push(one(
            id,
            "RFC 8259 and nothing else; the answer has the byte's offset.",
            plain().body(body),
            PayloadMalformed,
        ));
    }
    let nested = |depth: usize| plain().member("x", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let bom = [b"\xef\xbb\xbf".as_slice(), b"{}"].concat();
    entries.extend([
        one("byte-order-mark-is-malformed", "RFC 8259 §8.1.", plain().body(bom), PayloadMalformed),
        one(
            "utf-16-is-malformed",
            "Only UTF-8.",
            plain().body(b"{\0\"\0a\0\"\0:\x001\0}\0"),
            PayloadMalformed,
        ),
        one("sixteen-levels-are-accepted", "The object itself is the first.", nested(15), Accepted),
        one("seventeen-levels-are-malformed", "A deep document costs a stack.", nested(16), PayloadMalformed),
        one(
            "same-name-in-two-objects-is-no-duplicate",
            "Each object has its own names.",
            plain().member("x", "{\"event\":1}"),
            Accepted,
        ),
        one("empty-name-is-a-name", "RFC 8259 allows it.", plain().member("", "1"), Accepted),
        one(
            "unknown-members-are-accepted",
            "They are kept, and not interpreted.",
            plain().member("x", "[null,true,false,{}]"),
            Accepted,
        ),
    ]);
    entries
}

fn numbers() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (id, number, code) in [
        ("greatest-safe-integer-is-accepted", "9007199254740991", Accepted),
        ("integer-that-a-double-cannot-hold-is-malformed", "9007199254740993", PayloadMalformed),
        ("integer-that-a-double-holds-by-luck-is-accepted", "9007199254740992", Accepted),
        ("decimal-with-too-many-digits-is-malformed", "0.1000000000000000001", PayloadMalformed),
        ("number-beyond-a-double-is-malformed", "1e309", PayloadMalformed),
        ("number-that-vanishes-is-malformed", "1e-400", PayloadMalformed),
        ("leading-zero-is-malformed", "01", PayloadMalformed),
        ("plus-sign-is-malformed", "+1", PayloadMalformed),
        ("number-without-a-whole-part-is-malformed", ".5", PayloadMalformed),
        ("number-without-a-fraction-is-malformed", "5.", PayloadMalformed),
        ("exponent-without-digits-is-malformed", "1e", PayloadMalformed),
        ("hexadecimal-number-is-malformed", "0x10", PayloadMalformed),
        ("exponent-is-accepted", "1.5E+3", Accepted),
        ("trailing-zeros-are-accepted", "100.00", Accepted),
        ("smallest-double-is-accepted", "5e-324", Accepted),
        ("two-to-the-minus-twenty-four-is-accepted", "5.960464477539063e-8", Accepted),
        ("two-to-the-minus-twenty-four-is-accepted-below-zero", "-5.960464477539063e-8", Accepted),
        (
            "two-to-the-minus-twenty-four-is-accepted-in-other-spellings",
            "0.0000000596046447753906300E0",
            Accepted,
        ),
        ("neighbour-of-two-to-the-minus-twenty-four-is-accepted", "5.960464477539062e-8", Accepted),
        ("two-to-the-minus-twenty-four-in-full-is-malformed", "5.9604644775390625e-8", PayloadMalformed),
        (
            "integer-that-is-exact-and-longer-than-its-shortest-text-is-malformed",
            "1152921504606846976",
            PayloadMalformed,
        ),
        ("id-beyond-a-double-is-malformed", "281674916028284931", PayloadMalformed),
    ] {
        let why = "A number means the same to everybody, or it is refused (RFC 8785 §3.2.2.3).";
        entries.push(one(id, why, plain().member("x", number), code));
    }
    let deposit = |amount: &str| {
        plain().string("event", "deposit_success").string("currency", "EUR").member("amount", amount)
    };
    entries.extend([
        one(
            "amount-that-php-prints-in-full-is-malformed",
            "The hint names the setting: serialize_precision = -1.",
            deposit("19.899999999999999"),
            PayloadMalformed,
        ),
        one("amount-in-its-shortest-form-is-accepted", "The same double.", deposit("19.9"), Accepted),
    ]);
    entries
}

fn texts() -> Vec<Entry> {
    let bytes = |text: &[u8]| plain().body([b"{\"a\":\"".as_slice(), text, b"\"}"].concat());
    let mut entries = Vec::new();
    for (id, text, code) in [
        ("lone-high-surrogate-is-malformed", "\\ud800", PayloadMalformed),
        ("lone-low-surrogate-is-malformed", "\\udc00", PayloadMalformed),
        ("swapped-surrogates-are-malformed", "\\udc00\\ud800", PayloadMalformed),
        ("noncharacter-is-malformed", "\\uffff", PayloadMalformed),
        ("unknown-escape-is-malformed", "\\x41", PayloadMalformed),
        ("short-escape-is-malformed", "\\u12", PayloadMalformed),
        ("tab-without-an-escape-is-malformed", "\t", PayloadMalformed),
        ("nul-without-an-escape-is-malformed", "\0", PayloadMalformed),
        ("surrogate-pair-is-accepted", "\\ud83d\\ude00", Accepted),
        ("every-short-escape-is-accepted", "\\\"\\\\\\/\\b\\f\\n\\r\\t", Accepted),
        ("nul-with-an-escape-is-accepted", "\\u0000", Accepted),
        ("del-is-accepted", "\u{7f}", Accepted),
        ("text-in-any-script-is-accepted", "Ünïcødé ελληνικά 漢字 😀", Accepted),
    ] {
        entries.push(one(id, "I-JSON (RFC 7493 §2.1).", plain().member("x", &format!("\"{text}\"")), code));
    }
    for (id, text) in [
        ("invalid-utf-8-is-malformed", b"\xff".as_slice()),
        ("overlong-utf-8-is-malformed", b"\xc0\xaf"),
        ("surrogate-in-utf-8-is-malformed", b"\xed\xa0\x80"),
        ("cut-off-utf-8-is-malformed", b"\xe2\x82"),
        ("utf-8-beyond-unicode-is-malformed", b"\xf4\x90\x80\x80"),
    ] {
        entries.push(one(id, "Every byte is part of valid UTF-8 (RFC 3629).", bytes(text), PayloadMalformed));
    }
    entries
}
