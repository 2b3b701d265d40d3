//! Matching by probability: scores by table, ties, thresholds, the window's two ends, and no influence of the order.
#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "a test that stops has failed")]

use countersign_core::event::ClickId;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use countersign_ledger::client::DeviceClass;
use countersign_ledger::probable::{
    Candidate, Matcher, MatcherProblem, NoMatch, Trace, WINDOW_MS_MAX, Weights,
};

const DAY_MS: u64 = 86_400_000;

/// `address device country`, each of which may be `-`.
fn trace(text: &str, at_ms: u64) -> Trace {
    let [address, device, geo] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    Trace {
        network: (address != "-").then(|| address.parse().unwrap()),
        device: if device == "-" { DeviceClass::Unknown } else { DeviceClass::named(device).unwrap() },
        geo: (geo != "-").then(|| Text::new(geo).unwrap()),
        at: Timestamp::from_ms(at_ms),
    }
}

fn click(id: &str, text: &str, at_ms: u64) -> Candidate {
    Candidate {
        click_id: ClickId::new(id).unwrap(),
        campaign: "summer".to_owned(),
        trace: trace(text, at_ms),
    }
}

/// The points for network, device, geo and time that one click gets from a matcher that takes everything.
fn points(event: &str, click_text: &str, elapsed_ms: u64) -> Option<[u16; 4]> {
    let weights = Weights { network: 450, device: 150, geo: 100, time: 300 };
    let matcher = Matcher::new(weights, 1, DAY_MS).unwrap();
    let candidates = [click("c", click_text, 10 * DAY_MS)];
    let event = trace(event, 10 * DAY_MS + elapsed_ms);
    match matcher.best(&event, &candidates) {
        Ok(found) => {
            let Weights { network, device, geo, time } = found.points;
            assert_eq!(found.score(), network + device + geo + time);
            assert_eq!((found.elapsed_ms, found.candidate), (elapsed_ms, &candidates[0]));
            Some([network, device, geo, time])
        }
        Err(NoMatch::BelowThreshold { score }) => {
            assert_eq!(score, 0);
            Some([0; 4])
        }
        Err(NoMatch::NoCandidate) => None,
        Err(NoMatch::Tie { .. }) => panic!("one candidate ties with nobody"),
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
    let event = trace("203.0.113.7 mobile BR", DAY_MS);
    let later = [click("c", "203.0.113.7 mobile BR", DAY_MS + 1)];
    assert_eq!(Matcher::default().best(&event, &later), Err(NoMatch::NoCandidate));
    assert_eq!(Matcher::default().best(&event, &[]), Err(NoMatch::NoCandidate));
}

#[test]
fn the_best_click_is_found_in_any_order_and_a_tie_is_no_answer() {
    let at = 10 * DAY_MS;
    let same = "203.0.113.7 mobile BR";
    let event = trace(same, at);
    let hour = 3_600_000;
    for (candidates, expected) in [
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
        for turn in 0..candidates.len() {
            let mut turned = candidates.clone();
            turned.rotate_left(turn);
            for _ in 0..2 {
                let found = Matcher::default().best(&event, &turned);
                let id = found.map(|found| found.candidate.click_id.as_str().to_owned());
                assert_eq!(id.as_deref().map_err(|none| *none), expected, "{turned:?}");
                turned.reverse();
            }
        }
    }
}

#[test]
fn the_threshold_is_reached_exactly() {
    let weights = Weights { network: 700, device: 0, geo: 0, time: 300 };
    let event = trace("203.0.113.7 - -", DAY_MS);
    let candidates = [click("a", "203.0.113.7 - -", 0)];
    let score = |threshold| {
        Matcher::new(weights, threshold, DAY_MS).unwrap().best(&event, &candidates).map(|found| found.score())
    };
    assert_eq!(score(700), Ok(700));
    assert_eq!(score(701), Err(NoMatch::BelowThreshold { score: 700 }));
}

#[test]
fn by_default_the_network_is_needed_and_not_enough() {
    let at = 10 * DAY_MS;
    let best = |event: &str, click_text: &str, elapsed_ms| {
        let candidates = [click("a", click_text, at)];
        Matcher::default().best(&trace(event, at + elapsed_ms), &candidates).is_ok()
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
        (Weights { time: 299, ..fair }, 700, DAY_MS, Err(MatcherProblem::Weights)),
        (Weights { time: 301, ..fair }, 700, DAY_MS, Err(MatcherProblem::Weights)),
        (
            // The sum is 1000 where 16 bits wrap round.
            Weights { network: u16::MAX, device: 1001, geo: 0, time: 0 },
            700,
            DAY_MS,
            Err(MatcherProblem::Weights),
        ),
        (fair, 0, DAY_MS, Err(MatcherProblem::Threshold)),
        (fair, 1001, DAY_MS, Err(MatcherProblem::Threshold)),
        (fair, 700, 0, Err(MatcherProblem::Window)),
        (fair, 700, WINDOW_MS_MAX + 1, Err(MatcherProblem::Window)),
    ] {
        assert_eq!(Matcher::new(weights, threshold, window_ms).map(|_| ()), expected);
    }
}
