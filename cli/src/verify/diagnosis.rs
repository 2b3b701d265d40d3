//! Why a signature does not fit: what was to be signed, and the mistake that the core finds, which is what the gate tells too.

use countersign_core::json::Document;
use countersign_core::signature::{Place, Scheme, SignaturePolicy, SignatureReject, diagnose};

use super::{Request, canonical_form, is_mismatch, string_to_sign};

/// Bytes that are shown on either side of a difference.
const AROUND: usize = 24;

/// Prints what the signature should cover, and the cause where one is found.
pub(super) fn explain(
    policy: &SignaturePolicy,
    request: &Request<'_>,
    document: &Document<'_>,
    reject: SignatureReject,
) {
    println!("signature  WRONG: {}", reject.as_str());
    println!("canonical  {}", String::from_utf8_lossy(&canonical_form(document, None)));
    match string_to_sign(policy, request, document) {
        Some(bytes) => println!("to sign    {}", String::from_utf8_lossy(&bytes)),
        None => println!("to sign    <webhook-id>.<webhook-timestamp>.<body>, of which a part is missing"),
    }
    let found = diagnose(policy, request.headers, request.payload, document, request.now, reject);
    let found = found.map(|cause| cause.as_str().to_owned());
    let cause = match reject {
        SignatureReject::TimestampOutsideTolerance { skew_ms } => Some(format!(
            "webhook-timestamp is {} s {} this clock",
            skew_ms.unsigned_abs() / 1000,
            side(skew_ms)
        )),
        SignatureReject::Missing => found.or_else(|| Some(format!("there is no {}", place(policy)))),
        SignatureReject::NoKeyValid => found
            .or_else(|| Some("see not_before and not_after of the keys; --at checks at another time".into())),
        SignatureReject::Mismatch | SignatureReject::Malformed => found,
    };
    if let Some(cause) = cause {
        println!("cause      {cause}");
    } else if is_mismatch(reject) {
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
