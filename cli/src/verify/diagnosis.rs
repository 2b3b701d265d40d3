//! Why a signature does not fit: what was to be signed, and the mistakes that are made most, tried one by one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::json::Document;
use countersign_core::policy::sandbox;
use countersign_core::signature::{
    Message, Place, Scheme, SignaturePolicy, SignatureReject, Signed, SigningKey, sign,
};
use countersign_core::time::Timestamp;

use super::{Request, canonical_form, is_mismatch, string_to_sign};
use crate::keys::Signer;

/// Bytes that are shown on either side of a difference.
const AROUND: usize = 24;

/// Prints what the signature should cover, and the cause where one is found.
pub(super) fn explain(
    policy: &SignaturePolicy,
    request: &Request<'_>,
    document: &Document<'_>,
    fault: SignatureReject,
    signer: &Signer,
) {
    println!("signature  WRONG: {}", fault.as_str());
    println!("canonical  {}", String::from_utf8_lossy(&canonical_form(document, None)));
    match string_to_sign(policy, request, document) {
        Some(bytes) => println!("to sign    {}", String::from_utf8_lossy(&bytes)),
        None => println!("to sign    <webhook-id>.<webhook-timestamp>.<body>, of which a part is missing"),
    }
    let cause = match fault {
        SignatureReject::Missing => Some(format!("there is no {}", place(policy))),
        SignatureReject::NoKeyValid => {
            Some("see not_before and not_after of the keys; --at checks at another time".into())
        }
        SignatureReject::TimestampOutsideTolerance { skew_ms } => Some(format!(
            "webhook-timestamp is {} s {} this clock",
            skew_ms.unsigned_abs() / 1000,
            side(skew_ms)
        )),
        SignatureReject::Mismatch | SignatureReject::Malformed => cause(policy, request, document, signer),
    };
    if let Some(cause) = cause {
        println!("cause      {cause}");
    } else if is_mismatch(fault) {
        println!(
            "cause      not one of the usual: compare `to sign` byte for byte (--expect-canonical), then the keys"
        );
    }
}

fn side(skew_ms: i64) -> &'static str {
    if skew_ms < 0 { "behind" } else { "ahead of" }
}

fn place(policy: &SignaturePolicy) -> String {
    match (policy.scheme, &policy.place) {
        (Scheme::StandardWebhooks, _) => {
            "complete set of webhook-id, webhook-timestamp and webhook-signature".to_owned()
        }
        (_, Place::Header(name)) => format!("header {name}"),
        (_, Place::Body(name)) => format!("member {name:?}"),
    }
}

/// Tries the usual mistakes on what arrived.
fn cause(
    policy: &SignaturePolicy,
    request: &Request<'_>,
    document: &Document<'_>,
    signer: &Signer,
) -> Option<String> {
    let Place::Header(name) = &policy.place else { return None };
    if policy.scheme == Scheme::StandardWebhooks {
        return None;
    }
    let arrived = request.field(name)?;
    let Some(digits) = arrived.strip_prefix("sha256=") else {
        return Some(format!("{name} must be `sha256=` and 64 hexadecimal digits"));
    };
    if digits.len() != 64 {
        return Some(format!(
            "after `sha256=` there must be 64 hexadecimal digits, and there are {}",
            digits.len()
        ));
    }
    let arrived = format!("sha256={}", digits.to_ascii_lowercase());
    let keys = keys(policy, signer);
    let (key, what, scheme) = keys.iter().find_map(|(key_name, key)| {
        let fits = |(_, scheme, body): &(_, Scheme, &[u8])| {
            made(*scheme, key, body, document).is_some_and(|made| made == arrived)
        };
        covered(request).into_iter().find(fits).map(|(what, scheme, _)| (*key_name, what, scheme))
    })?;
    Some(match key {
        None => format!("it is right over {what}: sign what `to sign` shows"),
        Some(key) if scheme == policy.scheme => format!("it was made with {key}"),
        Some(key) => format!("it was made over {what}, with {key}"),
    })
}

/// What senders sign: the name, the scheme, and the body where it counts.
fn covered<'r>(request: &Request<'r>) -> [(&'static str, Scheme, &'r [u8]); 3] {
    let body = request.payload;
    let trimmed = body.trim_ascii();
    [
        ("the canonical payload", Scheme::Jcs, body),
        ("the body as it was sent", Scheme::Raw, body),
        ("the body without the white space around it", Scheme::Raw, trimmed),
    ]
}

/// The keys of the policy, and what one of them becomes by mistake.
fn keys(policy: &SignaturePolicy, signer: &Signer) -> Vec<(Option<&'static str>, SigningKey)> {
    let mut keys: Vec<_> = policy.keys.iter().map(|key| (None, key.clone())).collect();
    let mut add = |name, secret: &[u8]| {
        keys.push((Some(name), SigningKey::new(Arc::from("tried"), secret, None, None)))
    };
    add("the sandbox's published key", sandbox::SIGNING_SECRET.as_bytes());
    if let Ok(text) = signer.key().text(sandbox::SIGNING_SECRET) {
        add("the key and a line break after it, as `echo` writes it", &[&text, &b"\n"[..]].concat());
        match text.strip_prefix(b"base64:") {
            Some(encoded) => {
                add("the key's base64 text instead of the bytes that it stands for", encoded);
                add("the key's text, `base64:` included, instead of the bytes that it stands for", &text);
            }
            None => {
                if let Ok(decoded) = STANDARD.decode(&text) {
                    add(
                        "the bytes that the key's text stands for in base64: write `base64:` before it",
                        &decoded,
                    );
                }
            }
        }
    }
    keys
}

fn made(scheme: Scheme, key: &SigningKey, body: &[u8], document: &Document<'_>) -> Option<String> {
    let message = Message { id: "none", at: Timestamp::default() };
    match sign(scheme, &Place::Header(Place::HEADER.into()), key, body, document, message).ok()? {
        Signed::Headers(fields) => fields.into_iter().next().map(|(_, value)| value),
        Signed::Member(_, value) => Some(value),
    }
}

/// The first byte at which two texts differ; the length of the shorter where it is the beginning of the longer.
pub(super) fn first_difference(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// The bytes around a place, that place in brackets.
pub(super) fn around(bytes: &[u8], at: usize) -> String {
    let start = at.saturating_sub(AROUND);
    let end = at.saturating_add(1).min(bytes.len());
    let text = |from: usize, to: usize| shown(bytes.get(from..to).unwrap_or_default());
    let place = match bytes.get(at) {
        Some(_) => format!("[{}]", text(at, end)),
        None => "[end]".to_owned(),
    };
    format!(
        "{}{place}{}",
        text(start, at.min(bytes.len())),
        text(end, end.saturating_add(AROUND).min(bytes.len()))
    )
}

/// Text on one line; what is no UTF-8 is shown as U+FFFD.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let visible = text.chars().map(|character| match character {
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    });
    visible.collect()
}

#[cfg(test)]
mod tests {
    use super::{around, first_difference};

    #[test]
    fn the_first_difference_is_shown_in_brackets() {
        let (left, right) = (b"{\"amount\":100}", b"{\"amount\":100.00}");
        let at = first_difference(left, right);
        assert_eq!(at, 13);
        assert!(around(left, at).ends_with("100[}]"), "{}", around(left, at));
        assert!(around(right, at).ends_with("100[.]00}"), "{}", around(right, at));
        assert!(around(b"abc", 3).ends_with("abc[end]"));
    }
}
