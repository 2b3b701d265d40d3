//! Matching by probability: scores by table, ties, thresholds, the window's two ends, and no influence of the order.
#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "a test that stops has failed")]

use countersign_core::event::ClickId;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use countersign_ledger::client::DeviceClass;
use countersign_ledger::probable::{
    Matcher, MatcherConfigError, NearbyClick, NoMatch, Traits, WINDOW_MS_MAX, Weights,
};

const DAY_MS: u64 = 86_400_000;

/// `address device country`, each of which may be `-`.
fn traits(text: &str, at_ms: u64) -> Traits {
    let [address, device, geo] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    Traits {
        network: (address != "-").then(|| address.parse().unwrap()),
        device: if device == "-" { DeviceClass::Unknown } else { DeviceClass::named(device).unwrap() },
        geo: (geo != "-").then(|| Text::new(geo).unwrap()),
        at: Timestamp::from_ms(at_ms),
    }
}

fn click(id: &str, text: &str, at_ms: u64) -> NearbyClick {
    NearbyClick {
        click_id: ClickId::new(id).unwrap(),
        campaign: "summer".to_owned(),
        traits: traits(text, at_ms),
    }
}

/// The points for network, device, geo and time that one click gets from a matcher that takes everything.
fn points(event: &str, click_text: &str, elapsed_ms: u64) -> Option<[u16; 4]> {
    let weights = Weights { network: 450, device: 150, geo: 100, time: 300 };
    let matcher = Matcher::new(weights, 1, DAY_MS).unwrap();
    let clicks = [click("c", click_text, 10 * DAY_MS)];
    let event = traits(event, 10 * DAY_MS + elapsed_ms);
    match matcher.best(&event, &clicks) {
        Ok(found) => {
            let Weights { network, device, geo, time } = found.points;
            assert_eq!(found.score(), network + device + geo + time);
            assert_eq!((found.elapsed_ms, found.click), (elapsed_ms, &clicks[0]));
            Some([network, device, geo, time])
        }
        Err(NoMatch::BelowThreshold { score }) => {
            assert_eq!(score, 0);
            Some([0; 4])
        }
        Err(NoMatch::NoClick) => None,
        Err(NoMatch::Tie { .. }) => panic!("one click ties with nobody"),
    }
}

#[test]
fn each_thing_in_common_has_its_points() {
    for (event, click, elapsed_ms, expected) in [
        ("203.0.113.7 mobile BR", "203.0.113.7 mobile BR", 0, Some([450, 150, 100, 300])),
        ("203.0.113.7 mobile BR", "203.0.113.0 mobile BR", 0, Some([450, 150, 100, 300])),
        ("203.0.113.7 mobile BR", "::ffff:203.0.113.9 mobile BR", 0, Some([450, 150, 100, 300])),
        ("203.0.113.7 mobile BR", "203.0.112.7 mobile BR", 0, Some([0, 150, 100, 300])),
        ("2001:db8:1:2::7 mobile BR", "2001:db8:1:ffff::1 mobile BR", 0, Some([450, 150, 100, 300])),
        ("2001:db8:1:2::7 mobile BR", "2001:db8:2:2::7 mobile BR", 0, Some([0, 150, 100, 300])),
        ("203.0.113.7 mobile BR", "203.0.113.7 tablet BR", 0, Some([450, 0, 100, 300])),
        ("203.0.113.7 mobile BR", "203.0.113.7 mobile PT", 0, Some([450, 150, 0, 300])),
        // What is unknown on one side, or on both, is not the same.
        ("- mobile BR", "- mobile BR", 0, Some([0, 150, 100, 300])),
        ("203.0.113.7 mobile BR", "- mobile BR", 0, Some([0, 150, 100, 300])),
        ("203.0.113.7 - BR", "203.0.113.7 - BR", 0, Some([450, 0, 100, 300])),
        ("203.0.113.7 mobile -", "203.0.113.7 mobile -", 0, Some([450, 150, 0, 300])),
        // Time falls in a straight line, rounded down.
        ("- - -", "- - -", 0, Some([0, 0, 0, 300])),
        ("- - -", "- - -", 1, Some([0, 0, 0, 299])),
        ("- - -", "- - -", DAY_MS / 3, Some([0, 0, 0, 200])),
        ("- - -", "- - -", DAY_MS / 2, Some([0, 0, 0, 150])),
        ("- - -", "- - -", DAY_MS, Some([0, 0, 0, 0])),
        ("203.0.113.7 mobile BR", "203.0.113.7 mobile BR", DAY_MS, Some([450, 150, 100, 0])),
        ("203.0.113.7 mobile BR", "203.0.113.7 mobile BR", DAY_MS + 1, None),
        ("203.0.113.7 bot BR", "203.0.113.7 bot BR", 0, None),
        ("203.0.113.7 mobile BR", "203.0.113.7 bot BR", 0, None),
    ] {
        assert_eq!(points(event, click, elapsed_ms), expected, "{event} / {click} after {elapsed_ms} ms");
    }
}

#[test]
fn a_click_after_the_event_is_no_candidate() {
    let event = traits("203.0.113.7 mobile BR", DAY_MS);
    let later = [click("c", "203.0.113.7 mobile BR", DAY_MS + 1)];
    assert_eq!(Matcher::default().best(&event, &later), Err(NoMatch::NoClick));
    assert_eq!(Matcher::default().best(&event, &[]), Err(NoMatch::NoClick));
}

#[test]
fn the_best_click_is_found_in_any_order_and_a_tie_is_no_answer() {
    let at = 10 * DAY_MS;
    let same = "203.0.113.7 mobile BR";
    let event = traits(same, at);
    let hour = 3_600_000;
    for (clicks, expected) in [
        (vec![click("a", same, at - hour), click("b", same, at - 2 * hour)], Ok("a")),
        (vec![click("a", "203.0.113.7 tablet BR", at), click("b", same, at - hour)], Ok("b")),
        (vec![click("a", same, at - hour), click("b", same, at - hour)], Err(NoMatch::Tie { score: 987 })),
        // Two that differ by less than a permille cannot be told apart.
        (
            vec![click("a", same, at - hour), click("b", same, at - hour - 1)],
            Err(NoMatch::Tie { score: 987 }),
        ),
        // A tie below the best one is none, nor is a click that is listed twice.
        (vec![click("a", same, at - hour), click("b", same, at), click("c", same, at - hour)], Ok("b")),
        (
            vec![click("a", same, at - hour), click("a", same, at - hour), click("b", same, at - 9 * hour)],
            Ok("a"),
        ),
        (
            vec![click("a", same, at), click("b", same, at), click("a", same, at)],
            Err(NoMatch::Tie { score: 1000 }),
        ),
        // A tie of clicks that are not good enough says so, not that it is a tie.
        (
            vec![click("a", "- mobile BR", at), click("b", "- mobile BR", at)],
            Err(NoMatch::BelowThreshold { score: 550 }),
        ),
    ] {
        // Every rotation, and its reverse: all the orders of up to three.
        for turn in 0..clicks.len() {
            let mut turned = clicks.clone();
            turned.rotate_left(turn);
            for _ in 0..2 {
                let found = Matcher::default().best(&event, &turned);
                let id = found.map(|found| found.click.click_id.as_str().to_owned());
                assert_eq!(id.as_deref().map_err(|none| *none), expected, "{turned:?}");
                turned.reverse();
            }
        }
    }
}

#[test]
fn the_threshold_is_reached_exactly() {
    let weights = Weights { network: 700, device: 0, geo: 0, time: 300 };
    let event = traits("203.0.113.7 - -", DAY_MS);
    let clicks = [click("a", "203.0.113.7 - -", 0)];
    let score = |threshold| {
        Matcher::new(weights, threshold, DAY_MS).unwrap().best(&event, &clicks).map(|found| found.score())
    };
    assert_eq!(score(700), Ok(700));
    assert_eq!(score(701), Err(NoMatch::BelowThreshold { score: 700 }));
}

#[test]
fn by_default_the_network_is_needed_and_not_enough() {
    let at = 10 * DAY_MS;
    let best = |event: &str, click_text: &str, elapsed_ms| {
        let clicks = [click("a", click_text, at)];
        Matcher::default().best(&traits(event, at + elapsed_ms), &clicks).is_ok()
    };
    assert!(!best("198.51.100.1 mobile BR", "203.0.113.7 mobile BR", 0), "all but the network");
    assert!(!best("203.0.113.7 - -", "203.0.113.7 - -", DAY_MS), "nothing but the network");
    assert!(!best("203.0.113.7 - -", "203.0.113.7 - -", 0), "nothing but the network, at once");
    assert!(!best("203.0.113.7 mobile BR", "203.0.113.7 mobile BR", DAY_MS), "all but the time");
    assert!(
        best("203.0.113.7 mobile BR", "203.0.113.7 mobile BR", DAY_MS / 2),
        "all of it, half a day later"
    );
    assert!(best("203.0.113.7 mobile -", "203.0.113.7 mobile -", 60_000), "the same device a minute later");
}

#[test]
fn a_matcher_has_ranges() {
    let fair = Weights { network: 450, device: 150, geo: 100, time: 300 };
    for (weights, threshold, window_ms, expected) in [
        (fair, 700, DAY_MS, Ok(())),
        (fair, 1, 1, Ok(())),
        (fair, 1000, WINDOW_MS_MAX, Ok(())),
        (Weights { time: 299, ..fair }, 700, DAY_MS, Err(MatcherConfigError::Weights)),
        (Weights { time: 301, ..fair }, 700, DAY_MS, Err(MatcherConfigError::Weights)),
        (
            // The sum is 1000 where 16 bits wrap round.
            Weights { network: u16::MAX, device: 1001, geo: 0, time: 0 },
            700,
            DAY_MS,
            Err(MatcherConfigError::Weights),
        ),
        (fair, 0, DAY_MS, Err(MatcherConfigError::Threshold)),
        (fair, 1001, DAY_MS, Err(MatcherConfigError::Threshold)),
        (fair, 700, 0, Err(MatcherConfigError::Window)),
        (fair, 700, WINDOW_MS_MAX + 1, Err(MatcherConfigError::Window)),
    ] {
        assert_eq!(Matcher::new(weights, threshold, window_ms).map(|_| ()), expected);
    }
}
