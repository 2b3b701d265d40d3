//! Seeded random documents: what is written equals what an independent canonicaliser writes.

use countersign_core::json::{Malformed, Problem, ReadLimits};
use sha2::{Digest as _, Sha256};

use crate::support::{agrees_with_oracle, canonical, ecmascript, normal};

/// SplitMix64: the same documents on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    fn one<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let index = usize::try_from(self.below(u64::try_from(choices.len()).unwrap())).unwrap();
        choices[index]
    }

    fn blank(&mut self) -> &'static str {
        if self.below(3) == 0 { self.one(&[" ", "\n", "\t", "\r\n", "   "]) } else { "" }
    }

    fn character(&mut self) -> char {
        let point = match self.below(12) {
            0 => self.below(0x20),
            1 => self.below(0x800),
            2 => self.below(0x1_0000),
            3 => 0xE000_u64.saturating_add(self.below(0x1DC0)),
            4 => 0x1_0000_u64.saturating_add(self.below(0xFFF0)),
            5 => u64::from(*self.one(&[&b'"', &b'\\', &b'/'])),
            _ => 0x20_u64.saturating_add(self.below(0x5F)),
        };
        let character = char::from_u32(u32::try_from(point).unwrap()).unwrap_or('x');
        let noncharacter = ('\u{fdd0}'..='\u{fdef}').contains(&character) || point & 0xFFFE == 0xFFFE;
        if noncharacter { 'n' } else { character }
    }

    /// A text in one of its many spellings.
    fn text(&mut self, length: u64) -> String {
        let mut text = String::from("\"");
        for _ in 0..length {
            let character = self.character();
            let must = character < ' ' || character == '"' || character == '\\';
            if must || self.below(10) == 0 {
                text.push_str(&self.escaped(character));
            } else {
                text.push(character);
            }
        }
        text.push('"');
        text
    }

    fn escaped(&mut self, character: char) -> String {
        let short = match character {
            '"' | '\\' | '/' => Some(format!("\\{character}")),
            '\n' => Some(String::from("\\n")),
            '\t' => Some(String::from("\\t")),
            '\u{8}' => Some(String::from("\\b")),
            _ => None,
        };
        match short {
            Some(short) if self.below(2) == 0 => short,
            _ => {
                let upper = self.below(2) == 0;
                let unit =
                    |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                character.encode_utf16(&mut [0; 2]).iter().map(unit).collect()
            }
        }
    }

    /// A double in a spelling that has its exact decimal value.
    fn number(&mut self) -> String {
        match self.below(6) {
            0 => format!("{}", self.below(100_000)),
            1 => format!("-{}.{:02}", self.below(10_000), self.below(100)),
            2 => format!("{}e{}", self.below(1000), self.below(40)),
            3 => format!("{}.{:03}E-{}", self.below(10), self.below(1000), self.below(12)),
            4 => format!("{}", self.below(9_007_199_254_740_992)),
            _ => ecmascript(self.double()),
        }
    }

    /// Any finite double; half of them about as large as their digits, where two decimals may be equally near.
    fn double(&mut self) -> f64 {
        let mantissa = self.below(1 << 52);
        let exponent =
            if self.below(2) == 0 { self.below(2047) } else { 1060_u64.saturating_add(self.below(40)) };
        let sign = self.below(2) << 63;
        f64::from_bits(sign | exponent << 52 | mantissa)
    }

    fn value(&mut self, depth: u64) -> String {
        let kinds = if depth == 0 { 4 } else { 7 };
        match self.below(kinds) {
            0 => String::from(self.one(&["null", "true", "false"])),
            1 | 2 => {
                let length = self.below(40);
                self.text(length)
            }
            3 => self.number(),
            4 => {
                let count = self.below(5);
                let elements: Vec<_> = (0..count).map(|_| self.padded(depth.saturating_sub(1))).collect();
                format!("[{}{}]", elements.join(","), self.blank())
            }
            _ => {
                let count = if self.below(20) == 0 { self.below(60) } else { self.below(9) };
                let mut members = std::collections::BTreeMap::new();
                for _ in 0..count {
                    let length = self.below(14);
                    let name = self.text(length);
                    let meaning: String = serde_json::from_str(&name).unwrap();
                    let member = [self.blank(), &name, self.blank(), ":"].concat()
                        + &self.padded(depth.saturating_sub(1));
                    // Kept once per meaning, in an order that has nothing to do with the canonical one.
                    members.insert(meaning, (self.next(), member));
                }
                let mut members: Vec<_> = members.into_values().collect();
                members.sort();
                let members: Vec<_> = members.into_iter().map(|(_, member)| member).collect();
                format!("{{{}{}}}", members.join(","), self.blank())
            }
        }
    }

    fn padded(&mut self, depth: u64) -> String {
        let value = self.value(depth);
        [self.blank(), &value, self.blank()].concat()
    }
}

#[test]
fn ten_thousand_random_documents_are_written_as_the_oracle_writes_them() {
    const SEED: u64 = 0x0C05_1617;
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    for round in 0..10_000 {
        let input = random.padded(5);
        let value: serde_json::Value = serde_json::from_str(&input).unwrap();
        let expected = serde_json_canonicalizer::to_string(&value).unwrap();
        let written = canonical(input.as_bytes(), ReadLimits::UNBOUNDED);
        assert_eq!(written.as_deref(), Ok(expected.as_str()), "seed {SEED:#x}, round {round}");
        // The canonical form is its own canonical form.
        assert_eq!(canonical(expected.as_bytes(), ReadLimits::UNBOUNDED).as_deref(), Ok(expected.as_str()));
    }
}

/// Bytes that JSON gives a meaning to, and some that it does not.
const BYTES: &[u8] = b"\"\\/{}[],:truefalsn0123456789.-+eE \t\n\r\0\x1F\x7F\x80\xBF\xC3\xED\xEF\xF0\xFF";

#[test]
fn random_damage_is_answered_as_the_oracle_answers_it() {
    const SEED: u64 = 0xDA_3A6E;
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    let mut accepted = 0_u32;
    for _ in 0..20_000 {
        let mut input = random.padded(4).into_bytes();
        for _ in 0..=random.below(3) {
            let place = usize::try_from(random.below(u64::try_from(input.len()).unwrap())).unwrap_or(0);
            let byte = BYTES[usize::try_from(random.below(u64::try_from(BYTES.len()).unwrap())).unwrap()];
            match random.below(3) {
                0 if !input.is_empty() => drop(input.remove(place)),
                1 if !input.is_empty() => input[place] = byte,
                _ => input.insert(place, byte),
            }
        }
        accepted = accepted.saturating_add(u32::from(agrees_with_oracle(&input)));
    }
    assert!((1_000..19_000).contains(&accepted), "{accepted}");
}

/// The literal with its last significant digit made one larger, one smaller, or left.
fn beside(literal: &str, which: u64) -> String {
    let (digits, power) = normal(literal);
    let digits: u64 = digits.parse().unwrap_or(0);
    let digits = digits.saturating_add(which).saturating_sub(1);
    format!("{digits}e{power}")
}

/// A literal is refused exactly where the double's own decimal digits are others.
#[test]
fn random_literals_are_exact_where_their_double_says_so() {
    const SEED: u64 = 0xD161_7500;
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    let (mut exact, mut inexact) = (0_u32, 0_u32);
    for _ in 0..100_000 {
        let length = u32::try_from(random.below(20)).unwrap();
        let digits = random.below(10_u64.pow(length));
        let exponent = i64::try_from(random.below(700)).unwrap().saturating_sub(350);
        let literal = match random.below(3) {
            // Beside the shortest decimal of a double: one more, one less.
            0 => beside(&ecmascript(random.double()), random.below(3)),
            1 => format!("{digits}e{}", exponent.checked_rem(20).unwrap()),
            _ => format!("{digits}e{exponent}"),
        };
        let double: f64 = literal.parse().unwrap();
        let expected = double.is_finite() && normal(&literal) == normal(&ecmascript(double));
        let written = canonical(literal.as_bytes(), ReadLimits::POSTBACK);
        if expected {
            exact = exact.saturating_add(1);
            let value: serde_json::Value = serde_json::from_str(&literal).unwrap();
            assert_eq!(written, Ok(serde_json_canonicalizer::to_string(&value).unwrap()), "{literal}");
        } else {
            inexact = inexact.saturating_add(1);
            let problem =
                if literal.contains('e') { Problem::NumberInexact } else { Problem::IntegerInexact };
            assert_eq!(written, Err(Malformed { offset: 0, problem }), "{literal}");
        }
    }
    assert!(exact > 10_000 && inexact > 10_000, "{exact} exact, {inexact} not");
}

/// Next to a power of two the doubles below are twice as dense as those above, so that of two decimals that are equally near only one may
/// come back: `5.960464477539063e-8` is 2⁻²⁴, and the even `…062e-8` is another double.
#[test]
fn powers_of_two_and_their_neighbours_are_written_as_ecmascript_writes_them() {
    // SHA-256 of the 6,293 texts, each with a line feed, as Node 20 writes them: for each exponent from -1074 to 1023 the double
    // before, the power, and the double after, where they are finite and more than zero.
    const NODE: &str = "e0ff0bb63291309c2d587c50c0b4e32f4de8117aebf835bcf1dab6777355c6d3";
    let mut texts = String::new();
    for exponent in -1074..=1023_i32 {
        let subnormal = 1_u64.checked_shl(u32::try_from(exponent.saturating_add(1074)).unwrap());
        let power = match u64::try_from(exponent.saturating_add(1023)) {
            Ok(biased @ 1..) => biased << 52,
            _ => subnormal.unwrap(),
        };
        for bits in [power - 1, power, power + 1].into_iter().filter(|bits| *bits > 0) {
            let double = f64::from_bits(bits);
            let expected = ecmascript(double);
            for (sign, sign_written) in [("", ""), ("-", "-")] {
                let literal = format!("{sign}{expected}");
                let (digits, power) = normal(&literal);
                let spelled = format!("{sign}{digits}00E{}", power - 2);
                for literal in [literal.as_str(), &spelled] {
                    let written = canonical(literal.as_bytes(), ReadLimits::POSTBACK);
                    assert_eq!(written, Ok(format!("{sign_written}{expected}")), "{literal}");
                }
            }
            // One more or one less in the last of 15 digits or more is another number, or the same double's longer text.
            for which in [0, 2] {
                let other = beside(&expected, which);
                if normal(&expected).0.len() > 15 && other.parse() == Ok(double) {
                    assert!(canonical(other.as_bytes(), ReadLimits::POSTBACK).is_err(), "{other}");
                }
            }
            texts.push_str(&expected);
            texts.push('\n');
        }
    }
    assert_eq!(texts.lines().count(), 6_293);
    let hash = Sha256::digest(&texts);
    let hash = hash.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(hash, NODE);
}

/// What a signature over the body's bytes does not need to be exact is kept as it was written, and stays apart from every other number.
#[test]
fn numbers_as_they_are_written_are_their_own_canonical_form() {
    let cases = [
        // Exact: as ever.
        ("[1.50,1e2,-0]", "[1.5,100,0]"),
        (
            "{ \"b\": 9007199254740993, \"a\": 0.12345678901234567890 }",
            r#"{"a":0.12345678901234567890,"b":9007199254740993}"#,
        ),
        ("[ 1E400 ,-1e-400]", "[1E400,-1e-400]"),
        ("19.899999999999999", "19.899999999999999"),
    ];
    for (input, expected) in cases {
        assert_eq!(canonical(input.as_bytes(), ReadLimits::BYTES_SIGNED).as_deref(), Ok(expected), "{input}");
        assert_eq!(canonical(expected.as_bytes(), ReadLimits::BYTES_SIGNED).as_deref(), Ok(expected));
    }
    for broken in ["01", "1e", ".5", "1.", "--1", "9007199254740993x"] {
        assert!(canonical(broken.as_bytes(), ReadLimits::BYTES_SIGNED).is_err(), "{broken}");
    }
}
