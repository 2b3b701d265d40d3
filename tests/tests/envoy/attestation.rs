//! The verifiers of `envoy/README.md`, run as they stand there against a request that the filter attested.

use std::io::Write as _;
use std::process::{Command, Stdio};

use conformance::envoy::canary::Seen;
use conformance::envoy::workspace;
use countersign_core::policy::sandbox;
use serde_json::json;

use crate::sender::deposit;
use crate::world::{World, accepted};

/// The first block of that language in README that verifies an attestation.
fn verifier(language: &str) -> String {
    let readme = std::fs::read_to_string(workspace().join("envoy/README.md")).unwrap();
    let opens = format!("```{language}\n");
    let blocks = readme.split(&opens).skip(1);
    let block =
        blocks.map(|rest| rest.split("```").next().unwrap()).find(|block| block.contains("attested("));
    let block = block.unwrap_or_else(|| panic!("README has no verifier in {language}"));
    assert!(block.lines().count() <= 14, "a verifier is short: {block}");
    block.to_owned()
}

/// Whether the verifier takes the request.
fn takes(program: &str, arguments: &[&str], script: &str, seen: &Seen, body: &[u8], key: &str) -> bool {
    let mut child = Command::new(program)
        .args(arguments)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let headers: serde_json::Map<_, _> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(String::from_utf8_lossy(value))))
        .collect();
    let input = json!({ "headers": headers, "body": String::from_utf8_lossy(body), "key": key });
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} failed");
    match String::from_utf8(output.stdout).unwrap().trim() {
        "yes" => true,
        "no" => false,
        other => panic!("{program} says {other}"),
    }
}

#[test]
fn the_verifiers_of_the_readme_take_what_was_attested_and_nothing_else() {
    let world = World::start();
    accepted(&world.send(&deposit("evt_1")), false);
    let seen = world.canary.take().remove(0);
    let python = format!(
        "{}\nimport json, sys\ngiven = json.load(sys.stdin)\n\
         print('yes' if attested(given['headers'], given['body'].encode(), given['key'].encode()) else 'no')",
        verifier("python")
    );
    let node = format!(
        "{}\nlet text = '';\nprocess.stdin.on('data', (piece) => (text += piece)).on('end', () => {{\n\
         const given = JSON.parse(text);\n\
         console.log(attested(given.headers, Buffer.from(given.body), given.key) ? 'yes' : 'no');\n}});",
        verifier("js")
    );
    for (program, arguments, script) in
        [("python3", &["-c"][..], &python), ("node", &["--input-type=module", "-e"][..], &node)]
    {
        let takes = |seen: &Seen, body: &[u8], key: &str| takes(program, arguments, script, seen, body, key);
        assert!(takes(&seen, &seen.body, sandbox::ATTESTATION_SECRET), "{program}");
        assert!(!takes(&seen, &seen.body, "another key"), "{program}: the key");
        let other = [&seen.body[..], b" "].concat();
        assert!(!takes(&seen, &other, sandbox::ATTESTATION_SECRET), "{program}: the body");
        for name in ["x-countersign-partner", "x-countersign-event-id", "x-countersign-attestation"] {
            let mut bent = seen.clone();
            let (_, value) = bent.headers.iter_mut().find(|(field, _)| field == name).unwrap();
            value.push(b'1');
            assert!(!takes(&bent, &bent.body, sandbox::ATTESTATION_SECRET), "{program}: {name}");
        }
    }
}
