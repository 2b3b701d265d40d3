//! The strict reader: what it refuses, where, and what a document says.

use crate::support::{DEPOSIT, agrees_with_oracle, canonical as written};
use countersign_core::canonical;
use countersign_core::json::{Malformed, Problem, ReadLimits, Str, Tape, Value, read};

/// One line per refusal: input, offset, problem.
#[rustfmt::skip]
const REFUSALS: &[(&[u8], usize, Problem)] = &[
    (b"", 0, Problem::EndOfInput),
    (b" \t\r\n", 4, Problem::EndOfInput),
    (b"\xEF\xBB\xBF{}", 0, Problem::ByteOrderMark),
    (b"\xEF\xBB", 0, Problem::ValueExpected),
    (b"{", 1, Problem::EndOfInput),
    (b"{ 1:2}", 2, Problem::NameExpected),
    (b"{\"a\"", 4, Problem::EndOfInput),
    (b"{\"a\" 1}", 5, Problem::ColonExpected),
    (b"{\"a\":}", 5, Problem::ValueExpected),
    (b"{\"a\":1,}", 7, Problem::NameExpected),
    (b"{\"a\":1", 6, Problem::EndOfInput),
    (b"{\"a\":1 \"b\":2}", 7, Problem::CommaExpected),
    (b"{\"a\":1]", 6, Problem::CommaExpected),
    (b"[1}", 2, Problem::CommaExpected),
    (b"[1,]", 3, Problem::ValueExpected),
    (b"[,1]", 1, Problem::ValueExpected),
    (b"[1 2]", 3, Problem::CommaExpected),
    (b"]", 0, Problem::ValueExpected),
    (b"{}x", 2, Problem::TrailingData),
    (b"1 1", 2, Problem::TrailingData),
    (b"{} {}", 3, Problem::TrailingData),
    (b"null\0", 4, Problem::TrailingData),
    (b"nul", 3, Problem::EndOfInput),
    (b"[nulL]", 4, Problem::ValueExpected),
    (b"[truE]", 4, Problem::ValueExpected),
    (b"[NaN]", 1, Problem::ValueExpected),
    (b"[Infinity]", 1, Problem::ValueExpected),
    (b"['a']", 1, Problem::ValueExpected),
    (b"[\x0B1]", 1, Problem::ValueExpected),
    (b"[\xC2\xA01]", 1, Problem::ValueExpected),
    (b"/**/1", 0, Problem::ValueExpected),
    (b"\"abc", 4, Problem::EndOfInput),
    (b"\"abcdefghijkl", 13, Problem::EndOfInput),
    (b"\"a\nb\"", 2, Problem::ControlCharacter),
    (b"\"abcdefgh\x1Fijklmnop\"", 9, Problem::ControlCharacter),
    (b"\"\0\"", 1, Problem::ControlCharacter),
    (b"\"\\x\"", 1, Problem::UnknownEscape),
    (b"\"ab\\U0041\"", 3, Problem::UnknownEscape),
    (b"\"\\u00g0\"", 1, Problem::UnknownEscape),
    (b"\"\\u+041\"", 1, Problem::UnknownEscape),
    (b"\"\\u004", 6, Problem::EndOfInput),
    (b"\"\\", 2, Problem::EndOfInput),
    (b"\"\\ud800\"", 1, Problem::LoneSurrogate),
    (b"\"\\uDC00\"", 1, Problem::LoneSurrogate),
    (b"\"a\\uDC00\\uD800\"", 2, Problem::LoneSurrogate),
    (b"\"\\uD800\\u0041\"", 1, Problem::LoneSurrogate),
    (b"\"\\uD800\\n\"", 1, Problem::LoneSurrogate),
    (b"\"\\uD800\\uD800\\uDC00\"", 1, Problem::LoneSurrogate),
    (b"\"\\uD800\\uDC0", 12, Problem::EndOfInput),
    (b"\"\\uD800", 7, Problem::EndOfInput),
    (b"\"\\uFFFE\"", 1, Problem::Noncharacter),
    (b"\"\\ufdd0\"", 1, Problem::Noncharacter),
    (b"\"a\\uDBFF\\uDFFF\"", 2, Problem::Noncharacter),
    (b"\"abc\xEF\xBF\xBF\"", 4, Problem::Noncharacter),
    (b"\"abc\xC3\xA9\xEF\xB7\xAF\"", 6, Problem::Noncharacter),
    (b"\"\xF0\x9F\xBF\xBE\"", 1, Problem::Noncharacter),
    (b"\"\x80\"", 1, Problem::NotUtf8),
    (b"\"a\xC0\xAF\"", 2, Problem::NotUtf8),
    (b"\"\xED\xA0\x80\"", 1, Problem::NotUtf8),
    (b"\"\xF4\x90\x80\x80\"", 1, Problem::NotUtf8),
    (b"\"\xC3\xA9\xE2\x82\"", 3, Problem::NotUtf8),
    (b"\"\xEF\xBF\xBF\xFF\"", 1, Problem::Noncharacter),
    (b"{\"\xFF\":1}", 2, Problem::NotUtf8),
    (b"-", 1, Problem::EndOfInput),
    (b"[-]", 2, Problem::NumberSyntax),
    (b"[+1]", 1, Problem::ValueExpected),
    (b"[.5]", 1, Problem::ValueExpected),
    (b"[01]", 2, Problem::NumberSyntax),
    (b"[-012]", 3, Problem::NumberSyntax),
    (b"[1.]", 3, Problem::NumberSyntax),
    (b"[1.e1]", 3, Problem::NumberSyntax),
    (b"[1e]", 3, Problem::NumberSyntax),
    (b"[1e+]", 4, Problem::NumberSyntax),
    (b"1.5e-", 5, Problem::EndOfInput),
    (b"[1.2.3]", 4, Problem::CommaExpected),
    (b"[0x1]", 2, Problem::CommaExpected),
    (b"[1,2,9007199254740993]", 5, Problem::IntegerInexact),
    (b"0.10000000000000000001", 0, Problem::NumberInexact),
    (b"1e400", 0, Problem::NumberInexact),
    (b"[-1e309]", 1, Problem::NumberInexact),
    (b"1e99999999999999999999", 0, Problem::NumberInexact),
    (b"1e-99999999999999999999", 0, Problem::NumberInexact),
    (b"1e-324", 0, Problem::NumberInexact),
    (b"2e-324", 0, Problem::NumberInexact),
    (b"4.9e-324", 0, Problem::NumberInexact),
    (b"4.94065645841246544e-324", 0, Problem::NumberInexact),
    (b"1.7976931348623159e308", 0, Problem::NumberInexact),
    (b"333333333.33333329", 0, Problem::NumberInexact),
    (b"1365649515703752.3", 0, Problem::NumberInexact),
    (b"1365649515703752.25", 0, Problem::NumberInexact),
    (b"9223372036854775808", 0, Problem::IntegerInexact),
    (b"{\"a\":1,\"a\":2}", 7, Problem::DuplicateMember),
    (b"{\"a\":1,\"\\u0061\":2}", 7, Problem::DuplicateMember),
    (b"{\"\\u0061\":1,\"b\":2,\"a\":2}", 18, Problem::DuplicateMember),
    (b"{\"b\":1,\"a\":1,\"b\":2,\"c\":3,\"a\":4}", 13, Problem::DuplicateMember),
    (b"{\"b\":1,\"a\":1,\"b\":2,\"b\":3,\"b\":4}", 13, Problem::DuplicateMember),
    (b"{\"a\":{},\"b\":[{\"c\":1,\"c\":2}]}", 20, Problem::DuplicateMember),
    (b"{\"\":1,\"\":2}", 6, Problem::DuplicateMember),
    (b"{\"long_name_one\":1,\"x\":0,\"long_name_one\":2}", 25, Problem::DuplicateMember),
    (b"{\"\xC3\xA9\":1,\"\\u00e9\":2}", 8, Problem::DuplicateMember),
    (b"{\"\xF0\x9F\x98\x80\":1,\"\\uD83D\\uDE00\":2}", 10, Problem::DuplicateMember),
];

#[test]
fn each_refusal_names_its_first_offending_byte() {
    for (input, offset, problem) in REFUSALS {
        let refused = Malformed { offset: *offset, problem: *problem };
        assert_eq!(written(input, ReadLimits::POSTBACK), Err(refused), "{}", input.escape_ascii());
    }
    for problem in Problem::ALL {
        let tested = REFUSALS.iter().any(|(_, _, tested)| tested == problem);
        let of_limits = [Problem::TooDeep, Problem::TooManyValues, Problem::TooLong].contains(problem);
        assert!(tested || of_limits, "{problem:?} has no line");
        assert!(!problem.as_str().is_empty());
    }
}

#[test]
fn names_that_differ_are_no_duplicates() {
    for input in [
        r#"{"a":1,"A":2,"a ":3,"":4}"#,
        r#"{"event":1,"event_id":2,"event_i":3,"event_id2":4}"#,
        r#"{"a":1,"a\u0000":2,"a\u0000\u0000":3}"#,
        r#"{"abcdefgh":1,"abcdefgh\u0000":2}"#,
        r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
        // The same look, other code points: the reader does not normalise.
        "{\"\u{e9}\":1,\"e\u{301}\":2}",
    ] {
        assert!(written(input.as_bytes(), ReadLimits::POSTBACK).is_ok(), "{input}");
    }
}

#[test]
fn depth_16_is_read_and_depth_17_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let inner = if close == "}" { "0" } else { "" };
            open.repeat(depth) + inner + &close.repeat(depth)
        };
        assert!(written(nested(16).as_bytes(), ReadLimits::POSTBACK).is_ok());
        let offset = open.len().saturating_mul(16);
        let refused = Err(Malformed { offset, problem: Problem::TooDeep });
        assert_eq!(written(nested(17).as_bytes(), ReadLimits::POSTBACK), refused);
        // Neither the reader nor the writer climbs on the thread's stack.
        let deep = nested(1_000_000);
        assert_eq!(written(deep.as_bytes(), ReadLimits::UNBOUNDED).as_deref(), Ok(deep.as_str()));
        let spaced = nested(100_000).replace(close, &format!(" {close}"));
        assert_eq!(written(spaced.as_bytes(), ReadLimits::UNBOUNDED), Ok(nested(100_000)));
    }
}

#[test]
fn values_and_names_are_counted_together() {
    let limits = ReadLimits { nodes_max: 4, ..ReadLimits::POSTBACK };
    assert!(written(b"{\"a\":[1]}", limits).is_ok());
    let refused = |offset| Err(Malformed { offset, problem: Problem::TooManyValues });
    assert_eq!(written(b"{\"a\":[1,2]}", limits), refused(8));
    assert_eq!(written(b"[1,2,3, 4]", limits), refused(8));
    assert_eq!(written(b"{\"a\":1,\"b\":2}", limits), refused(11));
    assert_eq!(written(b"{\"a\":1,\"b\":{}}", limits), refused(11));
}

#[test]
fn document_says_what_it_says() {
    let input = br#"{"z":[1,{"k":[]},"s",null],"text":"plain","es\u0063":"a\/\"\u20AC\uD83D\uDE00","n":-1.50,"t":true}"#;
    let mut tape = Tape::default();
    let document = read(input, &mut tape, ReadLimits::POSTBACK).unwrap();
    let object = document.object().unwrap();
    let names: Vec<_> = object.members().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["esc", "n", "t", "text", "z"], "members come in canonical order");

    let text = |name| match object.get(name) {
        Some(Value::String(text)) => text,
        _ => panic!("no text {name}"),
    };
    assert_eq!(text("text").as_plain(), Some("plain"));
    assert!(text("text").is("plain") && !text("text").is("plai") && !text("text").is("plain "));
    assert_eq!(text("esc").as_plain(), None);
    assert_eq!(text("esc").to_string(), "a/\"\u{20ac}\u{1f600}");
    assert!(text("esc").is("a/\"\u{20ac}\u{1f600}") && !text("esc").is("a/\"\u{20ac}"));
    assert_eq!(text("esc").to_text::<10>().map(|text| text.as_str().len()), Some(10));
    assert!(text("esc").to_text::<9>().is_none(), "one byte short");

    let Some(Value::Number(number)) = object.get("n") else { panic!("no number") };
    assert_eq!((number.literal(), number.to_f64()), ("-1.50", -1.5));
    assert!(matches!(object.get("t"), Some(Value::Bool(true))));
    assert!(object.get("absent").is_none() && object.get("").is_none());

    let Some(Value::Array(array)) = object.get("z") else { panic!("no array") };
    let elements: Vec<_> = array.elements().collect();
    let [Value::Number(one), Value::Object(inner), Value::String(s), Value::Null] = elements.as_slice()
    else {
        panic!("other elements")
    };
    assert_eq!(one.literal(), "1");
    assert!(s.is("s"));
    assert!(matches!(inner.get("k"), Some(Value::Array(empty)) if empty.elements().next().is_none()));
    assert!(matches!(inner.members().next(), Some((name, _)) if Str::is(&name, "k")));
}

#[test]
fn members_are_found_as_they_were_written() {
    let input = br#" {"z" : [1, {"k":2} ],"a\u0062": "\u0041" , "n":-1.50,"e":{}}"#;
    let mut tape = Tape::default();
    let document = read(input, &mut tape, ReadLimits::POSTBACK).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let members: Vec<_> = document
        .object()
        .unwrap()
        .written()
        .map(|member| (member.name.to_string(), text(member.name_written), text(member.value_written)))
        .collect();
    let expected = [
        ("ab", r#""a\u0062""#, r#""\u0041""#),
        ("e", r#""e""#, "{}"),
        ("n", r#""n""#, "-1.50"),
        ("z", r#""z""#, r#"[1, {"k":2} ]"#),
    ];
    assert_eq!(members, expected.map(|(name, one, two)| (name.into(), one.into(), two.into())));
}

#[test]
fn tape_keeps_nothing_of_the_document_before() {
    let mut tape = Tape::default();
    for broken in ["{\"b\":1,\"a\":[[[", "{\"x\":{\"y\":1,\"x\":", "[1,2,3"] {
        assert!(read(broken.as_bytes(), &mut tape, ReadLimits::POSTBACK).is_err());
        let document = read(b"{\"b\":1,\"a\":[]}", &mut tape, ReadLimits::POSTBACK).unwrap();
        let mut output = Vec::new();
        canonical::write(&document, None, &mut output);
        assert_eq!(output, b"{\"a\":[],\"b\":1}");
    }
}

#[test]
fn no_truncation_of_the_deposit_is_accepted() {
    for end in 0..DEPOSIT.len() {
        let cut = DEPOSIT.get(..end).unwrap();
        let refused = Malformed { offset: end, problem: Problem::EndOfInput };
        assert_eq!(written(cut.as_bytes(), ReadLimits::POSTBACK), Err(refused), "{end} bytes");
    }
}

#[test]
fn every_corruption_of_one_byte_is_answered_as_the_oracle_answers_it() {
    let mut accepted = 0_u32;
    for place in 0..DEPOSIT.len() {
        for byte in 0..=u8::MAX {
            let mut body = DEPOSIT.as_bytes().to_vec();
            *body.get_mut(place).unwrap() = byte;
            accepted = accepted.saturating_add(u32::from(agrees_with_oracle(&body)));
        }
    }
    assert!(accepted > 10_000, "most changes inside texts are still JSON: {accepted}");
}
