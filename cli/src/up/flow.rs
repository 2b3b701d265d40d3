//! The reference flow: what a partner sends in the life of one player, and what it must hear.

use anyhow::{Context as _, Result, bail};
use countersign_core::headers::Headers;
use countersign_core::json::Tape;
use countersign_core::keys::current;
use countersign_core::policy::{Partner, Policy, sandbox};
use countersign_core::signature;
use hyper::Method;
use serde_json::Value;

use crate::failure::unusable;
use crate::http::{self, Reply};
use crate::sample::{self, Player};
use crate::{input, sign};

/// A request, and what it must be answered.
struct Step {
    name: &'static str,
    body: String,
    signature: String,
    expected: Expected,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// 200, for the first time, with a genuine receipt.
    Accepted,
    /// 200 as a repeat, with the same receipt as the first time.
    Repeated,
    /// 403 `signature_invalid`.
    WrongSignature,
}

/// Plays the flow against the gate at `base`, whose configuration has `policy`, and prints its table.
///
/// # Errors
/// The policy has no sandbox, nobody answers, or an answer is not the right one.
pub(super) async fn play(base: &str, policy: &Policy) -> Result<()> {
    let partner = policy.partner(sandbox::PARTNER).ok_or_else(|| {
        unusable("the reference flow is sent by the partner `sandbox`: use a configuration of the sandbox")
    })?;
    let url = sign::sandbox_url(base);
    println!("The reference flow, against {url}\n");
    println!("  {:32} {:44} verdict", "request", "answer");
    let mut wrong = 0_u32;
    for step in steps(policy, partner)? {
        let headers = [("content-type", "application/json"), ("x-signature", &*step.signature)];
        let reply = http::send(Method::POST, &url, &headers, step.body.clone().into_bytes()).await?;
        let fault = judge(&step, &reply, policy, partner).err();
        wrong = wrong.saturating_add(fault.is_some().into());
        let verdict = fault.map_or_else(|| "ok".to_owned(), |fault| format!("WRONG: {fault}"));
        println!("  {:32} {:44} {verdict}", step.name, shown(&reply));
    }
    println!();
    if wrong > 0 {
        bail!("{wrong} of the answers are wrong");
    }
    println!("Every answer is right.");
    Ok(())
}

fn steps(policy: &Policy, partner: &Partner) -> Result<Vec<Step>> {
    let click_key = current(&policy.click_id.keys, input::now());
    let click_key = click_key.ok_or_else(|| unusable("the reference flow needs a key in click_id.keys"))?;
    let key = partner.signature.keys.first().context("the sandbox has no key")?;
    let player = Player::new(click_key, input::now())?;
    let step = |name, event: &Value, expected| {
        let body = event.to_string();
        Ok::<_, anyhow::Error>(Step { name, signature: sample::signature(key, &body)?, body, expected })
    };
    let deposit = player.first_deposit()?;
    // Signed is one event, sent is another.
    let forged = Step {
        body: player.first_deposit()?.to_string(),
        ..step("a wrong signature", &deposit, Expected::WrongSignature)?
    };
    Ok(vec![
        step("registration", &player.registration()?, Expected::Accepted)?,
        step("kyc_approved", &player.kyc_approved()?, Expected::Accepted)?,
        step("deposit_success, the first", &deposit, Expected::Accepted)?,
        step("deposit_success, the same again", &deposit, Expected::Repeated)?,
        forged,
        step("refund", &player.refund(&deposit)?, Expected::Accepted)?,
    ])
}

/// What is wrong with an answer.
fn judge(step: &Step, reply: &Reply, policy: &Policy, partner: &Partner) -> Result<(), String> {
    let (status, error) = match step.expected {
        Expected::Accepted | Expected::Repeated => (200, None),
        Expected::WrongSignature => (403, Some("signature_invalid")),
    };
    if reply.status != status {
        return Err(format!("expected {status}"));
    }
    if reply.body.get("error").and_then(Value::as_str) != error {
        return Err(format!("expected the error {error:?}"));
    }
    if step.expected == Expected::WrongSignature {
        return Ok(());
    }
    let repeated = step.expected == Expected::Repeated;
    if reply.body.get("idempotent").and_then(Value::as_bool) != Some(repeated) || reply.replayed != repeated {
        return Err(format!("expected \"idempotent\": {repeated}, and the header to say the same"));
    }
    let receipt = reply.body.get("receipt").and_then(Value::as_str).unwrap_or_default();
    match is_genuine(receipt, step, policy, partner) {
        Some(true) => Ok(()),
        Some(false) | None => Err("the receipt is not one for this event".to_owned()),
    }
}

/// Whether the receipt is for this very payload. It has no time in it, so a repeat has the same.
fn is_genuine(receipt: &str, step: &Step, policy: &Policy, partner: &Partner) -> Option<bool> {
    let event: Value = serde_json::from_str(&step.body).ok()?;
    let mut tape = Tape::default();
    let body = step.body.as_bytes();
    let document = input::document(body, &mut tape, partner.signature.scheme.read_limits()).ok()?;
    let fields: [(&[u8], &[u8]); 1] = [(b"x-signature", step.signature.as_bytes())];
    let verified =
        signature::verify(&partner.signature, Headers(&fields), body, &document, input::now(), None).ok()?;
    let event_id = event.get("event_id")?.as_str()?;
    Some(policy.receipt.verify(receipt, &partner.name, event_id, &verified.payload_hash))
}

/// The answer in one line.
fn shown(reply: &Reply) -> String {
    let member = |name: &str| reply.body.get(name);
    match (member("idempotent"), member("error").and_then(Value::as_str)) {
        (Some(idempotent), _) => format!("{} idempotent: {idempotent}", reply.status),
        (None, Some(error)) => {
            format!(
                "{} {error}: {}",
                reply.status,
                member("hint").and_then(Value::as_str).unwrap_or_default()
            )
        }
        (None, None) => format!("{} without a body of ours", reply.status),
    }
}
