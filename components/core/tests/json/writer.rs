//! The canonical writer: one line per rule of RFC 8785, and what reaches the sink.

use countersign_core::canonical::{self, Sink};
use countersign_core::json::{ReadLimits, Tape, read};

use crate::support::{DEPOSIT, canonical as written};

/// Input and canonical form.
#[rustfmt::skip]
const FORMS: &[(&str, &str)] = &[
    (" null ", "null"),
    ("[ true , false ]", "[true,false]"),
    ("[ ]", "[]"),
    ("{ }", "{}"),
    ("[[ ],{ }]", "[[],{}]"),
    // Numbers: the spelling goes, the value stays.
    ("100.00", "100"),
    ("1e2", "100"),
    ("1E+2", "100"),
    ("10000e-2", "100"),
    ("-0", "0"),
    ("-0.00", "0"),
    ("0e5", "0"),
    ("-0e-99999999999999999999", "0"),
    ("0.10", "0.1"),
    ("-0.5", "-0.5"),
    ("12.5e-1", "1.25"),
    ("0.000001", "0.000001"),
    ("-0.00000100", "-0.000001"),
    ("0.0000001", "1e-7"),
    ("0.0000001230", "1.23e-7"),
    ("123e-9", "1.23e-7"),
    ("100000000000000000000", "100000000000000000000"),
    ("1000000000000000000000", "1e+21"),
    ("1e21", "1e+21"),
    ("1E20", "100000000000000000000"),
    ("-12.340e22", "-1.234e+23"),
    ("123456789012345", "123456789012345"),
    ("1234567890123456", "1234567890123456"),
    ("9007199254740992", "9007199254740992"),
    ("9007199254740994", "9007199254740994"),
    ("0.1234567890123456", "0.1234567890123456"),
    ("333333333.3333333", "333333333.3333333"),
    // 1365649515703752.25 lies between two decimals of 17 digits: the even one is canonical.
    ("1365649515703752.2", "1365649515703752.2"),
    ("5e-324", "5e-324"),
    ("0.5e-323", "5e-324"),
    ("2.2250738585072014e-308", "2.2250738585072014e-308"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("17976931348623157e292", "1.7976931348623157e+308"),
    // Texts: escaped only where JSON demands it, and then in one way.
    (r#""\u0041\u00e9\u20AC\uD83D\uDE00""#, "\"A\u{e9}\u{20ac}\u{1f600}\""),
    (r#""\/ \" \\ \b\f\n\r\t""#, r#""/ \" \\ \b\f\n\r\t""#),
    (r#""\u0022\u005c\u002f\u0008\u000C\u000a\u000d\u0009""#, r#""\"\\/\b\f\n\r\t""#),
    (r#""\u0000\u001F\u001f\u000b\u007f""#, "\"\\u0000\\u001f\\u001f\\u000b\u{7f}\""),
    ("\"\u{7f}\u{80}\u{2028}\u{fffd}\u{10fffd}\"", "\"\u{7f}\u{80}\u{2028}\u{fffd}\u{10fffd}\""),
    // Names: by UTF-16 code units.
    (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
    (r#"{"aa":1,"a":2,"":3,"B":4,"_":5}"#, r#"{"":3,"B":4,"_":5,"a":2,"aa":1}"#),
    (r#"{"event_id":1,"event":2,"event_idx":3,"event_ic":4}"#, r#"{"event":2,"event_ic":4,"event_id":1,"event_idx":3}"#),
    ("{\"\u{fb33}\":1,\"\u{1f602}\":2,\"\u{f6}\":3,\"z\":4}", "{\"z\":4,\"\u{f6}\":3,\"\u{1f602}\":2,\"\u{fb33}\":1}"),
    ("{\"same_start_\u{e000}\":1,\"same_start_\u{10000}\":2,\"same_start_\u{d7ff}\":3}",
     "{\"same_start_\u{d7ff}\":3,\"same_start_\u{10000}\":2,\"same_start_\u{e000}\":1}"),
    (r#"{"\ue000":1,"\ud800\udc00":2,"\ud7ff":3}"#, "{\"\u{d7ff}\":3,\"\u{10000}\":2,\"\u{e000}\":1}"),
    (r#"{"a\u0000b":1,"a\u0000":2,"a":3,"\u000aa":4}"#, r#"{"\na":4,"a":3,"a\u0000":2,"a\u0000b":1}"#),
    (r#"{"b":[{"d":1,"c":2}],"a":{"f":{},"e":[]}}"#, r#"{"a":{"e":[],"f":{}},"b":[{"c":2,"d":1}]}"#),
    (r#"{"b":{"y":1,"x":2},"a":3}"#, r#"{"a":3,"b":{"x":2,"y":1}}"#),
    (r#"[{"a":1,"b":[1,2]},[ 3,{"c":"x"}]]"#, r#"[{"a":1,"b":[1,2]},[3,{"c":"x"}]]"#),
];

#[test]
fn each_form_is_written_and_is_its_own_canonical_form() {
    for (input, expected) in FORMS {
        assert_eq!(written(input.as_bytes(), ReadLimits::POSTBACK).as_deref(), Ok(*expected), "{input}");
        assert_eq!(
            written(expected.as_bytes(), ReadLimits::POSTBACK).as_deref(),
            Ok(*expected),
            "{input} again"
        );
    }
}

#[test]
fn deposit_is_written_in_canonical_order() {
    let expected = concat!(
        r#"{"account_id":"u_456...","amount":100,"click_id":"clk_123...","currency":"USD","event":"deposit_success","#,
        r#""event_id":"dep_9aa...","is_ftd":true,"payment_method":"card pix crypto wallet","signature":"...","#,
        r#""ts_event":"2025-10-21T15:12:31Z"}"#
    );
    assert_eq!(written(DEPOSIT.as_bytes(), ReadLimits::POSTBACK).as_deref(), Ok(expected));
}

/// Takes note of each piece.
#[derive(Default)]
struct Pieces(Vec<Vec<u8>>);

impl Sink for Pieces {
    fn put(&mut self, bytes: &[u8]) {
        self.0.push(bytes.to_vec());
    }
}

fn pieces(input: &str, without: Option<&str>) -> Vec<String> {
    let mut tape = Tape::default();
    let document = read(input.as_bytes(), &mut tape, ReadLimits::POSTBACK).unwrap();
    let mut pieces = Pieces::default();
    canonical::write(&document, without, &mut pieces);
    pieces.0.into_iter().map(|piece| String::from_utf8(piece).unwrap()).collect()
}

#[test]
fn one_top_level_member_can_be_left_out() {
    for (input, expected) in [
        (r#"{"a":1,"signature":"x","z":{"signature":2}}"#, r#"{"a":1,"z":{"signature":2}}"#),
        (r#"{"signature":"x","a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1,"signature":{"b":[1,{}]}}"#, r#"{"a":1}"#),
        (r#"{"z":1, "si\u0067nature":"x", "a":2}"#, r#"{"a":2,"z":1}"#),
        (r#"{"signature":"x"}"#, "{}"),
        (r#"{"a":1}"#, r#"{"a":1}"#),
        ("{}", "{}"),
        (r#"[{"signature":1}]"#, r#"[{"signature":1}]"#),
        (r#""signature""#, r#""signature""#),
    ] {
        assert_eq!(pieces(input, Some("signature")).concat(), expected, "{input}");
    }
}

#[test]
fn sink_gets_few_large_pieces_and_none_that_is_empty() {
    assert_eq!(pieces(DEPOSIT, None).len(), 1, "a signed event feeds its MAC once");
    let canonical = pieces(DEPOSIT, None).concat();
    assert_eq!(pieces(&format!(" {canonical}\n"), None), [canonical.as_str()]);

    for length in [1_usize, 30, 31, 32, 33, 34, 255, 507, 508, 509, 510, 511, 512, 513, 1024, 5000] {
        let long = "x".repeat(length);
        for input in [
            format!(r#"{{"z":"{long}", "b":"{long}", "a":1, "c":"\/{long}"}}"#),
            format!(r#"["\/{long}", "{long}", [ ]]"#),
        ] {
            let pieces = pieces(&input, None);
            let value: serde_json::Value = serde_json::from_str(&input).unwrap();
            assert_eq!(pieces.concat(), serde_json_canonicalizer::to_string(&value).unwrap());
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            let whole = pieces.concat().len();
            assert!(
                pieces.len() <= whole.div_ceil(256).saturating_mul(2).max(2),
                "{length}: {}",
                pieces.len()
            );
        }
    }
}
