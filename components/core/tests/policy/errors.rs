//! Every mistake once, in the order of the document: what is changed in the production example, and what is said of it.

use countersign_core::document::DOCUMENT_BYTES_MAX;

use crate::{changed, file, mistakes};

type Row = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const ROWS: &[Row] = &[
    // The document.
    (&[("/version", "2")], &["version is no version that this program reads: write 1"]),
    (&[("/version", "")], &["version is missing: write a whole number"]),
    (
        &[("/environment", r#""produktion""#)],
        &[r#"environment is an unknown word: write one of "production", "sandbox""#],
    ),
    (
        &[("/environment", r#""staging""#)],
        &[r#"environment is an unknown word: write one of "production", "sandbox""#],
    ),
    (&[("/environment", "1")], &[r#"environment is a number: write one of "production", "sandbox""#]),
    (&[("/limit", "{}")], &[r#"limit is unknown: write "limits""#]),
    (
        &[("/colour", "{}")],
        &[
            r#"colour is unknown: leave it out; what may stand here is "$schema", "version", "environment", "limits", "trusted_proxies", "dedup", "click_id", "receipt", "attestation", "partners""#,
        ],
    ),
    (&[("/limits", "[]")], &["limits is an array: write an object, { … }"]),
    (
        &[("/limits/body_bytes_max", "1023")],
        &[
            "limits.body_bytes_max is no whole number from 1024 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/limits/body_bytes_max", "1048577")],
        &[
            "limits.body_bytes_max is no whole number from 1024 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/limits/body_bytes_max", r#""65536""#)],
        &[
            "limits.body_bytes_max is no whole number from 1024 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/limits/body_bytes_max", "65536.5")],
        &[
            "limits.body_bytes_max is no whole number from 1024 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/limits/body_bytes_max", "-1")],
        &[
            "limits.body_bytes_max is no whole number from 1024 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/limits/body_bytes_max", "{}")],
        &[
            "limits.body_bytes_max is no whole number from 1024 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/limits/source_refusals_per_minute", "0")],
        &[
            "limits.source_refusals_per_minute is no whole number from 1 to 60000: write one without quotes, or leave it out for 600",
        ],
    ),
    (
        &[("/limits/ts_event_future_seconds_max", "86401")],
        &[
            "limits.ts_event_future_seconds_max is no whole number from 0 to 86400: write one without quotes, or leave it out for 300",
        ],
    ),
    (&[("/trusted_proxies", r#""10.0.0.0/8""#)], &["trusted_proxies is a string: write an array, [ … ]"]),
    (&[("/trusted_proxies/0", "8")], &["trusted_proxies[0] is a number: write a string"]),
    (
        &[("/trusted_proxies/0", r#""10.0.0.1/8""#)],
        &[
            "trusted_proxies[0] has bits after the prefix, so it is one host or a network: write 10.0.0.0/8 for the whole network, or the address alone for one host",
        ],
    ),
    (
        &[("/trusted_proxies/0", r#""10.0.0.0/33""#)],
        &[
            "trusted_proxies[0] has no prefix length after the /: write a prefix length of 0 to 32 (IPv4) or 0 to 128 (IPv6) after the /",
        ],
    ),
    (
        &[("/trusted_proxies/0", r#""proxy.internal""#)],
        &[
            "trusted_proxies[0] is no address: write an IPv4 or IPv6 network, such as 203.0.113.0/24 or 2001:db8::/32",
        ],
    ),
    (
        &[("/trusted_proxies/0", r#""0.0.0.0/0""#)],
        &[
            "trusted_proxies[0] trusts every sender, so that each could name any address as its own: write the networks of your own proxies",
        ],
    ),
    (
        &[("/dedup/slots", "63")],
        &[
            "dedup.slots is no whole number from 64 to 1048576: write one without quotes, or leave it out for 65536",
        ],
    ),
    (
        &[("/dedup/entries_per_slot", "33")],
        &[
            "dedup.entries_per_slot is no whole number from 1 to 32: write one without quotes, or leave it out for 8",
        ],
    ),
    (
        &[("/dedup/retention_days", "401")],
        &[
            "dedup.retention_days is no whole number from 1 to 400: write one without quotes, or leave it out for 30",
        ],
    ),
    (
        &[("/dedup/lease_seconds", "0")],
        &[
            "dedup.lease_seconds is no whole number from 1 to 300: write one without quotes, or leave it out for 30",
        ],
    ),
    (
        &[("/dedup/lease", "30")],
        &[
            r#"dedup.lease is unknown: leave it out; what may stand here is "slots", "entries_per_slot", "retention_days", "lease_seconds""#,
        ],
    ),
    // Click ids, receipt, attestation.
    (
        &[("/click_id", "")],
        &[
            r#"click_id is missing, and production has no published key: write { "keys": [{ "id": …, "secret": { "name": … } }] }, or { "verify": "off" }"#,
        ],
    ),
    (
        &[("/click_id/keys", "")],
        &[
            r#"click_id.keys has no key to verify with: write a key, or "verify": "off" where another tracker mints the click ids"#,
        ],
    ),
    (
        &[("/click_id/keys", "[]")],
        &[
            r#"click_id.keys has no key to verify with: write a key, or "verify": "off" where another tracker mints the click ids"#,
        ],
    ),
    (
        &[(
            "/click_id/keys",
            r#"[{ "id": "c0", "secret": { "name": "click_key_0" } },{ "id": "c1", "secret": { "name": "click_key_1" } },{ "id": "c2", "secret": { "name": "click_key_2" } },{ "id": "c3", "secret": { "name": "click_key_3" } },{ "id": "c4", "secret": { "name": "click_key_4" } },{ "id": "c5", "secret": { "name": "click_key_5" } },{ "id": "c6", "secret": { "name": "click_key_6" } },{ "id": "c7", "secret": { "name": "click_key_7" } },{ "id": "c8", "secret": { "name": "click_key_8" } }]"#,
        )],
        &["click_id.keys has 9 elements: write at most 8"],
    ),
    (
        &[("/click_id/keys/0/id", r#""c 1""#)],
        &["click_id.keys[0].id is no id: write 1 to 64 letters, digits, '.', '_' and '-'"],
    ),
    (
        &[("/click_id/keys/0/id", r#""""#)],
        &["click_id.keys[0].id is no id: write 1 to 64 letters, digits, '.', '_' and '-'"],
    ),
    (
        &[("/click_id/keys/-", r#"{ "id": "c1", "secret": { "name": "click_key_2" } }"#)],
        &[r#"click_id.keys[1].id is "c1", as another key's: give each key an id of its own"#],
    ),
    (
        &[("/click_id/verify", r#""requires""#)],
        &[r#"click_id.verify is an unknown word: write one of "require", "when_ours", "off""#],
    ),
    (
        &[("/receipt", "")],
        &[r#"receipt is missing, and production has no published key: write { "secret": { "name": … } }"#],
    ),
    (
        &[("/attestation", "")],
        &[
            r#"attestation is missing, and production has no published key: write { "secret": { "name": … } }"#,
        ],
    ),
    // Secrets.
    (&[("/receipt/secret", r#""receipt_key""#)], &["receipt.secret is a string: write an object, { … }"]),
    (&[("/receipt/secret/name", "")], &["receipt.secret.name is missing: write a string"]),
    (
        &[("/receipt/secret/name", r#""RECEIPT_KEY""#)],
        &[
            "receipt.secret.name is no name of a secret: write 1 to 64 of a-z, 0-9 and single _, a letter first and no _ last; the secret itself belongs to the host",
        ],
    ),
    (
        &[("/receipt/secret/name", r#""receipt__key""#)],
        &[
            "receipt.secret.name is no name of a secret: write 1 to 64 of a-z, 0-9 and single _, a letter first and no _ last; the secret itself belongs to the host",
        ],
    ),
    (
        &[("/receipt/secret/name", r#""sandbox_receipt_key""#)],
        &[
            r#"receipt.secret.name names the sandbox's secret "sandbox_receipt_key": name a secret of production"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""absent_key""#)],
        &[
            r#"receipt.secret.name names the secret "absent_key", which the host does not have: set absent_key as an environment variable of the VM (Envoy), a variable (Spin), or in the environment (command line)"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""empty_key""#)],
        &[
            r#"receipt.secret.name names the secret "empty_key", which is empty: make one with `countersign keygen`"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""short_key""#)],
        &[
            r#"receipt.secret.name names the secret "short_key", which has 31 bytes: use at least 32 random bytes, as `countersign keygen` makes them"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""long_key""#)],
        &[
            r#"receipt.secret.name names the secret "long_key", which has more than 4096 bytes: use 32 random bytes"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""line_key""#)],
        &[
            r#"receipt.secret.name names the secret "line_key", which begins or ends with white space: write it with `printf %s`, not `echo`"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""published_key""#)],
        &[
            r#"receipt.secret.name names the secret "published_key", which is published: make a new one with `countersign keygen`"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""not_base64_key""#)],
        &[
            r#"receipt.secret.name names the secret "not_base64_key", which is not base64: write the base64 of the key (A-Z a-z 0-9 + /) after whsec_ or base64:"#,
        ],
    ),
    (
        &[("/receipt/secret/name", r#""hop_key""#)],
        &[
            r#"attestation.secret.name names the secret "hop_key", as receipt.secret.name does: give each key a secret of its own, or who holds one could forge the other"#,
        ],
    ),
    (
        &[("/attestation/secret/name", r#""acme_key_2026_q4""#)],
        &[
            r#"partners.acme.signature.keys[0].secret.name names the secret "acme_key_2026_q4", as attestation.secret.name does: give each key a secret of its own, or who holds one could forge the other"#,
        ],
    ),
    (
        &[("/environment", r#""sandbox""#), ("/click_id", ""), ("/receipt", ""), ("/partners", "")],
        &[
            r#"attestation.secret.name names the secret "hop_key", which is not the sandbox's: write "sandbox_…", so that no secret of production gets here"#,
        ],
    ),
    (
        &[
            ("/environment", r#""sandbox""#),
            ("/click_id", ""),
            ("/attestation", ""),
            ("/partners", ""),
            ("/receipt/secret/name", r#""sandbox_published_key""#),
        ],
        &[
            r#"receipt.secret.name names the secret "sandbox_published_key", which is published: make a new one with `countersign keygen`"#,
        ],
    ),
    // Partners.
    (&[("/partners", "")], &[r#"partners has no partner: write { "acme": { "signature": … } }"#]),
    (&[("/partners", "{}")], &[r#"partners has no partner: write { "acme": { "signature": … } }"#]),
    (
        &[(
            "/partners",
            r#"{ "Acme Ltd.": { "signature": { "keys": [{ "id": "k", "secret": { "name": "acme_key" } }] } } }"#,
        )],
        &[r#"partners."Acme Ltd." is no name of a partner: name it with 1 to 64 of a-z, 0-9, _ and -"#],
    ),
    (
        &[(
            "/partners/sandbox",
            r#"{ "signature": { "keys": [{ "id": "k", "secret": { "name": "box_key" } }] } }"#,
        )],
        &[
            "partners.sandbox is reserved: choose another name; the sandbox has this partner by itself, and production never",
        ],
    ),
    (
        &[
            ("/environment", r#""sandbox""#),
            ("/click_id", ""),
            ("/receipt", ""),
            ("/attestation", ""),
            (
                "/partners",
                r#"{ "sandbox": { "signature": { "keys": [{ "id": "k", "secret": { "name": "sandbox_key" } }] } } }"#,
            ),
        ],
        &[
            "partners.sandbox is reserved: choose another name; the sandbox has this partner by itself, and production never",
        ],
    ),
    (&[("/partners/acme/signature", "")], &["partners.acme.signature is missing: write an object, { … }"]),
    (&[("/partners/acme/signatur", "{}")], &[r#"partners.acme.signatur is unknown: write "signature""#]),
    (
        &[("/partners/acme/signature/scheme", r#""jsc""#)],
        &[
            r#"partners.acme.signature.scheme is an unknown word: write one of "jcs", "raw", "standard-webhooks""#,
        ],
    ),
    (
        &[("/partners/acme/signature/scheme", r#""hmac""#)],
        &[
            r#"partners.acme.signature.scheme is an unknown word: write one of "jcs", "raw", "standard-webhooks""#,
        ],
    ),
    (
        &[("/partners/acme/signature/scheme", r#""raw""#), ("/partners/acme/signature/in", r#""body""#)],
        &[
            r#"partners.acme.signature.in is "body" with the scheme "raw", under which the signature would sign itself: write "header", or the scheme "jcs""#,
        ],
    ),
    (
        &[("/partners/acme/signature/in", r#""query""#)],
        &[r#"partners.acme.signature.in is an unknown word: write one of "header", "body""#],
    ),
    (
        &[("/partners/acme/signature/name", r#""x signature""#)],
        &["partners.acme.signature.name is no name of a header: write 1 to 64 letters, digits, '-' and '_'"],
    ),
    (
        &[("/partners/acme/signature/name", r#""Authorization""#)],
        &[
            r#"partners.acme.signature.name is the header authorization, which has another meaning: write a header of its own, like "x-signature""#,
        ],
    ),
    (
        &[("/partners/acme/signature/name", r#""X-Countersign-Signature""#)],
        &[
            r#"partners.acme.signature.name is the header x-countersign-signature, which has another meaning: write a header of its own, like "x-signature""#,
        ],
    ),
    (
        &[("/partners/globex/signature/name", r#""event_id""#)],
        &[
            "partners.globex.signature.name is no member for a signature: write 1 to 64 visible ASCII characters that name no member of events",
        ],
    ),
    (
        &[("/partners/acme/signature/tolerance_seconds", "300")],
        &[
            "partners.acme.signature.tolerance_seconds has no effect, because only standard-webhooks signs a time: leave it out",
        ],
    ),
    (
        &[("/partners/initech/signature/tolerance_seconds", "3601")],
        &[
            "partners.initech.signature.tolerance_seconds is no whole number from 1 to 3600: write one without quotes, or leave it out for 300",
        ],
    ),
    (
        &[
            ("/partners/initech/signature/in", r#""header""#),
            ("/partners/initech/signature/name", r#""x-signature""#),
        ],
        &[
            "partners.initech.signature.in is fixed by standard-webhooks: leave it out",
            "partners.initech.signature.name is fixed by standard-webhooks: leave it out",
        ],
    ),
    (
        &[("/partners/initech/signature/keys/0/secret/name", r#""not_base64_key""#)],
        &[
            r#"partners.initech.signature.keys[0].secret.name names the secret "not_base64_key", which is not base64: write the base64 of the key (A-Z a-z 0-9 + /) after whsec_ or base64:"#,
        ],
    ),
    (
        &[("/partners/acme/signature/keys", "")],
        &["partners.acme.signature.keys is missing: write an array, [ … ]"],
    ),
    (
        &[("/partners/acme/signature/keys", "[]")],
        &[
            r#"partners.acme.signature.keys has no key: write { "id": …, "secret": { "name": … } }; no partner is without a signature"#,
        ],
    ),
    (
        &[("/partners/acme/signature/keys/1/id", r#""2026-q4""#)],
        &[
            r#"partners.acme.signature.keys[1].id is "2026-q4", as another key's: give each key an id of its own"#,
        ],
    ),
    (
        &[("/partners/acme/signature/keys/1/id", "")],
        &["partners.acme.signature.keys[1].id is missing: write a string"],
    ),
    (
        &[("/partners/acme/signature/keys/1/not_before", r#""2027-01-01""#)],
        &[
            r#"partners.acme.signature.keys[1].not_before is no UTC time: write it like "2026-01-01T00:00:00Z""#,
        ],
    ),
    (
        &[("/partners/acme/signature/keys/1/not_before", r#""2027-01-01T00:00:00+01:00""#)],
        &[
            r#"partners.acme.signature.keys[1].not_before is no UTC time: write it like "2026-01-01T00:00:00Z""#,
        ],
    ),
    (
        &[("/partners/acme/signature/keys/1/not_after", r#""2027-01-01T00:00:00Z""#)],
        &[
            "partners.acme.signature.keys[1].not_after is not after not_before, so the key is never valid: write a later time",
        ],
    ),
    (
        &[
            ("/partners/acme/signature/keys/-", r#"{ "id": "k0", "secret": { "name": "acme_key_0" } }"#),
            ("/partners/acme/signature/keys/-", r#"{ "id": "k1", "secret": { "name": "acme_key_1" } }"#),
            ("/partners/acme/signature/keys/-", r#"{ "id": "k2", "secret": { "name": "acme_key_2" } }"#),
        ],
        &[
            r#"partners.acme.signature.keys has 5 keys that are valid at once: end old keys with "not_after"; at most 4 may overlap"#,
        ],
    ),
    (
        &[(
            "/partners/acme/signature/keys",
            r#"[{ "id": "k0", "secret": { "name": "acme_key_0" }, "not_before": "2030-01-01T00:00:00Z", "not_after": "2031-01-01T00:00:00Z" },{ "id": "k1", "secret": { "name": "acme_key_1" }, "not_before": "2031-01-01T00:00:00Z", "not_after": "2032-01-01T00:00:00Z" },{ "id": "k2", "secret": { "name": "acme_key_2" }, "not_before": "2032-01-01T00:00:00Z", "not_after": "2033-01-01T00:00:00Z" },{ "id": "k3", "secret": { "name": "acme_key_3" }, "not_before": "2033-01-01T00:00:00Z", "not_after": "2034-01-01T00:00:00Z" },{ "id": "k4", "secret": { "name": "acme_key_4" }, "not_before": "2034-01-01T00:00:00Z", "not_after": "2035-01-01T00:00:00Z" },{ "id": "k5", "secret": { "name": "acme_key_5" }, "not_before": "2035-01-01T00:00:00Z", "not_after": "2036-01-01T00:00:00Z" },{ "id": "k6", "secret": { "name": "acme_key_6" }, "not_before": "2036-01-01T00:00:00Z", "not_after": "2037-01-01T00:00:00Z" },{ "id": "k7", "secret": { "name": "acme_key_7" }, "not_before": "2037-01-01T00:00:00Z", "not_after": "2038-01-01T00:00:00Z" },{ "id": "k8", "secret": { "name": "acme_key_8" }, "not_before": "2038-01-01T00:00:00Z", "not_after": "2039-01-01T00:00:00Z" }]"#,
        )],
        &["partners.acme.signature.keys has 9 elements: write at most 8"],
    ),
    // Tokens.
    (&[("/partners/acme/token/issuer", "")], &["partners.acme.token.issuer is missing: write a string"]),
    (
        &[("/partners/acme/token/issuer", r#""acme corp""#)],
        &["partners.acme.token.issuer is no issuer: write 1 to 128 visible ASCII characters"],
    ),
    (
        &[("/partners/acme/token/issuer", r#""globex""#)],
        &[
            r#"partners.globex.token.issuer is "globex", as that of acme: give each partner an issuer of its own"#,
        ],
    ),
    (
        &[("/partners/acme/token/audience", r#""""#)],
        &["partners.acme.token.audience is no audience: write 1 to 128 visible ASCII characters"],
    ),
    (
        &[("/partners/acme/token/lifetime_seconds_max", "901")],
        &[
            "partners.acme.token.lifetime_seconds_max is no whole number from 1 to 900: write one without quotes, or leave it out for 900",
        ],
    ),
    (
        &[("/partners/acme/token/keys", "")],
        &[
            r#"partners.acme.token has neither keys nor opaque tokens, so that nothing satisfies it: write "keys" or "opaque", or leave "token" out"#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/algorithm", r#""RS256""#)],
        &[
            r#"partners.acme.token.keys[0].algorithm is an unknown word: write one of "HS256", "ES256", "EdDSA""#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/algorithm", r#""HS256""#)],
        &[
            r#"partners.acme.token.keys[0].public_key does not go with HS256: write "secret" instead"#,
            r#"partners.acme.token.keys[0].secret is missing, and HS256 needs it: write { "name": … }"#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/algorithm", r#""EdDSA""#)],
        &[
            r#"partners.acme.token.keys[0].public_key.kty is not that of the algorithm: write "OKP", or another algorithm"#,
            r#"partners.acme.token.keys[0].public_key.crv is not that of the algorithm: write "Ed25519", or another algorithm"#,
            r#"partners.acme.token.keys[0].public_key.y does not go with EdDSA: leave it out, or write the algorithm "ES256""#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/public_key", "")],
        &[
            r#"partners.acme.token.keys[0].public_key is missing, and ES256 needs it: write the JWK's members: { "x": … }"#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/secret", r#"{ "name": "acme_token_key" }"#)],
        &[r#"partners.acme.token.keys[0].secret does not go with ES256: write "public_key" instead"#],
    ),
    (
        &[("/partners/acme/token/keys/0/public_key/d", r#""NzJgws8WON7jhOkRo2yix7f2TBs6Ru6XN-eYAbj0oig""#)],
        &[
            r#"partners.acme.token.keys[0].public_key.d is unknown: leave it out; what may stand here is "kty", "crv", "x", "y""#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/public_key/y", "")],
        &[
            r#"partners.acme.token.keys[0].public_key.y is missing, and ES256 needs it: write the "y" of the JWK"#,
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/public_key/x", r#""fCxVD0vPg+6jQAWywhS3uLX6idijHcPEwtf4t69AWn0=""#)],
        &[
            "partners.acme.token.keys[0].public_key.x is not 32 bytes in base64url: write 43 of A-Z a-z 0-9 - _, without =",
        ],
    ),
    (
        &[("/partners/acme/token/keys/0/public_key/x", r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#)],
        &[
            "partners.acme.token.keys[0].public_key is no public key of this algorithm: paste the JWK again, as the partner has it",
        ],
    ),
    (
        &[("/partners/globex/token/keys/0/public_key/x", r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#)],
        &[
            "partners.globex.token.keys[0].public_key accepts forged signatures: ask the partner for a new key pair",
        ],
    ),
    (
        &[("/partners/globex/token/keys/1/secret", "")],
        &[r#"partners.globex.token.keys[1].secret is missing, and HS256 needs it: write { "name": … }"#],
    ),
    (
        &[("/partners/globex/token/keys/1/id", r#""o1""#)],
        &[r#"partners.globex.token.opaque[0].id is "o1", as another key's: give each key an id of its own"#],
    ),
    (
        &[("/partners/globex/token/keys/1/not_after", r#""never""#)],
        &[r#"partners.globex.token.keys[1].not_after is no UTC time: write it like "2026-01-01T00:00:00Z""#],
    ),
    (
        &[(
            "/partners/globex/token/keys",
            r#"[{ "id": "k0", "algorithm": "HS256", "secret": { "name": "globex_token_key_0" } },{ "id": "k1", "algorithm": "HS256", "secret": { "name": "globex_token_key_1" } },{ "id": "k2", "algorithm": "HS256", "secret": { "name": "globex_token_key_2" } },{ "id": "k3", "algorithm": "HS256", "secret": { "name": "globex_token_key_3" } },{ "id": "k4", "algorithm": "HS256", "secret": { "name": "globex_token_key_4" } },{ "id": "k5", "algorithm": "HS256", "secret": { "name": "globex_token_key_5" } },{ "id": "k6", "algorithm": "HS256", "secret": { "name": "globex_token_key_6" } },{ "id": "k7", "algorithm": "HS256", "secret": { "name": "globex_token_key_7" } },{ "id": "k8", "algorithm": "HS256", "secret": { "name": "globex_token_key_8" } }]"#,
        )],
        &["partners.globex.token.keys has 9 elements: write at most 8"],
    ),
    (
        &[("/partners/globex/token/opaque/0/sha256", r#""766547""#)],
        &[
            "partners.globex.token.opaque[0].sha256 is no SHA-256: write 64 hex digits, as of `printf %s TOKEN | sha256sum`",
        ],
    ),
    (
        &[(
            "/partners/acme/token/opaque",
            r#"[{ "id": "o1", "sha256": "766547FCD053E9B09AAEE2F1928F3F54504A65E146B0C779EEB07300904A24E1" }]"#,
        )],
        &[
            "partners.globex.token.opaque[0].sha256 is that of another token, of acme: give each token to one partner, once",
        ],
    ),
    (
        &[(
            "/partners/globex/token/opaque",
            r#"[{ "id": "o0", "sha256": "0000000000000000000000000000000000000000000000000000000000000000" },{ "id": "o1", "sha256": "0000000000000000000000000000000000000000000000000000000000000001" },{ "id": "o2", "sha256": "0000000000000000000000000000000000000000000000000000000000000002" },{ "id": "o3", "sha256": "0000000000000000000000000000000000000000000000000000000000000003" },{ "id": "o4", "sha256": "0000000000000000000000000000000000000000000000000000000000000004" },{ "id": "o5", "sha256": "0000000000000000000000000000000000000000000000000000000000000005" },{ "id": "o6", "sha256": "0000000000000000000000000000000000000000000000000000000000000006" },{ "id": "o7", "sha256": "0000000000000000000000000000000000000000000000000000000000000007" },{ "id": "o8", "sha256": "0000000000000000000000000000000000000000000000000000000000000008" }]"#,
        )],
        &["partners.globex.token.opaque has 9 elements: write at most 8"],
    ),
    // Source, rate, status.
    (
        &[("/partners/acme/source/allow", "[]")],
        &[
            "partners.acme.source.allow is empty, which could mean all or none: leave it out, or list what is allowed",
        ],
    ),
    (
        &[("/partners/acme/source/allow/0", r#""203.0.113.7/24""#)],
        &[
            "partners.acme.source.allow[0] has bits after the prefix, so it is one host or a network: write 203.0.113.0/24 for the whole network, or the address alone for one host",
        ],
    ),
    (
        &[("/partners/acme/source/certificate_uri/0", r#""acme""#)],
        &[
            r#"partners.acme.source.certificate_uri[0] is no URI: write the URI name (SAN) of the certificate, like "spiffe://acme/postbacks""#,
        ],
    ),
    (
        &[(
            "/partners/acme/source/certificate_uri",
            r#"["spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a","spiffe://a"]"#,
        )],
        &["partners.acme.source.certificate_uri has 17 elements: write at most 16"],
    ),
    (
        &[("/partners/initech/source/certificate_sha256/0", r#""63:08""#)],
        &[
            "partners.initech.source.certificate_sha256[0] is no SHA-256: write 64 hex digits, as of `openssl x509 -outform der | sha256sum`",
        ],
    ),
    (&[("/partners/acme/rate", "50")], &["partners.acme.rate is a number: write an object, { … }"]),
    (
        &[("/partners/acme/rate/per_second", "0")],
        &[
            "partners.acme.rate.per_second is no whole number from 1 to 100000: write one without quotes, or leave it out for 50",
        ],
    ),
    (
        &[("/partners/acme/rate/per_second", "100001")],
        &[
            "partners.acme.rate.per_second is no whole number from 1 to 100000: write one without quotes, or leave it out for 50",
        ],
    ),
    (
        &[("/partners/acme/rate/burst", "1000001")],
        &[
            "partners.acme.rate.burst is no whole number from 1 to 1000000: write one without quotes, or leave it out for 200",
        ],
    ),
    (
        &[("/partners/acme/rate/per_secnd", "50")],
        &[r#"partners.acme.rate.per_secnd is unknown: write "per_second""#],
    ),
    (
        &[("/partners/globex/in_flight_status", "410")],
        &[
            "partners.globex.in_flight_status is neither 503 nor 409: write 503, or leave it out; 409 on the partner's wish",
        ],
    ),
    // Events and contract.
    (
        &[("/partners/acme/events/Registration", "{}")],
        &["partners.acme.events.Registration is no event type: name it with 1 to 64 of a-z, 0-9 and _"],
    ),
    (
        &[("/partners/acme/events/registrations", "{}")],
        &[
            r#"partners.acme.events.registrations is no built-in event type: write "registration", or declare it with "custom": { "amount": "none" }"#,
        ],
    ),
    (
        &[("/partners/acme/events/lottery", "{}")],
        &[
            r#"partners.acme.events.lottery is no built-in event type: declare it with "custom": { "amount": "none" }"#,
        ],
    ),
    (
        &[("/partners/acme/events/refund", r#"{ "custom": { "amount": "required" } }"#)],
        &["partners.acme.events.refund.custom declares a built-in type: leave it out"],
    ),
    (
        &[("/partners/acme/events/second_deposit/custom/amount", "true")],
        &[
            r#"partners.acme.events.second_deposit.custom.amount is true or false: write one of "none", "optional", "required""#,
        ],
    ),
    (
        &[("/partners/acme/events/registration/fallback_window_seconds", "0")],
        &[
            "partners.acme.events.registration.fallback_window_seconds is no whole number from 1 to 34560000: write one without quotes, or leave it out for no window",
        ],
    ),
    (
        &[("/partners/acme/events/registration/fallback_window_seconds", "2592001")],
        &[
            "partners.acme.events.registration.fallback_window_seconds is longer than dedup.retention_days, after which nothing is remembered: shorten the window, or lengthen the retention",
        ],
    ),
    (
        &[("/partners/acme/contract/0/from", r#""2026-13-01T00:00:00Z""#)],
        &[r#"partners.acme.contract[0].from is no UTC time: write it like "2026-01-01T00:00:00Z""#],
    ),
    (
        &[("/partners/acme/contract/-", r#"{ "from": "2026-01-01T00:00:00Z" }"#)],
        &[
            "partners.acme.contract[1].from is not later than that of the terms before: write the terms in the order of their dates, one each",
        ],
    ),
    (
        &[("/partners/acme/contract/0/cpa/amount", "80")],
        &["partners.acme.contract[0].cpa.amount is a number: write a string"],
    ),
    (
        &[("/partners/acme/contract/0/cpa/amount", r#""80,00""#)],
        &[
            r#"partners.acme.contract[0].cpa.amount is no amount: write a number with a point and at most 2 decimals for EUR, not negative, like "10""#,
        ],
    ),
    (
        &[("/partners/acme/contract/0/cpa/amount", r#""80.001""#)],
        &[
            r#"partners.acme.contract[0].cpa.amount is no amount: write a number with a point and at most 2 decimals for EUR, not negative, like "10""#,
        ],
    ),
    (
        &[("/partners/acme/contract/0/cpa/amount", r#""-80""#)],
        &[
            r#"partners.acme.contract[0].cpa.amount is no amount: write a number with a point and at most 2 decimals for EUR, not negative, like "10""#,
        ],
    ),
    (
        &[("/partners/acme/contract/0/cpa/currency", r#""eur""#)],
        &[r#"partners.acme.contract[0].cpa.currency is no currency: write "EUR""#],
    ),
    (
        &[("/partners/acme/contract/0/cpa/currency", r#""EURO""#)],
        &[r#"partners.acme.contract[0].cpa.currency is no currency: write an ISO 4217 code, like "EUR""#],
    ),
    (
        &[("/partners/acme/contract/0/ftd_min_deposit/currency", "")],
        &["partners.acme.contract[0].ftd_min_deposit.currency is missing: write a string"],
    ),
    (
        &[("/partners/acme/contract/0/ftd_min_deposit", r#"{ "amount": "10.50", "currency": "JPY" }"#)],
        &[
            r#"partners.acme.contract[0].ftd_min_deposit.amount is no amount: write a number with a point and at most 0 decimals for JPY, not negative, like "10""#,
        ],
    ),
    // All at once.
    (
        &[
            ("/version", "3"),
            ("/receipts", "{}"),
            ("/receipt", ""),
            ("/dedup/slots", r#""many""#),
            ("/partners/acme/rate/per_second", "0"),
            ("/partners/acme/signature/keys/0/secret/name", r#""absent_key""#),
            ("/partners/globex/token/issuer", r#""acme""#),
        ],
        &[
            r#"receipts is unknown: write "receipt""#,
            "version is no version that this program reads: write 1",
            "dedup.slots is no whole number from 64 to 1048576: write one without quotes, or leave it out for 65536",
            r#"receipt is missing, and production has no published key: write { "secret": { "name": … } }"#,
            r#"partners.acme.signature.keys[0].secret.name names the secret "absent_key", which the host does not have: set absent_key as an environment variable of the VM (Envoy), a variable (Spin), or in the environment (command line)"#,
            "partners.acme.rate.per_second is no whole number from 1 to 100000: write one without quotes, or leave it out for 50",
            r#"partners.globex.token.issuer is "acme", as that of acme: give each partner an issuer of its own"#,
        ],
    ),
];

#[test]
fn every_mistake_is_named_with_its_path_and_remedy() {
    let production = file("examples/production.json");
    let mut wrong = 0;
    for (changes, expected) in ROWS {
        let found = mistakes(&changed(&production, changes));
        if found != *expected {
            wrong += 1;
            println!("{changes:?}\n  expected {expected:#?}\n  found    {found:#?}");
        }
    }
    assert_eq!(wrong, 0, "rows that differ, of {}", ROWS.len());
}

#[test]
fn what_is_no_strict_json_is_named_with_line_and_column() {
    let rows = [
        ("", "the document is not strict JSON at line 1, column 1: "),
        ("{\n  \"version\": 1,\n}", "the document is not strict JSON at line 3, column 1: "),
        ("{ \"version\": 1,\n  \"version\": 1 }", "the document is not strict JSON at line 2, column 3: "),
        ("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "the document is not strict JSON at line 1, column 17: "),
    ];
    for (json, expected) in rows {
        let mistakes = mistakes(json);
        assert_eq!(mistakes.len(), 1, "{json}: {mistakes:?}");
        assert!(mistakes[0].starts_with(expected), "{json}: {}", mistakes[0]);
        assert!(mistakes[0].len() > expected.len(), "{json}: what is wrong is said");
    }
    assert_eq!(mistakes("[]"), ["the document is an array: write an object, { … }"]);
}

#[test]
fn document_that_is_too_long_is_not_read() {
    let json = format!("{}{}", file("examples/countersign.json"), " ".repeat(DOCUMENT_BYTES_MAX));
    assert_eq!(
        mistakes(&json),
        ["the document is longer than 4194304 bytes: split the partners over several gates"]
    );
}

#[test]
fn no_more_than_64_mistakes_are_listed() {
    let members: Vec<String> = (0..100).map(|number| format!("\"m{number}\": 0")).collect();
    assert_eq!(mistakes(&format!("{{ {} }}", members.join(", "))).len(), 64);
}

#[test]
fn lists_are_bounded() {
    let rows = [
        ("/trusted_proxies", "trusted_proxies", 64, "\"10.0.0.0/8\""),
        ("/partners/acme/source/allow", "partners.acme.source.allow", 256, "\"10.0.0.0/8\""),
        (
            "/partners/acme/source/certificate_uri",
            "partners.acme.source.certificate_uri",
            16,
            "\"spiffe://a\"",
        ),
    ];
    let production = file("examples/production.json");
    for (pointer, path, max, element) in rows {
        let list = |count| format!("[{}]", vec![element; count].join(","));
        assert_eq!(mistakes(&changed(&production, &[(pointer, &list(max))])), Vec::<String>::new(), "{path}");
        let expected = format!("{path} has {} elements: write at most {max}", max + 1);
        assert_eq!(mistakes(&changed(&production, &[(pointer, &list(max + 1))])), [expected]);
    }
}

#[test]
fn limits_are_taken_and_one_step_beyond_is_not() {
    let production = file("examples/production.json");
    let numbers = [
        ("/limits/body_bytes_max", 1_024, 1_048_576),
        ("/limits/source_refusals_per_minute", 1, 60_000),
        ("/limits/ts_event_future_seconds_max", 0, 86_400),
        ("/dedup/slots", 64, 1_048_576),
        ("/dedup/entries_per_slot", 1, 32),
        ("/dedup/retention_days", 1, 400),
        ("/dedup/lease_seconds", 1, 300),
        ("/partners/acme/token/lifetime_seconds_max", 1, 900),
        ("/partners/acme/rate/per_second", 1, 100_000),
        ("/partners/acme/rate/burst", 1, 1_000_000),
        ("/partners/initech/signature/tolerance_seconds", 1, 3_600),
    ];
    for (pointer, min, max) in numbers {
        for (number, wrong) in [(min, 0), (max, 0), (min - 1, 1), (max + 1, 1)] {
            let json = changed(&production, &[(pointer, &number.to_string())]);
            assert_eq!(mistakes(&json).len(), wrong, "{pointer} {number}: {:?}", mistakes(&json));
        }
    }
}
