//! Requests that other implementations made: npm `canonicalize` and `jose`, Python's `hmac`. Every host accepts them, and refuses each
//! of them with one byte changed.
#![cfg(test)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use conformance::authoring::keys;
use conformance::envoy::node_packages;
use conformance::hosts::HostName;
use conformance::vector::{Expect, Group, Request, Step, Suite, Upstream, Vector};
use serde_json::{Value, json};

/// Takes the wishes, answers the requests: `canonicalize` and `jose` do what a sender's own code would.
const NODE: &str = r#"
import canonicalize from 'canonicalize';
import * as jose from 'jose';
const { now, wishes, tokenKeys } = JSON.parse(process.argv.at(-1));
const made = [];
for (const { partner, scheme, event, algorithm } of wishes) {
  const body = JSON.stringify(event, null, 1);
  const headers = [];
  if (algorithm) {
    const { kid, secret, jwk } = tokenKeys[algorithm];
    const key = secret ? new TextEncoder().encode(secret) : await jose.importJWK(jwk, algorithm);
    const token = await new jose.SignJWT({}).setProtectedHeader({ alg: algorithm, kid }).setIssuer('https://bearer.example')
      .setAudience('countersign').setIssuedAt(now).setExpirationTime(now + 300).sign(key);
    headers.push(['authorization', `Bearer ${token}`]);
  }
  const id = `msg-${event.event_id}`;
  const message = { raw: body, webhook: `${id}.${now}.${body}` }[scheme] ?? canonicalize(event);
  made.push({ partner, scheme, event, body, headers, message, id });
}
console.log(JSON.stringify(made));
"#;

/// Signs what node has made.
const PYTHON: &str = r#"
import base64, hashlib, hmac, json, sys
given = json.load(sys.stdin)
for request in given["made"]:
    key = given["keys"][request["partner"]].encode()
    digest = hmac.new(key, request["message"].encode(), hashlib.sha256).digest()
    if request["scheme"] == "webhook":
        signature = "v1," + base64.b64encode(digest).decode()
        fields = [["webhook-id", request["id"]], ["webhook-timestamp", str(given["now"])], ["webhook-signature", signature]]
    elif request["scheme"] == "member":
        request["event"]["signature"] = "sha256=" + digest.hex()
        request["body"] = json.dumps(request["event"], indent=2)
        fields = []
    else:
        fields = [["x-signature", "sha256=" + digest.hex()]]
    request["headers"] += fields
print(json.dumps(given["made"]))
"#;

/// Who sends how: partner of the configuration, scheme, and algorithm of the token where there is one.
const SENDERS: [(&str, &str, Option<&str>); 7] = [
    ("plain", "jcs", None),
    ("member", "member", None),
    ("raw", "raw", None),
    ("webhook", "webhook", None),
    ("bearer", "jcs", Some("HS256")),
    ("bearer", "jcs", Some("ES256")),
    ("bearer", "jcs", Some("EdDSA")),
];

#[test]
fn every_host_accepts_what_other_implementations_sign() {
    let mut group = group();
    for made in made(&group) {
        let good = request(&made);
        let mut bent = request(&made);
        bent.body = bent.body.map(|body| body.replace("100.5", "100.6"));
        assert_ne!(good.body, bent.body, "{made}");
        let number = group.vectors.len();
        group.vectors.push(vector(format!("{number}-accepted"), good));
        group.vectors.push(vector(format!("{number}-refused"), bent));
    }
    for host in HostName::ALL.into_iter().filter(|host| host.plays(Suite::Gate)) {
        let mut playing = host.start(Suite::Gate).unwrap();
        for vector in &group.vectors {
            let played = playing.play(&group, vector).unwrap();
            let [answer] = played.as_slice() else { panic!("{} answers {played:?}", host.as_str()) };
            let wanted = if vector.id.ends_with("accepted") {
                (200, r#""idempotent":false"#)
            } else {
                (403, "signature_invalid")
            };
            assert_eq!(answer.status, Some(wanted.0), "{} {vector:?}: {}", host.as_str(), answer.body);
            assert!(answer.body.contains(wanted.1), "{} {vector:?}: {}", host.as_str(), answer.body);
        }
    }
}

fn group() -> Group {
    let mut group = Group {
        comment: String::new(),
        config: "gate".to_owned(),
        secrets: BTreeMap::new(),
        vectors: Vec::new(),
    };
    group.secrets = keys::secrets(&group.configuration().unwrap()).unwrap();
    group
}

/// What node and Python make of the events of all senders.
fn made(group: &Group) -> Vec<Value> {
    let now = keys::T0 / 1000;
    let wishes: Vec<Value> = SENDERS
        .iter()
        .zip(1..)
        .map(|((partner, scheme, algorithm), number)| {
            json!({ "partner": partner, "scheme": scheme, "algorithm": algorithm, "event": {
                "ts_event": "2026-10-21T15:12:30Z", "event": "deposit_success", "event_id": format!("interop-{number}"),
                "click_id": keys::click(number), "account_id": "u-\u{20ac}\"\\\u{1f600}", "amount": 100.5, "currency": "USD",
            } })
        })
        .collect();
    let configuration: Value = serde_json::from_str(&group.configuration().unwrap()).unwrap();
    let public = |at: usize| &configuration["partners"]["bearer"]["token"]["keys"][at]["public_key"];
    let (es, ed) = (public(1), public(2));
    // The private halves are thirty-two times 0x45 and 0xed (`keys::minter`).
    let token_keys = json!({
        "HS256": { "kid": "hs", "secret": keys::secret("token_key") },
        "ES256": { "kid": "es", "jwk": { "kty": "EC", "crv": "P-256", "x": es["x"], "y": es["y"],
            "d": "RUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUU" } },
        "EdDSA": { "kid": "ed", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": ed["x"],
            "d": "7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e0" } },
    });
    let wished = json!({ "now": now, "wishes": wishes, "tokenKeys": token_keys }).to_string();
    let mut node = Command::new("node");
    node.current_dir(packages()).args(["--input-type=module", "--eval", NODE, "--", &wished]);
    let made: Value = serde_json::from_str(&printed(&mut node, "")).unwrap();

    let signing: BTreeMap<String, String> =
        SENDERS.iter().map(|(partner, ..)| ((*partner).to_owned(), text_of_key(partner))).collect();
    let given = json!({ "now": now, "made": made, "keys": signing }).to_string();
    let mut python = Command::new("python3");
    serde_json::from_str(&printed(python.args(["-c", PYTHON]), &given)).unwrap()
}

/// The key of a partner; a sender by Standard Webhooks has taken the base64 off it.
fn text_of_key(partner: &str) -> String {
    String::from_utf8(keys::key(&format!("{partner}_key"))).unwrap()
}

fn request(made: &Value) -> Request {
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-forwarded-for".to_owned(), "203.0.113.7".to_owned()),
    ];
    let more: Vec<(String, String)> = serde_json::from_value(made["headers"].clone()).unwrap();
    headers.extend(more);
    Request {
        method: "POST".to_owned(),
        path: format!("/postback/{}", made["partner"].as_str().unwrap()),
        peer: "127.0.0.1".to_owned(),
        headers,
        body: Some(made["body"].as_str().unwrap().to_owned()),
        chunk_bytes: None,
    }
}

fn vector(id: String, request: Request) -> Vector {
    let step = Step { at_ms: keys::T0, request, upstream: Upstream::Ok, expect: Expect::default() };
    Vector { id, comment: String::new(), flags: Vec::new(), steps: vec![step] }
}

fn packages() -> PathBuf {
    node_packages().unwrap_or_else(|error| panic!("{error:#}"))
}

fn printed(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} fails");
    String::from_utf8(output.stdout).unwrap()
}
