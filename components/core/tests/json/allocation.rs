//! The reader and the writer allocate nothing once the tape is warm.

use crate::support::DEPOSIT;
use countersign_core::canonical::{self, Sink};
use countersign_core::json::{ReadLimits, Tape, read};

struct Length(usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

fn pass(input: &str, tape: &mut Tape) -> usize {
    let document = read(input.as_bytes(), tape, ReadLimits::POSTBACK).unwrap();
    let mut length = Length(0);
    canonical::write(&document, Some("signature"), &mut length);
    length.0
}

#[test]
fn second_pass_allocates_nothing() {
    let nested =
        r#"{"z":[{"b":1e2,"a":[[[{"y":2,"x":"\u0041\n"}]]]}],"k\u0061":0.10,"a":12345678901234560000}"#;
    let many =
        (0..100).rev().fold(String::from("{\"x\":0"), |all, n| all + &format!(",\"name{n:03}\":{n}")) + "}";
    for input in [DEPOSIT, nested, &many] {
        let mut tape = Tape::default();
        let mut lengths = (0, 0);
        let cold = allocation_counter::measure(|| lengths.0 = pass(input, &mut tape));
        let warm = allocation_counter::measure(|| lengths.1 = pass(input, &mut tape));
        assert!(cold.count_total > 0, "the counter counts");
        assert_eq!(warm.count_total, 0, "{input}");
        assert!(lengths.0 > 0 && lengths.0 == lengths.1);
    }
}

#[test]
fn new_tape_owns_nothing() {
    assert_eq!(allocation_counter::measure(|| drop(Tape::default())).count_total, 0);
}
