//! The data files are what their authors say, and the authors cover what there is.
#![cfg(test)]

use std::collections::BTreeSet;

use conformance::authoring::{files, groups};
use conformance::vector::{Suite, Vector};
use countersign_core::outcome::Code;

/// Codes that no vector can show, and what pins each.
const PINNED_ELSEWHERE: [(Code, &str); 1] =
    [(Code::FilterMisconfigured, "tests/tests/misconfigured.rs: it takes a proxy that withholds bodies")];

#[test]
fn data_files_are_fresh() {
    if let Err(error) = files::check() {
        panic!("{error:#}");
    }
}

fn vectors() -> Vec<(Suite, Vector)> {
    let groups = groups().unwrap_or_else(|error| panic!("{error:#}"));
    groups
        .into_iter()
        .flat_map(|(suite, _, group)| group.vectors.into_iter().map(move |vector| (suite, vector)))
        .collect()
}

#[test]
fn every_code_is_the_answer_of_a_vector() {
    let answers: BTreeSet<String> = vectors().into_iter().flat_map(|(_, vector)| vector.flags).collect();
    for code in Code::ALL {
        let elsewhere = PINNED_ELSEWHERE.iter().any(|(pinned, _)| pinned == code);
        assert_ne!(
            answers.contains(code.metric()),
            elsewhere,
            "{}: no vector is about it, or it is listed as pinned elsewhere",
            code.metric()
        );
    }
}

#[test]
fn there_are_enough_vectors() {
    let vectors = vectors();
    let gate = vectors.iter().filter(|(suite, _)| *suite == Suite::Gate).count();
    assert!(gate >= 150, "{gate} gate vectors");
    let pairs = vectors.iter().filter(|(_, vector)| vector.flags.contains(&"precedence".to_owned())).count();
    assert!(pairs >= 150, "{pairs} pairs of checks");
}

#[test]
fn every_row_of_the_table_of_checks_meets_every_other() {
    // Rows that a gate without an inbox can fail, and what the pairs call them.
    let rows: [&[&str]; 13] = [
        &["method", "path"],
        &["content-type", "size"],
        &["throttle"],
        &["token-missing", "partner"],
        &["address", "certificate"],
        &["token", "token-expiry", "token-lifetime"],
        &["json"],
        &["signature"],
        &["event", "click"],
        &["quota"],
        &["repeat", "reuse", "in-flight"],
        &["fallback"],
        &["upstream-failure", "upstream-redirect", "upstream-refusal"],
    ];
    let ids: BTreeSet<String> = vectors().into_iter().map(|(_, vector)| vector.id).collect();
    for (place, earlier) in rows.iter().enumerate() {
        for later in &rows[place + 1..] {
            let meets = earlier
                .iter()
                .any(|first| later.iter().any(|second| ids.contains(&format!("{first}-before-{second}"))));
            assert!(meets, "no pair of {earlier:?} and {later:?}");
        }
    }
}

#[test]
fn vectors_stay_within_what_every_host_can_play() {
    for (suite, vector) in vectors() {
        for step in &vector.steps {
            let peer = &step.request.peer;
            assert!(peer.starts_with("127."), "{}: no connection can come from {peer}", vector.id);
            for (name, value) in &step.request.headers {
                assert_eq!(
                    *name,
                    name.to_ascii_lowercase(),
                    "{}: names are lower case on some hosts",
                    vector.id
                );
                assert_ne!(name, "content-length", "{}: the host declares the length", vector.id);
                assert!(
                    suite == Suite::HandOn || !value.starts_with("base64:"),
                    "{}: Spin answers such a value itself",
                    vector.id
                );
            }
        }
        assert!(
            vector.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{}",
            vector.id
        );
    }
}
