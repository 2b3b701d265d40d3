//! Pauses between attempts: their ends by table, their spread, and no attempt number that overflows.
#![cfg(test)]

use countersign_ledger::retry::{BASE_MS, CAP_MS, RETRY_AFTER_MS_MAX, delay_ms, retry_after_ms};

#[test]
fn the_pause_reaches_from_one_millisecond_to_its_ceiling() {
    for (attempt, ceiling) in [
        (0, 2_000),
        (1, 4_000),
        (2, 8_000),
        (7, 256_000),
        (8, 512_000),
        (9, 600_000),
        (10, 600_000),
        (52, 600_000),
        (53, 600_000),
        (63, 600_000),
        (64, 600_000),
        (65, 600_000),
        (128, 600_000),
        (u32::MAX, 600_000),
    ] {
        assert_eq!(delay_ms(attempt, 0, None), 1, "attempt {attempt}");
        assert_eq!(delay_ms(attempt, u64::MAX, None), ceiling, "attempt {attempt}");
        assert_eq!(delay_ms(attempt, 1 << 63, None), ceiling / 2 + 1, "attempt {attempt}");
    }
    assert_eq!((BASE_MS, CAP_MS), (2_000, 600_000));
}

#[test]
fn retry_after_is_waited_in_full_and_spread() {
    for (retry_after, random, expected) in [
        (0, 0, 1),
        (30_000, 0, 30_001),
        (30_000, u64::MAX, 32_000),
        (RETRY_AFTER_MS_MAX, 0, RETRY_AFTER_MS_MAX + 1),
        (RETRY_AFTER_MS_MAX + 1, 0, RETRY_AFTER_MS_MAX + 1),
        (u64::MAX, u64::MAX, RETRY_AFTER_MS_MAX + 2_000),
    ] {
        assert_eq!(delay_ms(0, random, Some(retry_after)), expected, "{retry_after}");
    }
}

#[test]
fn retry_after_is_a_number_of_seconds() {
    for (value, expected) in [
        ("0", Some(0)),
        ("2", Some(2_000)),
        (" 120 ", Some(120_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("99999999999999999999999", Some(u64::MAX)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("soon", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
    ] {
        assert_eq!(retry_after_ms(value.as_bytes()), expected, "{value:?}");
    }
    assert_eq!(retry_after_ms(&[0xff]), None);
}

#[test]
fn the_pause_is_uniform() {
    // Equal steps through all random values: each tenth of the range must hold a tenth of them.
    let mut tenths = [0_u32; 10];
    for step in 0..10_000_u64 {
        let delay = delay_ms(4, step * (u64::MAX / 10_000), None);
        tenths[usize::try_from((delay - 1) * 10 / 32_000).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|count| (999..=1001).contains(count)), "{tenths:?}");
}
