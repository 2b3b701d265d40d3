//! Check 5: addresses and client certificates.

use countersign_core::outcome::Code::{Accepted, CertificateNotAllowed, SourceNotAllowed};

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
        ("ipv6-address-in-brackets-is-allowed", "[2001:db8:42::7]", Accepted),
        ("mapped-address-in-brackets-is-its-ipv4-address", "[::ffff:203.0.113.7]", Accepted),
        ("mapped-address-in-brackets-with-a-port-is-allowed", "[::ffff:203.0.113.7]:4711", Accepted),
        ("address-in-brackets-behind-a-trusted-hop-is-allowed", "[2001:db8:42::7], 10.1.2.3", Accepted),
        ("trusted-hop-in-brackets-is-passed-over", "203.0.113.7,[2001:db8:ffff::1]", Accepted),
        ("ipv4-address-in-brackets-is-nobody", "[203.0.113.7]", SourceNotAllowed),
        ("address-with-an-open-bracket-is-nobody", "[2001:db8:42::7", SourceNotAllowed),
        ("address-with-a-zone-is-nobody", "2001:db8:42::7%1", SourceNotAllowed),
        ("address-with-a-zone-in-brackets-is-nobody", "[2001:db8:42::7%1]:4711", SourceNotAllowed),
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

/// A certificate with the URI names `https://certified.example/` and `spiffe://certified/postbacks`, and a DNS name.
const HONEST: &str = include_str!("../../../components/core/tests/certificates/honest.pem");
/// A certificate with the one URI name `spiffe://evil/x;URI=spiffe://certified/postbacks`.
const HOSTILE: &str = include_str!("../../../components/core/tests/certificates/hostile.pem");

/// A certificate as Envoy encodes it.
fn encoded(pem: &str) -> String {
    [("\n", "%0A"), (" ", "%20"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")]
        .into_iter()
        .fold(pem.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn certificate() -> Vec<Entry> {
    const DIGEST: &str = "56d3748c2ca306df2b58bd598cc9ceeb406f598edd51311fea4489aa8bb111a2";
    const RIGHT: &str = "URI=spiffe://certified/postbacks";
    let certified = |value: &str| Draft::of("certified").header("x-forwarded-client-cert", value);
    let (honest, hostile) = (encoded(HONEST), encoded(HOSTILE));
    let why = "x-forwarded-client-cert is read as Envoy writes it, and only where it can be read in one way.";
    let mut entries: Vec<Entry> = Vec::new();
    let allowed = [
        ("certificate-uri-is-allowed", RIGHT.to_owned()),
        ("certificate-digest-is-allowed", format!("Hash={DIGEST}")),
        ("certificate-digest-in-upper-case-is-allowed", format!("Hash={}", DIGEST.to_uppercase())),
        ("digest-or-uri-suffices", format!("Hash={};{RIGHT}", "0".repeat(64))),
        (
            "certificate-behind-all-that-envoy-writes-is-allowed",
            format!("By=spiffe://a;By=spiffe://b;Hash={DIGEST};Subject=\"CN=a\\,O=\\\"b\\\"\\;c\";{RIGHT}"),
        ),
        (
            "one-of-several-uris-is-allowed-by-the-certificate-itself",
            format!("Cert=\"{honest}\";URI=https://certified.example/;{RIGHT};DNS=certified.example"),
        ),
        ("several-uris-are-allowed-by-the-digest", format!("Hash={DIGEST};URI=spiffe://other;{RIGHT}")),
    ];
    let refused = [
        ("other-certificate-uri-is-refused", "URI=spiffe://certified/other".to_owned()),
        ("longer-certificate-uri-is-refused", format!("{RIGHT}/x")),
        ("other-certificate-digest-is-refused", format!("Hash={}", "0".repeat(64))),
        ("short-certificate-digest-is-refused", format!("Hash={}", &DIGEST[..62])),
        ("uri-of-the-proxy-itself-is-refused", format!("By={}", &RIGHT[4..])),
        ("subject-that-reads-like-a-uri-is-refused", format!("Subject=\"x;{RIGHT}\"")),
        ("two-uris-can-be-one-with-a-semicolon", format!("URI=spiffe://evil/x;{RIGHT}")),
        ("uri-before-another-can-be-one-with-a-semicolon", format!("{RIGHT};URI=spiffe://evil/x")),
        ("uri-before-a-dns-name-can-be-one-with-a-semicolon", format!("{RIGHT};DNS=x")),
        ("dns-name-does-not-become-a-uri", format!("URI=;DNS=x;{RIGHT}")),
        ("name-does-not-become-a-digest", format!("URI=spiffe://evil/x;Hash={DIGEST}")),
        ("name-does-not-become-a-second-digest", format!("Hash={};URI=x;Hash={DIGEST}", "0".repeat(64))),
        ("two-digests-are-not-believed", format!("Hash={DIGEST};Hash={DIGEST}")),
        ("name-does-not-become-an-element", format!("URI=spiffe://evil/x,Hash={DIGEST};{RIGHT}")),
        ("certificate-tells-one-name-from-two", format!("Cert=\"{hostile}\";URI=spiffe://evil/x;{RIGHT}")),
        ("certificate-of-another-digest-is-refused", format!("Hash={DIGEST};Cert=\"{honest}\";{RIGHT}")),
        ("certificate-that-is-none-is-refused", format!("Cert=\"-----BEGIN%20CERTIFICATE-----\";{RIGHT}")),
        ("certificate-uri-in-quotes-is-refused", format!("URI=\"{}\"", &RIGHT[4..])),
        ("unknown-pair-spoils-the-certificate", format!("SAN=x;{RIGHT}")),
        ("appended-certificate-element-is-refused", format!("URI=spiffe://inner,{RIGHT}")),
        ("earlier-certificate-element-is-refused", format!("{RIGHT},URI=spiffe://inner")),
        (
            "open-quote-of-a-client-swallows-no-element",
            format!("Subject=\"x,Hash={};URI=y\";{RIGHT}", "0".repeat(64)),
        ),
        ("open-quote-spoils-the-certificate", format!("Subject=\"x,{RIGHT}")),
        ("certificate-without-a-name-is-refused", RIGHT[4..].to_owned()),
        ("trailing-separator-spoils-the-certificate", format!("{RIGHT};")),
        ("empty-certificate-field-is-refused", String::new()),
    ];
    entries.extend(allowed.map(|(id, value)| one(id, why, certified(&value), Accepted)));
    entries.extend(refused.map(|(id, value)| one(id, why, certified(&value), CertificateNotAllowed)));
    let several = "Of several fields, which is the proxy's own is unknown.";
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
            certified(RIGHT).peer(STRANGER),
            CertificateNotAllowed,
        ),
        one(
            "last-certificate-field-is-not-believed",
            several,
            certified("URI=spiffe://inner").also("x-forwarded-client-cert", RIGHT),
            CertificateNotAllowed,
        ),
        one(
            "repeated-certificate-field-is-not-believed",
            several,
            certified(RIGHT).also("x-forwarded-client-cert", RIGHT),
            CertificateNotAllowed,
        ),
    ]);
    entries
}
