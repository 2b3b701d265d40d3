//! Every vector on every host: one test of each group and host.

conformance::matrix! {
    Gate on { Native plays, Embed plays, Filter plays, Envoy plays, Spin plays } has [
        route content throttle partner token address certificate json_structure json_values jcs raw webhook mistakes rotation
        sandbox event identifier money time click click_when_ours click_off click_spelling click_spelling_when_ours
        click_spelling_off click_rotation idempotency_key quota repeat fallback receipt_rotation
        precedence_of_shape precedence_of_sender precedence_of_event
    ]
    // The component has no upstream: its inbox is the hand-on.
    HandOn on { Native plays, Embed plays, Filter plays, Envoy plays, Spin cannot } has [
        precedence settle in_flight handed_on hop_rotation full_slot retention freshness
    ]
    // The filter and the bare component have no inbox: they hand on.
    Inbox on { Native plays, Embed cannot, Filter cannot, Envoy cannot, Spin plays } has [collect hop_rotation precedence inbox]
}

/// What is in the files, against what stands above.
mod listing {
    use std::collections::BTreeSet;

    use conformance::exceptions;
    use conformance::hosts::HostName;
    use conformance::vector::{Group, Suite, folder};

    #[test]
    fn every_file_is_in_the_matrix_and_the_other_way_round() {
        for (suite, groups) in super::GROUPS {
            let files = std::fs::read_dir(folder().join(suite)).unwrap();
            let files: BTreeSet<_> =
                files.map(|file| file.unwrap().path().file_stem().unwrap().to_owned()).collect();
            let groups: BTreeSet<_> = groups.iter().map(std::ffi::OsString::from).collect();
            assert_eq!(groups, files, "suite {suite}: left is the matrix, right is the folder");
        }
    }

    #[test]
    fn exceptions_name_hosts_and_vectors_that_exist() {
        let mut played = BTreeSet::new();
        for suite in Suite::ALL {
            let groups = super::GROUPS
                .iter()
                .filter(|(name, _)| *name == suite.folder())
                .flat_map(|(_, groups)| *groups);
            for group in groups {
                let vectors = Group::load(suite, group).unwrap().vectors;
                let hosts = HostName::ALL.into_iter().filter(|host| host.plays(suite));
                played.extend(
                    hosts.flat_map(|host| {
                        vectors.iter().map(move |vector| (host.as_str(), vector.id.clone()))
                    }),
                );
            }
        }
        for (host, vectors) in exceptions::load().unwrap() {
            for (vector, reason) in vectors {
                assert!(
                    played.contains(&(host.as_str(), vector.clone())),
                    "exceptions.toml: {host} plays no vector {vector}"
                );
                assert!(!reason.trim().is_empty(), "exceptions.toml: {host}.{vector} has no reason");
            }
        }
    }
}
