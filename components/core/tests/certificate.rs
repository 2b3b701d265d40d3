//! `x-forwarded-client-cert`: what can be read in one way is known, and nothing else.
#![cfg(test)]

use std::net::IpAddr;

use countersign_core::headers::Headers;
use countersign_core::source::{
    Cidr, FORWARDED_CERTIFICATE_BYTES_MAX, ForwardedProblem, Identity, forwarded_certificate,
};

const HONEST: &str = include_str!("certificates/honest.pem");
/// Its one URI name is `spiffe://evil/x;URI=spiffe://certified/postbacks`.
const HOSTILE: &str = include_str!("certificates/hostile.pem");
const HASH: &str = "e85cbbd06104398f38763bab7b632903bc5f3b3da55874aebf13290466d85b85";
const HOSTILE_HASH: &str = "5c7185cca7b3872969e19c7ce59b315b28401dd4743891025adb3ad7daa241e8";
const CERTIFIED: &str = "spiffe://certified/postbacks";

/// As Envoy encodes it.
fn encoded(pem: &str) -> String {
    [("\n", "%0A"), (" ", "%20"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")]
        .into_iter()
        .fold(pem.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the fields tell a gate that trusts 10.0.0.0/8, and why no more.
fn read(peer: &str, fields: &[&str]) -> (Vec<String>, Option<ForwardedProblem>) {
    let fields: Vec<_> =
        fields.iter().map(|value| (&b"X-Forwarded-Client-Cert"[..], value.as_bytes())).collect();
    let peer: IpAddr = peer.parse().unwrap();
    let trusted = [Cidr::parse("10.0.0.0/8").unwrap()];
    let found = forwarded_certificate(Some(peer), &trusted, Headers(&fields));
    let identities = found.identities().map(|identity| match identity {
        Identity::Uri(uri) => uri.to_owned(),
        Identity::Sha256(digest) => hex(digest),
    });
    (identities.collect(), found.problem())
}

/// Puts hashes and certificates in the place of their names.
fn filled(field: &str) -> String {
    field
        .replace("{hash}", HASH)
        .replace("{hostile-hash}", HOSTILE_HASH)
        .replace("{cert}", &encoded(HONEST))
        .replace("{hostile}", &encoded(HOSTILE))
}

#[track_caller]
fn is(field: &str, expected: &[&str], problem: Option<ForwardedProblem>) {
    let field = filled(field);
    let expected: Vec<_> = expected.iter().map(|text| filled(text)).collect();
    assert_eq!(read("10.0.0.1", &[&field]), (expected, problem), "{field}");
    assert_eq!(read("203.0.113.9", &[&field]), (Vec::new(), None), "{field} from a peer that is not trusted");
}

#[test]
fn what_envoy_writes_is_known() {
    for (field, expected) in [
        ("By=http://front;Hash={hash};URI=spiffe://certified/postbacks", &["{hash}", CERTIFIED][..]),
        ("By=spiffe://a;By=spiffe://b;Hash={hash};URI=spiffe://certified/postbacks", &["{hash}", CERTIFIED]),
        ("URI=spiffe://certified/postbacks", &[CERTIFIED]),
        ("Hash={hash}", &["{hash}"]),
        ("hash={hash};uri=a", &["{hash}", "a"]),
        ("By=;Hash={hash};Subject=\"\";URI=", &["{hash}"]),
        ("Hash={hash};Subject=\"CN=F\\;r\\\"\\\\,O=x\";URI=a=b", &["{hash}", "a=b"]),
        ("Hash={hash};DNS=certified.example", &["{hash}"]),
        // Not a SHA-256.
        ("Hash={hash}0;URI=a", &["a"]),
        ("Hash=468ed33b;URI=a", &["a"]),
        // All names, from the certificate itself.
        (
            "Hash={hash};Cert=\"{cert}\";Subject=\"CN=honest\";URI=https://certified.example/;URI=spiffe://certified/postbacks;DNS=certified.example",
            &["{hash}", "https://certified.example/", CERTIFIED],
        ),
        (
            "By=x;Hash={hash};Cert=\"{cert}\";Chain=\"{cert}\"",
            &["{hash}", "https://certified.example/", CERTIFIED],
        ),
        ("Cert=\"{cert}\";URI=spiffe://another", &["{hash}", "https://certified.example/", CERTIFIED]),
    ] {
        is(field, expected, None);
    }
}

#[test]
fn names_that_can_be_read_in_two_ways_are_not_known() {
    let ambiguous = Some(ForwardedProblem::Ambiguous);
    // Whether there are two names, or one with a semicolon in it, only the certificate says.
    for names in [
        "URI=spiffe://evil/x;URI=spiffe://certified/postbacks",
        "URI=spiffe://certified/postbacks;URI=spiffe://evil/x",
        "URI=spiffe://certified/postbacks;URI=spiffe://certified/postbacks",
        "URI=spiffe://certified/postbacks;DNS=x",
        "URI=;URI=spiffe://certified/postbacks",
    ] {
        is(&format!("Hash={{hash}};{names}"), &["{hash}"], ambiguous);
        is(names, &[], ambiguous);
    }
    let hostile =
        "Hash={hostile-hash};Cert=\"{hostile}\";URI=spiffe://evil/x;URI=spiffe://certified/postbacks";
    is(hostile, &["{hostile-hash}", "spiffe://evil/x;URI=spiffe://certified/postbacks"], None);
}

#[test]
fn a_name_makes_no_other_pair_and_no_element() {
    let malformed = Some(ForwardedProblem::Malformed);
    for field in [
        // A URI name with the text behind its `URI=`.
        "Hash={hostile-hash};URI=spiffe://evil/x;Hash={hash}",
        "URI=spiffe://evil/x;Hash={hash}",
        "Hash={hostile-hash};URI=x;Cert=\"{cert}\"",
        "Hash={hostile-hash};URI=x,Hash={hash};URI=spiffe://certified/postbacks",
        "Hash={hostile-hash};URI=x,By=y;Hash={hash};Cert=\"{cert}\";URI=spiffe://certified/postbacks",
        "Hash={hostile-hash};Cert=\"{hostile}\";URI=x,Hash={hash};Cert=\"{cert}\";URI=y",
        "Hash={hostile-hash};URI=\"spiffe://certified/postbacks\"",
        "Hash={hostile-hash};URI=x\";URI=spiffe://certified/postbacks",
        // A DNS name.
        "Hash={hostile-hash};DNS=x;URI=spiffe://certified/postbacks",
        "Hash={hostile-hash};URI=;DNS=x;URI=spiffe://certified/postbacks",
        "Hash={hostile-hash};DNS=x,URI=spiffe://certified/postbacks",
        // Twice.
        "Hash={hash};Hash={hash};URI=spiffe://certified/postbacks",
        "Hash={hostile-hash};Hash={hash}",
        "Subject=\"a\";Subject=\"b\"",
        "Cert=\"{cert}\";Cert=\"{cert}\"",
        "Chain=\"{cert}\";Chain=\"{cert}\"",
        // Two elements, whoever wrote them: a proxy that appends, or a name with a comma in it.
        "URI=spiffe://evil,By=x;URI=spiffe://certified/postbacks",
        "URI=spiffe://certified/postbacks,By=x;Subject=\"CN=a\"",
        "URI=spiffe://certified/postbacks, By=x;Hash={hash}",
        // What a client sends to a proxy that appends, with an open quote that its own name closes.
        "Subject=\"x,By=y;Hash={hostile-hash};URI=z\";URI=spiffe://certified/postbacks",
        "Subject=\"x,Hash={hostile-hash};URI=z\";URI=spiffe://certified/postbacks",
        "Cert=\"x,Hash={hostile-hash};URI=z\";URI=spiffe://certified/postbacks",
        "By=\"x,Hash={hostile-hash};URI=z\";URI=spiffe://certified/postbacks",
        "By=\"x,Hash={hash};Subject=\"CN=evil\";URI=spiffe://certified/postbacks",
        "Hash=\"x,Hash={hash};URI=spiffe://evil",
        // A subject without quotes, or with a separator that is not escaped.
        "Subject=CN=x;URI=spiffe://certified/postbacks",
        "Subject=\"CN=x;y\";URI=spiffe://certified/postbacks",
        "Subject=\"CN=x\\\\;y\";URI=spiffe://certified/postbacks",
        "Subject=\"x\"y;URI=spiffe://certified/postbacks",
    ] {
        is(field, &[], malformed);
    }
}

#[test]
fn what_envoy_does_not_write_is_not_read() {
    let malformed = Some(ForwardedProblem::Malformed);
    for field in [
        "",
        "URI",
        "=a",
        "URI=a;",
        "URI=a,",
        ",URI=a",
        "URI=a;;Hash={hash}",
        "Hash={hash};",
        "Hash={hash};;URI=a",
        "Hash={hash}; URI=a",
        "Hash=z{hash};URI=a",
        "URI=\"a",
        "Subject=\"a\\\"",
        "U RI=a",
        "SAN=a;URI=b",
        "URI=a;SAN=b",
        "Cert={cert}",
        "spiffe://certified/postbacks",
    ] {
        is(field, &[], malformed);
    }
    let not_text = [(&b"x-forwarded-client-cert"[..], &b"URI=\xff"[..])];
    let trusted = [Cidr::parse("10.0.0.0/8").unwrap()];
    let found = forwarded_certificate("10.0.0.1".parse().ok(), &trusted, Headers(&not_text));
    assert_eq!((found.identities().count(), found.problem()), (0, malformed));
    assert_eq!(forwarded_certificate(None, &trusted, Headers(&not_text)).identities().count(), 0);
}

#[test]
fn a_certificate_is_the_one_of_the_hash() {
    let problem = Some(ForwardedProblem::Certificate);
    for field in [
        "Hash={hostile-hash};Cert=\"{cert}\";URI=spiffe://certified/postbacks",
        "Hash=;Cert=\"{cert}\"",
        "Hash={hash};Cert=\"\";URI=spiffe://certified/postbacks",
        "Hash={hash};Cert=\"-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----%0A\";URI=spiffe://certified/postbacks",
        "Cert=\"-----BEGIN%20CERTIFICATE-----%0AMIIB%0A-----END%20CERTIFICATE-----%0A\"",
        "Cert=\"-----BEGIN%20CERTIFICATE-----%0AMI%2\"",
        "Cert=\"-----BEGIN%20CERTIFICATE-----%0AMI!%2F\"",
    ] {
        let expected = if field.contains('!') { Some(ForwardedProblem::Malformed) } else { problem };
        is(field, &[], expected);
    }
}

/// No beginning of a certificate, and none with one bit changed, may end the gate or give a name that is not text.
#[test]
fn a_damaged_certificate_harms_nobody() {
    let body: String = HONEST.lines().filter(|line| !line.starts_with('-')).collect();
    for end in (0..body.len()).step_by(4) {
        let pem =
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", body.get(..end).unwrap());
        is(&format!("Cert=\"{}\"", encoded(&pem)), &[], Some(ForwardedProblem::Certificate));
    }
    for at in 0..body.len() {
        let mut changed = body.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{changed}\n-----END CERTIFICATE-----\n");
        let field = format!("Hash={HASH};Cert=\"{}\"", encoded(&pem));
        assert_eq!(read("10.0.0.1", &[&field]).1.is_none(), changed == body, "{at}");
        // Without a hash to be held against: anything but an end of the program.
        let _any = read("10.0.0.1", &[&format!("Cert=\"{}\"", encoded(&pem))]);
    }
}

#[test]
fn two_fields_are_not_read() {
    let nothing = (Vec::new(), Some(ForwardedProblem::Malformed));
    assert_eq!(read("10.0.0.1", &["URI=spiffe://evil", "URI=spiffe://certified/postbacks"]), nothing);
    assert_eq!(
        read("10.0.0.1", &["URI=spiffe://certified/postbacks", "URI=spiffe://certified/postbacks"]),
        nothing
    );
    assert_eq!(read("10.0.0.1", &["URI=spiffe://certified/postbacks", ""]), nothing);
    assert_eq!(read("10.0.0.1", &[]), (Vec::new(), None));
}

#[test]
fn a_field_longer_than_the_maximum_is_not_read() {
    let field = |length: usize| format!("Chain=\"{}\";URI=a", "x".repeat(length - "Chain=\"\";URI=a".len()));
    assert_eq!(read("10.0.0.1", &[&field(FORWARDED_CERTIFICATE_BYTES_MAX)]).0, ["a"]);
    let longer = field(FORWARDED_CERTIFICATE_BYTES_MAX + 1);
    assert_eq!(read("10.0.0.1", &[&longer]), (Vec::new(), Some(ForwardedProblem::Malformed)));
}
