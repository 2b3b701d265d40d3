//! Networks and client addresses: by table, by the JSON-Schema address cases, by Envoy's own examples.
#![cfg(test)]

mod third_party;

use std::net::IpAddr;

use countersign_core::headers::Headers;
use countersign_core::source::{
    Cidr, CidrProblem, HOPS_MAX, Identity, SourcePolicy, SourceReject, check, client_address,
};
use countersign_core::store::SourceKey;
use serde_json::Value;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn networks(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| Cidr::parse(text).unwrap()).collect()
}

#[test]
fn a_network_holds_exactly_its_addresses() {
    for (network, inside, outside) in [
        ("203.0.113.0/24", "203.0.113.0", "203.0.112.255"),
        ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
        ("203.0.113.0/24", "::ffff:203.0.113.7", "::ffff:203.0.114.7"),
        ("203.0.113.0/24", "203.0.113.7", "2001:db8::cb00:7107"),
        ("203.0.113.7", "203.0.113.7", "203.0.113.6"),
        ("203.0.113.7/32", "203.0.113.7", "203.0.113.8"),
        ("203.0.113.6/31", "203.0.113.7", "203.0.113.8"),
        ("128.0.0.0/1", "255.255.255.255", "127.255.255.255"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "ffff::", "0.0.0.1"),
        ("::/0", "::1", "::ffff:203.0.113.7"),
        ("::/96", "::7", "0.0.0.7"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("2001:db8::7", "2001:db8::7", "2001:db8::6"),
        ("8000::/1", "ffff::", "7fff::"),
        ("::ffff:203.0.113.0/120", "203.0.113.9", "203.0.114.9"),
        ("::ffff:0.0.0.0/96", "203.0.113.9", "::1"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"),
    ] {
        let parsed = Cidr::parse(network).unwrap();
        assert!(parsed.contains(ip(inside)), "{network} holds {inside}");
        assert!(!parsed.contains(ip(outside)), "{network} does not hold {outside}");
        assert_eq!(Cidr::parse(&parsed.to_string()), Ok(parsed), "{network} is read as it is shown");
    }
}

#[test]
fn what_is_not_a_network_is_refused_with_its_reason() {
    use CidrProblem::{Address, Prefix};
    for (text, problem) in [
        ("", Address),
        ("/", Address),
        ("/24", Address),
        ("example.org/24", Address),
        ("203.0.113/24", Address),
        ("203.0.113.0.0/24", Address),
        ("203.0.113.00/24", Address),
        (" 203.0.113.0/24", Address),
        ("[2001:db8::]/32", Address),
        ("fe80::1%eth0", Address),
        ("203.0.113.0/", Prefix),
        ("203.0.113.0/33", Prefix),
        ("203.0.113.0/024", Prefix),
        ("203.0.113.0/+24", Prefix),
        ("203.0.113.0/-1", Prefix),
        ("203.0.113.0/24 ", Prefix),
        ("203.0.113.0/24/24", Prefix),
        ("203.0.113.0/255.255.255.0", Prefix),
        ("203.0.113.0/256", Prefix),
        ("2001:db8::/129", Prefix),
    ] {
        assert_eq!(Cidr::parse(text), Err(problem), "{text:?}");
    }
    for (text, network) in [
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.113.1/31", "203.0.113.0/31"),
        ("0.0.0.1/0", "0.0.0.0/0"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
        ("::ffff:0.0.0.0/95", "::fffe:0:0/95"),
    ] {
        let problem = Cidr::parse(text).unwrap_err();
        assert_eq!(problem, CidrProblem::HostBits { network: Cidr::parse(network).unwrap() }, "{text}");
        assert!(problem.to_string().contains(network), "{problem}");
    }
}

#[test]
fn the_json_schema_address_cases_hold() {
    // Refused there since each format has its own kind only; a network of ours takes both, and a prefix.
    const OURS: &[&str] = &["::ffff:192.168.0.1", "127.0.0.1", "192.168.1.0/24", "fe80::/64"];
    let mut run = 0;
    for file in ["ipv4.json", "ipv6.json"] {
        let Some(text) = third_party::read(&format!("json-schema-formats/{file}")) else { return };
        let groups: Value = serde_json::from_str(&text).unwrap();
        for case in groups.as_array().unwrap().iter().flat_map(|group| group["tests"].as_array().unwrap()) {
            // The format says nothing of values that are no strings; a network is always written as one.
            let Some(text) = case["data"].as_str() else { continue };
            let valid = case["valid"].as_bool().unwrap() || OURS.contains(&text);
            assert_eq!(Cidr::parse(text).is_ok(), valid, "{text:?}: {}", case["description"]);
            run += 1;
        }
    }
    assert!(run >= 60, "only {run} cases were found");
}

/// The client behind a peer, with one `x-forwarded-for` field per text.
fn client(peer: &str, trusted: &[&str], fields: &[&str]) -> Option<String> {
    let fields = fields.iter().map(|value| (&b"X-Forwarded-For"[..], value.as_bytes())).collect::<Vec<_>>();
    client_address(Some(ip(peer)), &networks(trusted), Headers(&fields)).map(|address| address.to_string())
}

#[test]
fn the_client_is_the_nearest_address_that_is_not_a_trusted_proxy() {
    let trusted = &["10.0.0.0/8", "2001:db8::/32"];
    for (peer, fields, expected) in [
        // From a peer that is not trusted the header is an assertion of the sender's own.
        ("203.0.113.9", &["10.0.0.1"][..], Some("203.0.113.9")),
        ("203.0.113.9", &[], Some("203.0.113.9")),
        ("::ffff:203.0.113.9", &[], Some("203.0.113.9")),
        ("10.0.0.1", &[], Some("10.0.0.1")),
        ("10.0.0.1", &[""], Some("10.0.0.1")),
        ("10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
        // What the sender made up stands further left, and is never reached.
        ("10.0.0.1", &["198.51.100.1, 203.0.113.9"], Some("203.0.113.9")),
        ("10.0.0.1", &["10.9.9.9, 203.0.113.9"], Some("203.0.113.9")),
        ("10.0.0.1", &["garbage, 203.0.113.9"], Some("203.0.113.9")),
        ("10.0.0.1", &["203.0.113.9, 10.0.0.2 ,10.0.0.3"], Some("203.0.113.9")),
        ("10.0.0.1", &["203.0.113.9, , ,"], Some("203.0.113.9")),
        ("10.0.0.1", &["198.51.100.1", "203.0.113.9", "10.0.0.3"], Some("203.0.113.9")),
        ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], Some("10.0.0.2")),
        ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], Some("203.0.113.9")),
        ("2001:db8::1", &["2001:db9::9"], Some("2001:db9::9")),
        ("10.0.0.1", &["203.0.113.9:4711"], Some("203.0.113.9")),
        ("10.0.0.1", &["[2001:db9::9]:4711"], Some("2001:db9::9")),
        ("10.0.0.1", &["[2001:db9::9]"], Some("2001:db9::9")),
        ("10.0.0.1", &["[::ffff:203.0.113.9]"], Some("203.0.113.9")),
        ("10.0.0.1", &["[::ffff:203.0.113.9]:4711"], Some("203.0.113.9")),
        ("10.0.0.1", &["203.0.113.9,[2001:db8::1]"], Some("203.0.113.9")),
        ("10.0.0.1", &["203.0.113.9,[2001:db8::1]:80"], Some("203.0.113.9")),
        ("10.0.0.1", &["[2001:db9::9], 10.1.2.3"], Some("2001:db9::9")),
        // A trusted proxy vouches for something that is not an address: nobody knows the client.
        ("10.0.0.1", &["[203.0.113.9]"], None),
        ("10.0.0.1", &["[2001:db9::9"], None),
        ("10.0.0.1", &["2001:db9::9]"], None),
        ("10.0.0.1", &["[[2001:db9::9]]"], None),
        ("10.0.0.1", &["[ 2001:db9::9 ]"], None),
        ("10.0.0.1", &["[]"], None),
        ("10.0.0.1", &["[2001:db9::9]:"], None),
        ("10.0.0.1", &["[2001:db9::9]:65536"], None),
        ("10.0.0.1", &["2001:db9::9%1"], None),
        ("10.0.0.1", &["[fe80::9%eth0]"], None),
        ("10.0.0.1", &["[fe80::9%1]:80"], None),
        ("10.0.0.1", &["unknown"], None),
        ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], None),
        ("10.0.0.1", &["203.0.113.9;"], None),
        ("10.0.0.1", &["203.0.113.09"], None),
        ("10.0.0.1", &["\"203.0.113.9\""], None),
        ("10.0.0.1", &["203.0.113.9 10.0.0.2"], None),
    ] {
        assert_eq!(client(peer, trusted, fields).as_deref(), expected, "{peer} {fields:?}");
    }
    assert_eq!(
        client_address(None, &networks(trusted), Headers(&[(b"x-forwarded-for", b"203.0.113.9")])),
        None
    );
    let not_text = [(&b"x-forwarded-for"[..], &b"\xFF"[..])];
    assert_eq!(client_address(Some(ip("10.0.0.1")), &networks(trusted), Headers(&not_text)), None);
}

#[test]
fn more_proxies_than_the_maximum_are_not_followed() {
    let proxies = |count: usize| format!("203.0.113.9{}", ", 10.0.0.2".repeat(count));
    let client = |count| client("10.0.0.1", &["10.0.0.0/8"], &[&proxies(count)]);
    assert_eq!(client(HOPS_MAX.saturating_sub(1)).as_deref(), Some("203.0.113.9"));
    assert_eq!(client(HOPS_MAX), None);
}

#[test]
fn envoys_examples_hold() {
    let Some(text) = third_party::read("xff/envoy-xff-examples.json") else { return };
    let examples: Value = serde_json::from_str(&text).unwrap();
    let cases = examples["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let peer = case["peer"].as_str().unwrap();
        let forwarded = case["xff"].as_str();
        // Envoy counts hops where we name networks. `use_remote_address` makes the peer the first hop that is counted;
        // without it the peer is another proxy, trusted in any case.
        let hops = usize::try_from(case["xff_num_trusted_hops"].as_u64().unwrap()).unwrap();
        let edge = case["use_remote_address"].as_bool().unwrap();
        let chain = forwarded.iter().flat_map(|list| list.split(", ")).chain([peer]).collect::<Vec<_>>();
        let trusted_hops = if edge { hops } else { hops.saturating_add(1) };
        let trusted = chain.iter().rev().take(trusted_hops).copied().collect::<Vec<_>>();
        let fields = forwarded.iter().copied().collect::<Vec<_>>();
        assert_eq!(
            client(peer, &trusted, &fields).as_deref(),
            case["trusted_client_address"].as_str(),
            "{}",
            case["id"]
        );
    }
}

const DIGEST: [u8; 32] = [
    0x46, 0x8e, 0xd3, 0x3b, 0xe7, 0x4e, 0xee, 0x65, 0x56, 0xd9, 0x0c, 0x01, 0x49, 0xc1, 0x30, 0x9e, 0x9b,
    0xa6, 0x1d, 0x64, 0x25, 0x30, 0x34, 0x43, 0xc0, 0x74, 0x8a, 0x02, 0xdd, 0x8d, 0xe6, 0x88,
];
const ACME: Identity<'static> = Identity::Uri("spiffe://acme/postbacks");

#[test]
fn a_source_must_meet_every_list_that_is_not_empty() {
    let allow = networks(&["203.0.113.0/24"]);
    let anywhere = SourcePolicy::default();
    let by_address = SourcePolicy { allow: allow.clone(), ..SourcePolicy::default() };
    let by_uri =
        SourcePolicy { certificate_uri: vec!["spiffe://acme/postbacks".into()], ..SourcePolicy::default() };
    let by_digest = SourcePolicy { certificate_sha256: vec![DIGEST], ..SourcePolicy::default() };
    let by_all = SourcePolicy {
        allow,
        certificate_uri: vec!["spiffe://acme/postbacks".into()],
        certificate_sha256: vec![[1; 32], DIGEST],
    };
    let (inside, outside) = (Some(ip("::ffff:203.0.113.9")), Some(ip("203.0.114.9")));
    let digest = Identity::Sha256(DIGEST);
    let mut other = DIGEST;
    other[31] ^= 1;
    let other = Identity::Sha256(other);
    let (address, certificate) = (Err(SourceReject::Address), Err(SourceReject::Certificate));
    for (policy, from, identities, expected) in [
        (&anywhere, None, &[][..], Ok(())),
        (&by_address, inside, &[], Ok(())),
        (&by_address, outside, &[], address),
        (&by_address, None, &[], address),
        (&by_uri, None, &[ACME], Ok(())),
        (&by_uri, None, &[other, ACME], Ok(())),
        (&by_uri, None, &[], certificate),
        (&by_uri, None, &[digest], certificate),
        (&by_uri, None, &[Identity::Uri("spiffe://acme/postbacks/")], certificate),
        (&by_uri, None, &[Identity::Uri("spiffe://ACME/postbacks")], certificate),
        (&by_digest, None, &[digest], Ok(())),
        (&by_digest, None, &[other], certificate),
        (&by_digest, None, &[ACME], certificate),
        (&by_all, inside, &[ACME], Ok(())),
        (&by_all, inside, &[digest], Ok(())),
        (&by_all, inside, &[other], certificate),
        (&by_all, outside, &[ACME, digest], address),
        (&by_all, outside, &[], address),
    ] {
        assert_eq!(check(policy, from, identities.iter().copied()), expected, "{from:?} {identities:?}");
    }
}

#[test]
fn a_source_is_whoever_has_the_address() {
    let key = |text: &str| SourceKey::of(ip(text));
    for (address, same) in [
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("64:ff9b::cb00:7107", "203.0.113.7"),
        ("64:ff9b:1::cb00:7107", "203.0.113.7"),
        ("64:ff9b:1:abcd:ef01:2345:cb00:7107", "203.0.113.7"),
        ("2002:cb00:7107::1", "203.0.113.7"),
        ("2002:cb00:7107:ffff::1", "203.0.113.7"),
        // RFC 4380 §4: the client's address has every bit inverted.
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
        ("2001:db8::1", "2001:db8:0:0:ffff::2"),
    ] {
        assert_eq!(key(address), key(same), "{address}");
    }
    for (one, other) in [
        ("64:ff9b::cb00:7107", "64:ff9b::c633:6401"),
        ("64:ff9b:1::cb00:7107", "64:ff9b:1::c633:6401"),
        ("2002:cb00:7107::1", "2002:cb00:7108::1"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:4136:e378:8000:63bf:3fff:fdd3"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        // Networks of nobody's translator.
        ("64:ff9b:0:1::cb00:7107", "203.0.113.7"),
        ("64:ff9b:2::cb00:7107", "203.0.113.7"),
        ("2001:1::3fff:fdd2", "192.0.2.45"),
    ] {
        assert_ne!(key(one), key(other), "{one}");
    }
}
