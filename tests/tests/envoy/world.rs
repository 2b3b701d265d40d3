//! One Envoy and one canary, and what every test asserts at its end.

use conformance::envoy::{Bootstrap, Canary, EnvoyProcess, Response};
use countersign_core::attestation;
use countersign_core::policy::sandbox;
use countersign_core::receipt::MacKey;
use sha2::{Digest as _, Sha256};

use crate::sender::{Postback, now};

pub(crate) struct World {
    // Ends before the canary does.
    pub(crate) envoy: EnvoyProcess,
    pub(crate) canary: Canary,
}

impl World {
    /// Envoy as it is shipped.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Envoy as it is shipped but for what `change` does.
    pub(crate) fn with(change: impl FnOnce(&mut Bootstrap)) -> Self {
        let canary = Canary::start().unwrap();
        let mut bootstrap = Bootstrap::new(canary.address());
        change(&mut bootstrap);
        Self { envoy: EnvoyProcess::start(bootstrap).unwrap(), canary }
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, postback: &Postback) -> Response {
        self.send_to(0, postback)
    }

    /// The same to another listener.
    pub(crate) fn send_to(&self, listener: usize, postback: &Postback) -> Response {
        let mut client = self.envoy.connect(listener).unwrap();
        client.send(&postback.bytes()).unwrap();
        client.response().unwrap()
    }

    /// The canary has seen these events since it was last asked, and no other request: each at the rewritten path, with our header
    /// fields and an attestation of this body. The order is not looked at.
    #[track_caller]
    pub(crate) fn saw(&self, events: &[&str]) {
        let seen = self.canary.take();
        let mut ids: Vec<_> =
            seen.iter().map(|seen| seen.header("x-countersign-event-id").unwrap_or("(none)")).collect();
        ids.sort_unstable();
        let mut events = events.to_vec();
        events.sort_unstable();
        assert_eq!(ids, events, "the canary sees exactly the verified events");
        for seen in &seen {
            assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/collect"));
            let partner = seen.header("x-countersign-partner").unwrap();
            let event_id = seen.header("x-countersign-event-id").unwrap();
            let field = seen.header("x-countersign-attestation").unwrap();
            let key = MacKey::new(sandbox::ATTESTATION_SECRET.as_bytes());
            let hash: [u8; 32] = Sha256::digest(&seen.body).into();
            attestation::verify(&key, field.as_bytes(), partner, event_id, &hash, now()).unwrap();
            assert!(seen.header("x-countersign-receipt").unwrap().starts_with("cs1_"));
        }
    }
}

/// The answer is a refusal of this status and error.
#[track_caller]
pub(crate) fn refused(response: &Response, status: u16, error: &str) {
    assert_eq!(
        (response.status, response.json()["error"].as_str()),
        (status, Some(error)),
        "{}",
        response.text()
    );
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
}

/// The answer is a 200, `idempotent` or not, with a receipt.
#[track_caller]
pub(crate) fn accepted(response: &Response, idempotent: bool) -> String {
    assert_eq!(
        (response.status, &response.json()["idempotent"]),
        (200, &idempotent.into()),
        "{}",
        response.text()
    );
    assert_eq!(response.header("idempotent-replayed"), idempotent.then_some("true"));
    response.json()["receipt"].as_str().unwrap().to_owned()
}
