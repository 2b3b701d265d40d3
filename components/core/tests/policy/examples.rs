//! The example files are valid, mean what they say, and fit the schema that is checked in.

use countersign_core::policy::{ClickVerify, Environment, InFlightStatus, Policy, sandbox};
use countersign_core::rate::Rate;
use countersign_core::signature::{Place, Scheme};

use crate::{changed, compile, file, mistakes};

#[test]
fn production_example_means_what_it_says() {
    let json = file("examples/production.json");
    let policy = compile(&json).unwrap();
    assert_eq!(policy.environment, Environment::Production);
    assert_eq!(policy.limits.body_bytes_max, 65_536);
    assert_eq!(policy.limits.source_refusals, Rate::per(600, 60_000, 600).unwrap());
    assert_eq!((policy.dedup.retention_ms, policy.dedup.lease_ms), (2_592_000_000, 30_000));
    assert_eq!((policy.dedup.size.slots, policy.dedup.size.entries_per_slot), (65_536, 8));
    assert_eq!((policy.click_id.verify, policy.click_id.keys.len()), (ClickVerify::Require, 1));
    let names: Vec<&str> = policy.partners().map(|partner| &*partner.name).collect();
    assert_eq!(names, ["acme", "globex", "initech"]);

    let acme = policy.partner("acme").unwrap();
    assert_eq!((acme.signature.scheme, acme.signature.keys.len()), (Scheme::Jcs, 2));
    assert_eq!(acme.signature.place, Place::Header("x-signature".into()));
    assert_eq!(acme.token.as_ref().unwrap().lifetime_ms_max, 900_000);
    assert_eq!(acme.rate, Rate::per(50, 1_000, 200).unwrap());
    assert_eq!(acme.in_flight_status, InFlightStatus::Unavailable503);
    assert_eq!(acme.fallback_window_ms("registration"), Some(86_400_000));
    assert_eq!(acme.fallback_window_ms("deposit_success"), None);
    assert_eq!(acme.events.ts_event_future_ms_max, 300_000);

    let globex = policy.partner("globex").unwrap();
    assert_eq!(globex.signature.place, Place::Body("signature".into()));
    assert_eq!(globex.in_flight_status, InFlightStatus::Conflict409);
    assert_eq!(&*globex.token.as_ref().unwrap().audience, "countersign");
    assert_eq!(globex.rate, Rate::per(50, 1_000, 200).unwrap(), "the default quota");

    let initech = policy.partner("initech").unwrap();
    assert_eq!(initech.signature.scheme, Scheme::StandardWebhooks);
    assert_eq!(initech.signature.tolerance_ms, 300_000);
    assert_eq!(initech.rate, Rate::per(5, 1_000, 20).unwrap(), "the burst is four seconds by default");
    assert!(initech.token.is_none());
}

#[test]
fn rotation_example_compiles_and_names_every_secret() {
    let json = file("examples/rotation.json");
    let policy = compile(&json).unwrap();
    assert_eq!(
        (policy.receipt.keys().len(), policy.attestation.len(), policy.click_id.keys.len()),
        (2, 2, 2)
    );
    assert_eq!(Policy::secret_names(&json).unwrap().len(), 8);
}

#[test]
fn a_partner_is_found_by_name_issuer_and_opaque_token() {
    let policy = compile(&file("examples/production.json")).unwrap();
    let name =
        |partner: Option<&countersign_core::policy::Partner>| partner.map(|partner| partner.name.to_string());
    assert_eq!(name(policy.partner("globex")).as_deref(), Some("globex"));
    assert_eq!(name(policy.partner("sandbox")), None, "production has no published partner");
    assert_eq!(name(policy.partner_by_issuer("acme")).as_deref(), Some("acme"));
    assert_eq!(name(policy.partner_by_issuer("initech")), None, "it has no tokens");
    let mut sha256 = *b"\x76\x65\x47\xfc\xd0\x53\xe9\xb0\x9a\xae\xe2\xf1\x92\x8f\x3f\x54\
                        \x50\x4a\x65\xe1\x46\xb0\xc7\x79\xee\xb0\x73\x00\x90\x4a\x24\xe1";
    assert_eq!(name(policy.partner_by_opaque_token(&sha256)).as_deref(), Some("globex"));
    sha256[31] ^= 1;
    assert_eq!(name(policy.partner_by_opaque_token(&sha256)), None);
}

#[test]
fn sandbox_example_needs_no_secret_and_has_the_published_partner() {
    let json = file("examples/countersign.json");
    assert_eq!(Policy::secret_names(&json), Ok(Vec::new()));
    let policy = Policy::compile(&json, &mut |name| panic!("asked for {name}")).unwrap();
    assert_eq!(policy.environment, Environment::Sandbox);
    assert_eq!(policy.click_id.verify, ClickVerify::Require);
    let partner = policy.partner("sandbox").unwrap();
    assert_eq!((partner.signature.scheme, partner.signature.keys.len()), (Scheme::Jcs, 1));
    assert_eq!(policy.partners().len(), 1);
}

#[test]
fn secret_names_are_those_that_compiling_asks_for() {
    let json = file("examples/production.json");
    let mut asked = Vec::new();
    Policy::compile(&json, &mut |name| {
        asked.push(name.to_owned());
        crate::host_secret(name)
    })
    .unwrap();
    let names = Policy::secret_names(&json).unwrap();
    assert_eq!(names, asked);
    assert_eq!(names.len(), 8);
}

#[test]
fn a_token_key_may_have_any_kid() {
    let json = file("examples/production.json");
    let longest = "k".repeat(128);
    for kid in [
        "wYzMDNjV2Y4IjZxMDO3EjNlBDM1I2N2MDMxgTYjhjZmJGZxgTY4EDM2UTN0ImNkZjM4YmZxMmMiFWMkVWZ2UDM_ES256",
        "9kZ+Qm/3c1R0bWl0LXRoaXMtaXMtbm90LWEta2V5LTE=",
        "urn:ietf:params:oauth:jwk-thumbprint:sha-256:VfTHzmF4Nc5n3nR2bU1cQ9l0kq5gYw3kD1sXo7mJ8aE",
        "kid@2026",
        "schl\u{fc}ssel 1",
        &longest,
    ] {
        let kid_json = serde_json::to_string(kid).unwrap();
        let policy = compile(&changed(&json, &[("/partners/acme/token/keys/0/id", &kid_json)])).unwrap();
        let token = policy.partner("acme").unwrap().token.as_ref().unwrap();
        assert_eq!(&**token.keys[0].id(), kid);
        // The ids that operators name stand in metrics as they are, and keep their alphabet.
        let is_plain = kid.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && kid.len() <= 64;
        let signature = mistakes(&changed(&json, &[("/partners/acme/signature/keys/0/id", &kid_json)]));
        assert_eq!(signature.is_empty(), is_plain, "{signature:?}");
    }
}

/// The first JSON example of every section of the page that has one.
fn examples_of(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n##").filter_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        let json = text.split("```json\n").nth(1)?.split("```").next()?;
        Some((heading.trim_matches(['#', ' ']), json))
    })
}

#[test]
fn every_example_in_the_page_compiles() {
    let page = file("docs/config.md");
    let documents = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let documents: Vec<&str> = documents.filter(|block| block.contains("\"version\"")).collect();
    assert_eq!(documents.len(), 2, "whole documents");
    for document in documents {
        assert_eq!(mistakes(document), Vec::<String>::new(), "{document}");
    }

    let production = file("examples/production.json");
    let mut sections = Vec::new();
    for (heading, json) in examples_of(&page) {
        let pointer = match heading {
            "limits" | "dedup" | "click_id" | "campaigns" | "redirect" | "ledger" | "privacy" | "admin" => {
                format!("/{heading}")
            }
            "signature" | "token" | "source" | "rate" | "events" | "contract" => {
                format!("/partners/acme/{heading}")
            }
            _ => continue,
        };
        assert_eq!(mistakes(&changed(&production, &[(&pointer, json)])), Vec::<String>::new(), "{heading}");
        sections.push(heading);
    }
    assert_eq!(sections.len(), 14, "{sections:?}");
}

#[test]
fn page_publishes_the_keys_of_the_sandbox() {
    let page = file("docs/config.md");
    for secret in [
        sandbox::SIGNING_SECRET,
        sandbox::CLICK_SECRET,
        sandbox::RECEIPT_SECRET,
        sandbox::ATTESTATION_SECRET,
        sandbox::ADMIN_TOKEN,
    ] {
        assert!(page.contains(&format!("| `{secret}` |")), "{secret}");
    }
}

#[test]
fn a_scope_is_environment_and_name_and_what_is_remembered_follows_from_the_upstream() {
    const DAY_MS: u64 = 86_400_000;
    let production = file("examples/production.json");
    let past = |json: &str| compile(json).unwrap().partner("acme").unwrap().ts_event_past_ms_max;
    let knows = |json: &str| compile(json).unwrap().upstream_is_idempotent;
    let scope = |json: &str| compile(json).unwrap().scope.to_string();
    let sandbox = r#"{ "version": 1, "environment": "sandbox" }"#;
    assert_eq!((&*scope(&production), &*scope(sandbox)), ("production/default", "sandbox/default"));
    assert_eq!(scope(&changed(&production, &[("/name", r#""eu-1""#)])), "production/eu-1");

    let [knowing, not] = ["true", "false"].map(|word| [("/upstream", format!(r#"{{"idempotent":{word}}}"#))]);
    let with = |upstream: &[(&'static str, String)], more: &[(&'static str, &'static str)]| {
        let mut changes: Vec<(&str, &str)> =
            upstream.iter().map(|(pointer, json)| (*pointer, json.as_str())).collect();
        changes.extend_from_slice(more);
        changed(&production, &changes)
    };
    let bound = [("/partners/acme/ts_event_past_seconds_max", "3600")];
    assert_eq!(
        (knows(&with(&not, &[])), past(&with(&not, &[]))),
        (false, Some(30 * DAY_MS)),
        "the retention"
    );
    assert_eq!((knows(&with(&knowing, &[])), past(&with(&knowing, &[]))), (true, None), "any age");
    assert_eq!(past(&with(&not, &bound)), Some(3_600_000));
    assert_eq!(past(&with(&knowing, &bound)), Some(3_600_000), "a bound that is written holds");
    assert!(knows(sandbox), "a sandbox takes what was signed yesterday");
}
