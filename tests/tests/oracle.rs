//! The expectations of the vectors are written by the core, so the core cannot prove them. `tests/oracle` is a second implementation,
//! in Python and from the documents: it must answer every vector alike, and it must notice where a vector is changed.
#![cfg(test)]

use std::process::Command;

use conformance::vector::{Group, Suite, folder};

/// What a program of the oracle printed.
fn run(program: &str) -> String {
    let path = format!("{}/oracle/{program}", env!("CARGO_MANIFEST_DIR"));
    // Without `-B` the interpreter would leave its own files beside the sources.
    let output = Command::new("python3").args(["-B", &path]).output();
    let output = output.unwrap_or_else(|error| {
        panic!("python3 does not start ({error}): `apt-get install python3`, 3.11 or later")
    });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{printed}{errors}", output.status);
    printed
}

#[test]
fn oracle_answers_every_vector_alike() {
    let mut vectors = 0;
    for suite in Suite::ALL {
        for file in std::fs::read_dir(folder().join(suite.folder())).unwrap() {
            let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            vectors += Group::load(suite, &name).unwrap().vectors.len();
        }
    }
    let printed = run("play.py");
    assert!(
        printed.contains(&format!("{vectors} vectors played, 0 disagree")),
        "{vectors} vectors are there:\n{printed}"
    );
}

#[test]
fn oracle_notices_a_changed_vector() {
    let printed = run("selftest.py");
    assert!(printed.contains("changes made, 0 not noticed"), "{printed}");
}
