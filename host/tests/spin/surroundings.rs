//! Variables, clock, random bytes, environment, files and output.

use std::collections::BTreeMap;

use countersign_host::spin::Stream;

use crate::support::World;

#[test]
fn a_component_reads_its_own_variables_and_no_others() {
    let world = World::new();
    assert_eq!(world.ok("/variable/key", ""), "s3cret");
    assert_eq!(world.ok("/variable/url", ""), "https://eu.example.com");
    assert_eq!(
        world.post("/variable/region", ""),
        (503, "Error::Undefined(\"no variable for \\\"guest\\\".\\\"region\\\"\")".to_owned())
    );
    assert!(world.post("/variable/Key", "").1.contains("InvalidName"));
}

#[test]
fn the_operators_value_beats_the_default() {
    let world = World::with(
        |manifest| manifest,
        |options| {
            options.variables.insert("region".to_owned(), "us".to_owned());
        },
    );
    assert_eq!(world.ok("/variable/url", ""), "https://us.example.com");
}

#[test]
fn components_see_the_callers_clock() {
    let world = World::new();
    assert_eq!(world.ok("/clock", ""), "1700000000123");
    world.clock.set_ms(1_600_000_000_000);
    assert_eq!(world.ok("/clock", ""), "1600000000000");
}

#[test]
fn a_seed_makes_the_random_bytes_repeat() {
    let drawn = |seed| {
        let world = World::with(|manifest| manifest, |options| options.seed = seed);
        [world.ok("/random", ""), world.ok("/random", "")]
    };
    assert_eq!(drawn(Some(1)), drawn(Some(1)));
    assert_ne!(drawn(Some(1)), drawn(Some(2)));
    assert_ne!(drawn(None), drawn(None));
    assert_ne!(drawn(Some(1))[0], drawn(Some(1))[1]);
}

#[test]
fn the_environment_is_the_manifests_alone() {
    let world = World::new();
    assert_eq!(world.ok("/environment/GREETING", ""), "hi");
    assert_eq!(world.post("/environment/PATH", "").0, 503);
}

#[test]
fn files_are_read_only_and_no_more_than_listed() {
    let world = World::new();
    assert_eq!(world.ok("/file", "/assets/a.txt"), "asset");
    assert_eq!(world.ok("/file", "/assets/deep/.b"), "hidden");
    assert_eq!(world.ok("/file", "/notes/n.txt"), "note");
    for path in ["/notes/secret.key", "/guest.wasm", "/assets/../spin.toml", "/etc/hostname"] {
        assert_eq!(world.post("/file", path).0, 503, "{path}");
    }
    assert_eq!(world.post("/write", "/assets/a.txt").0, 503);
    assert_eq!(world.post("/write", "/notes/n.txt").0, 503);
    assert_eq!(world.ok("/file", "/assets/a.txt"), "asset");
}

#[test]
fn a_single_file_has_the_name_of_its_destination() {
    let world = World::with(
        |manifest| {
            manifest.replace(
                "\"assets\", destination = \"/assets\"",
                "\"notes/secret.key\", destination = \"/a/b.txt\"",
            )
        },
        |_| {},
    );
    assert_eq!(world.ok("/file", "/a/b.txt"), "secret");
    assert_eq!(world.ok("/file", "/notes/n.txt"), "note");
    for path in ["/notes/secret.key", "/secret.key", "/b.txt"] {
        assert_eq!(world.post("/file", path).0, 503, "{path}");
    }
}

#[test]
fn files_are_copies_of_those_at_the_start_in_one_folder() {
    let world = World::new();
    let source = |file: &str| world.directory.path().join("assets").join(file);
    std::fs::write(source("a.txt"), "changed").unwrap();
    std::fs::write(source("late.txt"), "late").unwrap();
    assert_eq!(world.ok("/file", "/assets/a.txt"), "asset");
    assert_eq!(world.post("/file", "/assets/late.txt").0, 503);
    assert_eq!(world.ok("/file", "/assets/../notes/n.txt"), "note");
}

#[test]
fn a_directory_at_the_root_stands_beside_other_files() {
    let world =
        World::with(|manifest| manifest.replace("destination = \"/assets\"", "destination = \"/\""), |_| {});
    assert_eq!(world.ok("/file", "/a.txt"), "asset");
    assert_eq!(world.ok("/file", "/deep/.b"), "hidden");
    assert_eq!(world.ok("/file", "/notes/n.txt"), "note");
}

#[test]
fn output_reaches_the_sink_line_by_line() {
    let world = World::new();
    world.ok("/log", "one\ntwo");
    let lines = world.lines.lock().unwrap();
    let mut by_stream: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines.iter() {
        assert_eq!(line.component, "guest");
        let stream = match line.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Host => "host",
        };
        by_stream.entry(stream).or_default().push(&line.text);
    }
    assert_eq!(
        by_stream,
        BTreeMap::from([("stdout", vec!["out: one", "two"]), ("stderr", vec!["err: one", "two"])])
    );
}
