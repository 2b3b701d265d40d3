//! Published suites, whole. Every case that is answered otherwise than its authors say has its reason here.

use std::fmt::Write;

use countersign_core::json::{Problem, ReadLimits};

use crate::support::{canonical, data, documents, ecmascript, normal};

/// Cases of json-test-suite that RFC 8259 allows and I-JSON (RFC 7493), hence RFC 8785, does not.
const REFUSED_BY_I_JSON: &[(&str, Problem)] = &[
    ("y_object_duplicated_key.json", Problem::DuplicateMember),
    ("y_object_duplicated_key_and_value.json", Problem::DuplicateMember),
    ("y_string_escaped_noncharacter.json", Problem::Noncharacter),
    ("y_string_nonCharacterInUTF-8_U+10FFFF.json", Problem::Noncharacter),
    ("y_string_nonCharacterInUTF-8_U+FFFF.json", Problem::Noncharacter),
    ("y_string_last_surrogates_1_and_2.json", Problem::Noncharacter),
    ("y_string_unicode_U+10FFFE_nonchar.json", Problem::Noncharacter),
    ("y_string_unicode_U+1FFFE_nonchar.json", Problem::Noncharacter),
    ("y_string_unicode_U+FDD0_nonchar.json", Problem::Noncharacter),
    ("y_string_unicode_U+FFFE_nonchar.json", Problem::Noncharacter),
];

#[test]
fn json_test_suite_is_answered_as_its_authors_say() {
    let Some(folder) = data("json-test-suite/test_parsing") else { return };
    let mut counts = [0_u32; 2];
    for (name, input) in documents(&folder) {
        let answer = canonical(&input, ReadLimits::UNBOUNDED);
        let exception = REFUSED_BY_I_JSON.iter().find(|(exception, _)| *exception == name);
        match (name.get(..2), exception) {
            (Some("y_"), Some((_, problem))) => {
                assert_eq!(answer.map_err(|refused| refused.problem), Err(*problem), "{name}");
                counts[0] = counts[0].saturating_add(1);
            }
            (Some("y_"), None) => {
                assert!(answer.is_ok(), "{name}: {answer:?}");
                counts[0] = counts[0].saturating_add(1);
            }
            (Some("n_"), None) => {
                let refused = answer.expect_err(&name);
                assert!(refused.offset <= input.len(), "{name}");
                counts[1] = counts[1].saturating_add(1);
            }
            _ => panic!("{name}: neither y_ nor n_"),
        }
    }
    assert_eq!(counts, [95, 188], "the suite is whole");
}

#[test]
fn jsonchecker_is_answered_as_its_authors_say() {
    let Some(folder) = data("nativejson-benchmark/jsonchecker") else { return };
    for (name, input) in documents(&folder) {
        let answer = canonical(&input, ReadLimits::UNBOUNDED).map_err(|refused| refused.problem);
        match name.as_str() {
            // Its numbers `1.23456789E-13` and the like are exact, its texts hold no noncharacter.
            "pass01.json" | "pass02.json" | "pass03.json" => assert_eq!(answer, Ok(oracle(&input)), "{name}"),
            // A document may be a text (RFC 8259), and its depth of 20 is a matter of limits.
            "fail01_EXCLUDE.json" => assert!(answer.is_ok(), "{name}"),
            "fail18_EXCLUDE.json" => {
                assert!(answer.is_ok(), "{name}");
                let limited = canonical(&input, ReadLimits::POSTBACK).map_err(|refused| refused.problem);
                assert_eq!(limited, Err(Problem::TooDeep), "{name}");
            }
            _ => assert!(answer.is_err(), "{name}"),
        }
    }
}

#[test]
fn roundtrip_documents_are_written_as_the_oracle_writes_them() {
    let Some(folder) = data("nativejson-benchmark/roundtrip") else { return };
    // 19 digits: no double holds them, and their shortest form has another decimal value.
    let inexact = ["roundtrip13.json", "roundtrip14.json", "roundtrip18.json", "roundtrip19.json"];
    for (name, input) in documents(&folder) {
        let answer = canonical(&input, ReadLimits::POSTBACK).map_err(|refused| refused.problem);
        if inexact.contains(&name.as_str()) {
            let of_numbers = [Problem::NumberInexact, Problem::IntegerInexact];
            assert!(answer.is_err_and(|problem| of_numbers.contains(&problem)), "{name}");
        } else {
            assert_eq!(answer, Ok(oracle(&input)), "{name}");
        }
    }
}

/// The three corpora hold numbers that no double holds; in their place stands the double that a lenient parser reads.
#[test]
fn large_documents_are_written_as_the_oracle_writes_them() {
    let Some(folder) = data("nativejson-benchmark") else { return };
    let mut names = Vec::new();
    for (name, input) in documents(&folder) {
        let exact = with_exact_numbers(&input);
        let written = canonical(exact.as_bytes(), ReadLimits::UNBOUNDED)
            .unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        assert!(written == oracle(exact.as_bytes()), "{name}: another canonical form");
        if exact.as_bytes() != input {
            let refused = canonical(&input, ReadLimits::UNBOUNDED).map_err(|refused| refused.problem);
            assert_eq!(refused, Err(Problem::NumberInexact), "{name} as it is");
        }
        names.push(name);
    }
    assert_eq!(names, ["canada.json", "citm_catalog.json", "twitter.json"]);
}

#[test]
fn cyberphone_documents_are_written_byte_for_byte() {
    let Some(folder) = data("jcs-cyberphone") else { return };
    let mut count = 0_u32;
    for (name, input) in documents(&folder.join("input")) {
        let expected = std::fs::read_to_string(folder.join("output").join(&name)).unwrap();
        let mut input = String::from_utf8(input).unwrap();
        if name == "values.json" {
            // One number has 17 digits where 16 name the same double: its decimal value is not the canonical one.
            let offset = input.find("333333333.33333329").unwrap();
            let refused = canonical(input.as_bytes(), ReadLimits::POSTBACK).expect_err("not exact");
            assert_eq!((refused.offset, refused.problem), (offset, Problem::NumberInexact));
            input = input.replace("333333333.33333329", "333333333.3333333");
        }
        assert_eq!(canonical(input.as_bytes(), ReadLimits::POSTBACK), Ok(expected), "{name}");
        count = count.saturating_add(1);
    }
    assert_eq!(count, 6, "the suite is whole");
}

#[test]
fn key_sorting_example_of_rfc_8785_is_written_byte_for_byte() {
    let Some(folder) = data("rfc-vectors") else { return };
    let vector = std::fs::read(folder.join("rfc8785-key-sorting.json")).unwrap();
    let vector: serde_json::Value = serde_json::from_slice(&vector).unwrap();
    let written = canonical(vector["input_text"].as_str().unwrap().as_bytes(), ReadLimits::POSTBACK).unwrap();
    let hex = written.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    assert_eq!(hex, vector["expected_utf8_hex"].as_str().unwrap());
}

/// Each line is a double's bits and what ECMAScript writes for it.
#[test]
fn es6_numbers_are_written_as_ecmascript_writes_them() {
    let Some(folder) = data("jcs-es6-numbers") else { return };
    let lines = std::fs::read_to_string(folder.join("es6testfile-first-10000.txt")).unwrap();
    let mut count = 0_u32;
    for line in lines.lines() {
        let (bits, expected) = line.split_once(',').unwrap();
        let double = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(double, expected.parse::<f64>().unwrap(), "{line}");
        let (digits, power) = normal(expected);
        let sign = if expected.starts_with('-') { "-" } else { "" };
        let shifted = power.saturating_sub(3);
        let as_integer = format!("{sign}{digits}000E{shifted}");
        let as_fraction = format!(
            "{sign}0.000{digits}e{}",
            power.saturating_add(3).saturating_add(i64::try_from(digits.len()).unwrap())
        );
        for literal in [expected, &as_integer, &as_fraction] {
            if digits.is_empty() && literal != expected {
                continue;
            }
            let written = canonical(literal.as_bytes(), ReadLimits::POSTBACK);
            assert_eq!(written.as_deref(), Ok(expected), "{line} as {literal}");
        }
        count = count.saturating_add(1);
    }
    assert_eq!(count, 10_000, "the file is whole");
}

fn oracle(input: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(input).unwrap();
    serde_json_canonicalizer::to_string(&value).unwrap()
}

/// The document with each number spelled as the shortest decimal of its double.
fn with_exact_numbers(input: &[u8]) -> String {
    let input = std::str::from_utf8(input).unwrap();
    let mut output = String::new();
    let mut rest = input;
    let mut in_text = false;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        if !in_text && (character == '-' || character.is_ascii_digit()) {
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
            length = end.unwrap_or(rest.len());
            let double: f64 = rest.get(..length).unwrap().parse().unwrap();
            let exact = ecmascript(double);
            // Spelled as it was where that is exact, so that the document stays as it was where it can.
            let as_it_was = canonical(rest.get(..length).unwrap().as_bytes(), ReadLimits::POSTBACK).is_ok();
            output.push_str(if as_it_was { rest.get(..length).unwrap() } else { &exact });
        } else {
            if character == '\\' && in_text {
                length = 2;
            } else if character == '"' {
                in_text = !in_text;
            }
            output.push_str(rest.get(..length).unwrap());
        }
        rest = rest.get(length..).unwrap();
    }
    output
}
