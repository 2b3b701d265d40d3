//! Check 5: addresses and client certificates.

use countersign_core::outcome::Code::{self, Accepted, CertificateNotAllowed, SourceNotAllowed};

use super::draft::{Draft, STRANGER};
use super::{Chapter, Entry, one};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Gate, name, comment, config: "gate", entries };
    vec![
        chapter(
            "address",
            "Check 5: the client's address, through trusted proxies and past strangers.",
            address(),
        ),
        chapter(
            "certificate",
            "Check 5: the client's certificate, as a trusted proxy forwards it.",
            certificate(),
        ),
    ]
}

fn address() -> Vec<Entry> {
    let walled = || Draft::of("walled");
    let mut entries = Vec::new();
    for (id, forwarded, code) in [
        ("address-in-the-network-is-allowed", "203.0.113.255", Accepted),
        ("address-beside-the-network-is-refused", "203.0.114.0", SourceNotAllowed),
        ("single-address-is-allowed", "198.51.100.7", Accepted),
        ("neighbour-of-a-single-address-is-refused", "198.51.100.8", SourceNotAllowed),
        ("ipv6-address-in-the-network-is-allowed", "2001:db8:42:ffff::1", Accepted),
        ("ipv6-address-beside-the-network-is-refused", "2001:db8:43::1", SourceNotAllowed),
        ("mapped-address-is-its-ipv4-address", "::ffff:203.0.113.9", Accepted),
        ("mapped-address-outside-is-refused", "::ffff:192.0.2.1", SourceNotAllowed),
        ("address-with-a-port-is-allowed", "203.0.113.7:4711", Accepted),
        ("ipv6-address-with-a-port-is-allowed", "[2001:db8:42::7]:4711", Accepted),
        ("nearest-untrusted-hop-is-the-client", "192.0.2.1, 203.0.113.7", Accepted),
        ("what-the-client-claims-is-not-believed", "203.0.113.7, 192.0.2.1", SourceNotAllowed),
        ("trusted-hops-are-passed-over", "203.0.113.7, 10.1.2.3, 127.0.0.9", Accepted),
        ("trusted-ipv6-hop-is-passed-over", "203.0.113.7, 2001:db8:ffff::1", Accepted),
        ("leftmost-hop-counts-where-all-are-trusted", "10.0.0.1, 10.0.0.2", SourceNotAllowed),
        ("element-that-is-no-address-is-nobody", "203.0.113.7, unknown", SourceNotAllowed),
        ("name-behind-a-trusted-hop-is-nobody", "localhost, 10.1.2.3", SourceNotAllowed),
        ("empty-elements-count-for-nothing", "203.0.113.7, ,", Accepted),
        ("empty-list-leaves-the-proxy-as-the-client", "", SourceNotAllowed),
    ] {
        let why = "x-forwarded-for is read from the right, and believed as far as trusted proxies wrote it.";
        entries.push(one(id, why, walled().client(forwarded), code));
    }
    let hops = |count| format!("203.0.113.7{}", ", 10.0.0.1".repeat(count));
    let apart = walled().client("203.0.113.7").also("x-forwarded-for", "10.9.9.9");
    let outside = walled().client("203.0.113.7").also("x-forwarded-for", "192.0.2.1");
    entries.extend([
        one(
            "thirty-one-proxies-are-passed-over",
            "The last that are counted.",
            walled().client(&hops(31)),
            Accepted,
        ),
        one(
            "too-many-proxies-are-nobody",
            "A list of addresses without end costs time.",
            walled().client(&hops(33)),
            SourceNotAllowed,
        ),
        one("fields-of-forwarded-addresses-are-one-list", "RFC 9110 §5.3.", apart, Accepted),
        one("last-field-of-forwarded-addresses-is-nearest", "RFC 9110 §5.3.", outside, SourceNotAllowed),
        one(
            "proxy-itself-is-not-allowed-for-being-trusted",
            "Trust is in what it says.",
            walled().without("x-forwarded-for"),
            SourceNotAllowed,
        ),
        one(
            "stranger-is-its-own-address",
            "A peer that is no trusted proxy.",
            walled().peer(STRANGER).client("192.0.2.1"),
            Accepted,
        ),
        one(
            "stranger-cannot-claim-an-address",
            "It could claim any.",
            walled().peer("127.201.0.1"),
            SourceNotAllowed,
        ),
        one(
            "anywhere-is-allowed-without-a-list",
            "No list demands nothing.",
            Draft::of("plain").client("192.0.2.1"),
            Accepted,
        ),
        one(
            "unknown-client-is-allowed-without-a-list",
            "No list demands nothing.",
            Draft::of("plain").client("unknown"),
            Accepted,
        ),
    ]);
    entries
}

fn certificate() -> Vec<Entry> {
    const DIGEST: &str = "56d3748c2ca306df2b58bd598cc9ceeb406f598edd51311fea4489aa8bb111a2";
    let certified = |value: &str| Draft::of("certified").header("x-forwarded-client-cert", value);
    let right = "URI=spiffe://certified/postbacks";
    let why = "x-forwarded-client-cert is read as Envoy writes it; only its last element is the proxy's own.";
    let mut entries: Vec<Entry> = Vec::new();
    let cases: [(&str, String, Code); 18] = [
        ("certificate-uri-is-allowed", right.to_owned(), Accepted),
        ("certificate-digest-is-allowed", format!("Hash={DIGEST}"), Accepted),
        ("certificate-digest-in-upper-case-is-allowed", format!("Hash={}", DIGEST.to_uppercase()), Accepted),
        (
            "certificate-uri-in-quotes-is-allowed",
            format!("By=spiffe://gate;Subject=\"CN=a, O=\\\"b\\\";c\";URI=\"{}\"", &right[4..]),
            Accepted,
        ),
        ("one-of-several-uris-is-allowed", format!("URI=spiffe://other;{right}"), Accepted),
        ("digest-or-uri-suffices", format!("Hash={};{right}", "0".repeat(64)), Accepted),
        (
            "other-certificate-uri-is-refused",
            "URI=spiffe://certified/other".to_owned(),
            CertificateNotAllowed,
        ),
        ("longer-certificate-uri-is-refused", format!("{right}/x"), CertificateNotAllowed),
        ("other-certificate-digest-is-refused", format!("Hash={}", "0".repeat(64)), CertificateNotAllowed),
        ("short-certificate-digest-is-refused", format!("Hash={}", &DIGEST[..62]), CertificateNotAllowed),
        ("uri-of-the-proxy-itself-is-refused", format!("By={}", &right[4..]), CertificateNotAllowed),
        ("subject-that-reads-like-a-uri-is-refused", format!("Subject=\"x;{right}\""), CertificateNotAllowed),
        ("last-certificate-element-counts", format!("URI=spiffe://inner,{right}"), Accepted),
        (
            "earlier-certificate-element-is-not-believed",
            format!("{right},URI=spiffe://inner"),
            CertificateNotAllowed,
        ),
        ("open-quote-spoils-the-certificate", format!("Subject=\"x,{right}"), CertificateNotAllowed),
        (
            "certificate-without-a-name-is-refused",
            "spiffe://certified/postbacks".to_owned(),
            CertificateNotAllowed,
        ),
        ("trailing-separator-spoils-the-certificate", format!("{right};"), CertificateNotAllowed),
        ("empty-certificate-field-is-refused", String::new(), CertificateNotAllowed),
    ];
    for (id, value, code) in cases {
        entries.push(one(id, why, certified(&value), code));
    }
    let spoiled = certified("Subject=\"x").also("x-forwarded-client-cert", "URI=spiffe://inner");
    entries.extend([
        one(
            "missing-certificate-is-refused",
            "A partner with a list needs one.",
            Draft::of("certified"),
            CertificateNotAllowed,
        ),
        one(
            "stranger-cannot-forward-a-certificate",
            "It could forward any.",
            certified(right).peer(STRANGER),
            CertificateNotAllowed,
        ),
        one(
            "last-certificate-field-counts",
            "Several fields are one list (RFC 9110 §5.3), joined by a proxy or not.",
            certified("URI=spiffe://inner").also("x-forwarded-client-cert", right),
            Accepted,
        ),
        one(
            "earlier-certificate-field-is-not-believed",
            "Several fields are one list (RFC 9110 §5.3), joined by a proxy or not.",
            certified(right).also("x-forwarded-client-cert", "URI=spiffe://inner"),
            CertificateNotAllowed,
        ),
        one(
            "malformed-field-spoils-the-certificate-in-the-next",
            "Joined by a proxy, its open quote would swallow the border between the two.",
            spoiled.also("x-forwarded-client-cert", right),
            CertificateNotAllowed,
        ),
    ]);
    entries
}
