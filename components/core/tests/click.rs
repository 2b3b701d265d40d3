//! Click ids: what was minted is recognised, and nothing else is.

use std::sync::Arc;

use countersign_core::click::{Click, ClickKey, ClickReject, LENGTH, SEALED_LENGTH, inspect, mint, seal};
use countersign_core::time::Timestamp;

const AT: Timestamp = Timestamp::from_ms(1_761_059_551_000);
const RANDOM: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const NONCE: [u8; 24] = [9; 24];

fn key(id: &str, secret: &[u8]) -> ClickKey {
    ClickKey::new(Arc::from(id), secret)
}

fn keys() -> [ClickKey; 2] {
    [key("c1", b"another key of the test, 32 bytes"), key("c2", b"hop key of the test, 32 bytes ok")]
}

#[test]
fn an_id_is_what_another_implementation_makes_of_the_format() {
    // Computed with Python's hmac from the description in click.rs.
    let id = mint(&keys()[1], AT, RANDOM);
    assert_eq!(id.as_str(), "clk_06d0en1q30a020g30g2gc1r8w6em8zysnk5z46y5");
    assert_eq!(inspect(&keys(), id.as_str()), Ok(Click { id, minted_at: AT, key_id: Arc::from("c2") }));
}

#[test]
fn a_sealed_id_is_what_another_implementation_makes_of_the_format() {
    // Computed with Python's hmac and libsodium from the description in click.rs.
    let sealed = seal(&keys()[1], AT, RANDOM, NONCE);
    assert_eq!(
        sealed.as_str(),
        "cls_2g4gj289144gj289144gj289144gj289144gj2897fh20kwnxfnsca7d4ywfd2bdbnwvnnpamkc4baevg23q4tey"
    );
    let id = mint(&keys()[1], AT, RANDOM);
    assert_eq!(inspect(&keys(), sealed.as_str()), Ok(Click { id, minted_at: AT, key_id: Arc::from("c2") }));
}

#[test]
fn two_seals_of_one_click_differ_in_every_part_and_open_to_the_same_id() {
    let (one, other) = (seal(&keys()[0], AT, RANDOM, NONCE), seal(&keys()[0], AT, RANDOM, [8; 24]));
    assert_eq!((one.as_str().len(), other.as_str().len()), (SEALED_LENGTH, SEALED_LENGTH));
    // Past the prefix and the nonce nothing is alike but by chance: 48 characters of 32 kinds.
    let alike = one.as_str().bytes().zip(other.as_str().bytes()).skip(44).filter(|(a, b)| a == b).count();
    assert!(alike < 12, "{alike}");
    assert_eq!(inspect(&keys(), one.as_str()), inspect(&keys(), other.as_str()));
}

#[test]
fn every_other_character_in_every_place_of_a_sealed_id_is_refused() {
    let sealed = seal(&keys()[0], AT, RANDOM, NONCE);
    for place in 4..SEALED_LENGTH {
        for other in (0x20_u8..0x7f).filter(|other| *other != sealed.as_str().as_bytes()[place]) {
            let mut changed = sealed.as_str().as_bytes().to_vec();
            changed[place] = other;
            let changed = String::from_utf8(changed).unwrap();
            let expected = match other {
                _ if changed.eq_ignore_ascii_case(sealed.as_str()) => ClickReject::LetterCase,
                b'0'..=b'9' | b'a'..=b'h' | b'j' | b'k' | b'm' | b'n' | b'p'..=b't' | b'v'..=b'z' => {
                    ClickReject::Forged
                }
                _ => ClickReject::Alphabet,
            };
            assert_eq!(inspect(&keys(), &changed), Err(expected), "{changed}");
        }
    }
}

#[test]
fn ids_sort_by_time() {
    let key = &keys()[0];
    let times = [0, 1, 31, 32, 1023, 1024, 1_761_059_550_999, 1_761_059_551_000, Timestamp::MAX.as_ms()];
    // The random part falls while the time rises, so that only the time can explain the order.
    let ids: Vec<_> = times
        .iter()
        .zip((0_u8..=255).rev())
        .map(|(ms, r)| mint(key, Timestamp::from_ms(*ms), [r; 8]))
        .collect();
    assert!(ids.is_sorted());
    for (id, ms) in ids.iter().zip(times) {
        assert_eq!(id.as_str().len(), LENGTH);
        let minted_at = Timestamp::from_ms(ms);
        assert_eq!(inspect(&keys(), id.as_str()), Ok(Click { id: *id, minted_at, key_id: Arc::from("c1") }));
    }
}

#[test]
fn every_other_character_in_every_place_is_refused() {
    let id = mint(&keys()[0], AT, RANDOM);
    for place in 0..LENGTH {
        for other in (0x20_u8..0x7f).filter(|other| *other != id.as_str().as_bytes()[place]) {
            let mut changed = id.as_str().as_bytes().to_vec();
            changed[place] = other;
            let changed = String::from_utf8(changed).unwrap();
            let expected = match (place, other) {
                // A sealed one by its prefix.
                (2, b's' | b'S') => ClickReject::Truncated { length: LENGTH, whole: SEALED_LENGTH },
                _ if changed.eq_ignore_ascii_case(id.as_str()) => ClickReject::LetterCase,
                // Another separator, or a name in front of an id without its prefix.
                (3, b'-' | b'.' | b'+' | b' ' | b'~' | b'=' | b':') => ClickReject::Respelled,
                (..4, _) => ClickReject::Foreign,
                (_, b'0'..=b'9' | b'a'..=b'h' | b'j' | b'k' | b'm' | b'n' | b'p'..=b't' | b'v'..=b'z') => {
                    ClickReject::Forged
                }
                _ => ClickReject::Alphabet,
            };
            assert_eq!(inspect(&keys(), &changed), Err(expected), "{changed}");
        }
    }
}

#[test]
fn a_key_that_was_removed_recognises_nothing() {
    let (id, sealed) = (mint(&keys()[1], AT, RANDOM), seal(&keys()[1], AT, RANDOM, NONCE));
    let same_id = [key("c2", b"a new secret under the old name.")];
    for id in [id.as_str(), sealed.as_str()] {
        assert_eq!(inspect(&keys()[..1], id), Err(ClickReject::Forged));
        assert_eq!(inspect(&[], id), Err(ClickReject::Forged));
        assert_eq!(inspect(&same_id, id), Err(ClickReject::Forged));
    }
}

#[test]
fn wrong_ids_are_told_apart() {
    let genuine = mint(&keys()[0], AT, RANDOM);
    let genuine = genuine.as_str();
    let sealed = seal(&keys()[0], AT, RANDOM, NONCE);
    let sealed = sealed.as_str();
    let cases: &[(&str, ClickReject)] = &[
        ("{click_id}", ClickReject::Macro),
        ("{{click_id}}", ClickReject::Macro),
        ("${CLICK_ID}", ClickReject::Macro),
        ("%CLICKID%", ClickReject::Macro),
        ("[[click_id]]", ClickReject::Macro),
        ("[CLICK_ID]", ClickReject::Macro),
        ("<click_id>", ClickReject::Macro),
        ("#clickid#", ClickReject::Macro),
        ("__CLICKID__", ClickReject::Macro),
        ("%7Bclick_id%7d", ClickReject::Macro),
        ("%5B%5Bclick_id%5D%5D", ClickReject::Macro),
        ("", ClickReject::Nothing),
        ("{", ClickReject::Foreign),
        ("{}", ClickReject::Nothing),
        ("%", ClickReject::Foreign),
        ("%%", ClickReject::Foreign),
        ("null", ClickReject::Nothing),
        ("clk", ClickReject::Foreign),
        ("CLK_06D0EN1Q30A020G30G2GC1R8W6EM8ZYSNK5Z46Y5", ClickReject::LetterCase),
        ("123e4567-e89b-12d3-a456-426614174000", ClickReject::Foreign),
        ("clk_", ClickReject::Truncated { length: 4, whole: 44 }),
        ("clk_123...", ClickReject::Truncated { length: 10, whole: 44 }),
        ("cls_", ClickReject::Truncated { length: 4, whole: 92 }),
        (sealed.split_at(91).0, ClickReject::Truncated { length: 91, whole: 92 }),
        // One form under the other's name.
        (&format!("cls_{}", genuine.split_at(4).1), ClickReject::Truncated { length: 44, whole: 92 }),
        (&format!("clk_{}", sealed.split_at(4).1), ClickReject::TooLong { length: 92, whole: 44 }),
        (&sealed.to_uppercase(), ClickReject::LetterCase),
        (genuine.split_at(43).0, ClickReject::Truncated { length: 43, whole: 44 }),
        ("clk_06D0EN1Q30A020G30G2GC1R8W6EM8ZYSNK5Z46Y5", ClickReject::LetterCase),
        ("clk_06D0EN1Q30A020G30G2GC1R8W6EM8ZYSNK5Z46Y4", ClickReject::Alphabet),
        ("clk_06d0en1q30a020g30g2gc1r8w6em8zysnk5z4\u{e9}y", ClickReject::Alphabet),
        ("clk_0000000000000000000000000000000000000000", ClickReject::Forged),
    ];
    for (id, fault) in cases {
        assert_eq!(inspect(&keys(), id), Err(*fault), "{id}");
        assert!(!fault.as_str().is_empty());
    }
    assert_eq!(inspect(&keys(), &format!("{genuine}0")), Err(ClickReject::TooLong { length: 45, whole: 44 }));
    assert_eq!(
        inspect(&keys(), &format!("{genuine}&sub=1")),
        Err(ClickReject::TooLong { length: 50, whole: 44 })
    );
}

#[test]
fn what_claims_to_be_ours_in_any_spelling_must_be_ours() {
    use ClickReject::{Encoded, Foreign, Forged, LetterCase, Quoted, Respelled};

    let genuine = mint(&keys()[0], AT, RANDOM);
    let (genuine, digits) = (genuine.as_str(), genuine.as_str().split_at(4).1);
    let sealed = seal(&keys()[0], AT, RANDOM, NONCE);
    let sealed_digits = sealed.as_str().split_at(4).1;
    for (id, expected) in [
        (genuine.to_uppercase(), LetterCase),
        (format!("Clk_{digits}"), LetterCase),
        (format!("cLK_{digits}"), LetterCase),
        (format!("clk_{}", digits.to_uppercase()), LetterCase),
        (sealed.as_str().to_uppercase(), LetterCase),
        (format!("CLS_{sealed_digits}"), LetterCase),
        (format!("click_id={genuine}"), Respelled),
        (format!("CID={}", genuine.to_uppercase()), Respelled),
        (format!("click_id: {genuine}"), Respelled),
        (format!("https://t.example/?a=b&cid={genuine}"), Respelled),
        (format!("\"{genuine}\""), Quoted),
        (format!("'{genuine}'"), Quoted),
        (format!("\\\"{genuine}\\\""), Quoted),
        (format!("\"\"{genuine}\"\""), Quoted),
        (format!("&quot;{genuine}&quot;"), Quoted),
        (format!("\"{}\"", genuine.to_uppercase()), Quoted),
        (format!(" {genuine}"), Quoted),
        (format!("\t{genuine}\r\n"), Quoted),
        (format!("\u{feff}{genuine}\u{200b}"), Quoted),
        (format!("clk%5F{digits}"), Encoded),
        (format!("clk%5f{digits}"), Encoded),
        (format!("clk%255F{digits}"), Encoded),
        (format!("%22{genuine}%22"), Encoded),
        (format!("click_id%3D{genuine}"), Encoded),
        (format!("{genuine}%0A"), Encoded),
        (format!("clk-{digits}"), Respelled),
        (format!("CLK-{}", digits.to_uppercase()), Respelled),
        (format!("clk {digits}"), Respelled),
        (format!("clk{digits}"), Respelled),
        (digits.to_owned(), Respelled),
        (digits.to_uppercase(), Respelled),
        (sealed_digits.to_owned(), Respelled),
        (format!("cls-{sealed_digits}"), Respelled),
    ] {
        let found = inspect(&keys(), &id);
        // What was appended has a name of its own.
        if let Err(ClickReject::TooLong { .. }) = found {
            assert!(id.starts_with(genuine), "{id:?}");
            continue;
        }
        assert_eq!(found, Err(expected), "{id:?}");
        assert!(expected.is_certain(), "{id:?}");
    }
    let other = mint(&key("c1", b"a key that nobody here knows, ok"), AT, RANDOM);
    let (other, digits) = (other.as_str(), other.as_str().split_at(4).1);
    for (id, expected) in [
        (other.to_owned(), Forged),
        (other.to_uppercase(), Forged),
        (format!("\"{other}\""), Forged),
        (format!("clk%5F{digits}"), Forged),
        (format!("clk-{digits}"), Forged),
        (format!("cid={other}"), Forged),
        // As long as ours and in our alphabet, as a SHA-1 is too: of another tracker's, for all that is known.
        (digits.to_owned(), Foreign),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80708".to_owned(), Foreign),
        ("wCLK7D3RA".to_owned(), Foreign),
        ("t2_clk_0123".to_owned(), Foreign),
        ("clk-7d3ra".to_owned(), Foreign),
        ("click_id".to_owned(), ClickReject::Macro),
        ("EAIaIQobChMI".to_owned(), Foreign),
    ] {
        assert_eq!(inspect(&keys(), &id), Err(expected), "{id:?}");
        assert_eq!(expected.is_certain(), expected == ClickReject::Macro);
    }
    let short = ClickReject::Truncated { length: 8, whole: LENGTH };
    assert_eq!(inspect(&keys(), "CLK_0123"), Err(short));
}

#[test]
fn a_key_shows_its_name_and_not_its_secret() {
    let shown = format!("{:?}", keys()[1]);
    assert!(shown.contains("c2") && !shown.contains("hop"), "{shown}");
    assert_eq!(&**keys()[1].id(), "c2");
}
