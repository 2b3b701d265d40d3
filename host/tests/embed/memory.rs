//! A store in memory that keeps the contract as far as these tests look, and the requests that they send.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use countersign_host::embed::records::{
    ClaimAnswer, ClaimOperation, End, Quota, Rate, Seen, Settlement, StoreFault, ThrottleAnswer,
    ThrottleOperation,
};
use countersign_host::embed::{Claimed, EmbedConfig, EmbedHost, EmbedModule, EmbedStore, Outcome, Reply};
use countersign_host::fault::Faults;
use countersign_host::http::HttpRequest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 2026-01-01T12:00:00Z.
pub(crate) const NOW: u64 = 1_767_268_800_000;
pub(crate) const LEASE_MS: u64 = 30_000;

const SECRET: &str = "the key with which acme signs, 32 bytes and more";

/// A partner whose registrations have a fallback, and whose client certificate has to have one digest where `digest` is given.
pub(crate) fn document(digest: Option<&str>) -> String {
    let source = digest
        .map_or(String::new(), |digest| format!(r#""source": {{ "certificate_sha256": ["{digest}"] }},"#));
    format!(
        r#"{{ "version": 1, "environment": "sandbox", "click_id": {{ "verify": "off" }},
          "limits": {{ "body_bytes_max": 1024 }},
          "dedup": {{ "lease_seconds": 30 }},
          "partners": {{ "acme": {{
            "signature": {{ "keys": [{{ "id": "k1", "secret": {{ "name": "sandbox_acme" }} }}] }}, {source}
            "rate": {{ "per_second": 10, "burst": 3 }},
            "events": {{ "registration": {{ "fallback_window_seconds": 60 }} }} }} }} }}"#
    )
}

/// The artefact.
pub(crate) fn wasm() -> Vec<u8> {
    let folder = std::env::var_os("COUNTERSIGN_WASM");
    let folder =
        folder.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm"), Into::into);
    let path = folder.join("embed.wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build`", path.display()))
}

pub(crate) fn module() -> &'static EmbedModule {
    static MODULE: OnceLock<EmbedModule> = OnceLock::new();
    MODULE.get_or_init(|| EmbedModule::load(&wasm()).expect("the artefact loads"))
}

pub(crate) fn config(document: String) -> EmbedConfig {
    let secrets = BTreeMap::from([("sandbox_acme".to_owned(), SECRET.as_bytes().to_vec())]);
    EmbedConfig { document, secrets, faults: Faults::none() }
}

/// A gate, its store and its faults.
pub(crate) struct World {
    pub(crate) host: EmbedHost,
    pub(crate) memory: Memory,
    pub(crate) faults: Faults,
}

pub(crate) fn world() -> World {
    world_of(document(None))
}

pub(crate) fn world_of(document: String) -> World {
    let (memory, config) = (Memory::default(), config(document));
    let faults = config.faults.clone();
    let host = EmbedHost::start(module(), config, Box::new(memory.clone()));
    World { host: host.unwrap_or_else(|error| panic!("the gate starts: {error}")), memory, faults }
}

impl World {
    pub(crate) fn answer(&mut self, request: &HttpRequest, now_ms: u64) -> Reply {
        match self.host.decide(request, now_ms).expect("the component does not trap") {
            Outcome::Answer(reply) => reply,
            Outcome::Forward(claimed) => panic!("an answer was expected, and not a claim: {claimed:?}"),
        }
    }

    pub(crate) fn claim(&mut self, request: &HttpRequest, now_ms: u64) -> Claimed {
        match self.host.decide(request, now_ms).expect("the component does not trap") {
            Outcome::Answer(reply) => panic!("a claim was expected, and not {reply:?}"),
            Outcome::Forward(claimed) => claimed,
        }
    }
}

/// A signed registration.
pub(crate) fn registration(event_id: &str, click_id: &str) -> HttpRequest {
    let body = format!(
        r#"{{"click_id":"{click_id}","event":"registration","event_id":"{event_id}","ts_event":"2026-01-01T11:59:00Z"}}"#
    );
    signed(&body, SECRET)
}

/// A canonical payload, signed with this key.
pub(crate) fn signed(body: &str, secret: &str) -> HttpRequest {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    let digits: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    HttpRequest {
        method: b"POST".to_vec(),
        path: b"/postback/acme".to_vec(),
        authority: b"tracker.example".to_vec(),
        headers: vec![
            (b"content-type".to_vec(), b"application/json".to_vec()),
            (b"x-signature".to_vec(), format!("sha256={digits}").into_bytes()),
        ],
        body: vec![body.as_bytes().to_vec()],
        peer: "203.0.113.7:4711".parse().unwrap(),
        certificate: None,
    }
}

/// Clones share what is kept.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Kept>>);

#[derive(Default)]
pub(crate) struct Kept {
    events: BTreeMap<Vec<u8>, Event>,
    pub(crate) refusals: BTreeMap<u64, u32>,
    pub(crate) settlements: Vec<Settlement>,
    pub(crate) claims: Vec<ClaimOperation>,
    /// Answers the next claim in place of the truth.
    pub(crate) next_claim: Option<ClaimAnswer>,
    /// Answers the next look at a source in place of the truth.
    pub(crate) next_throttle: Option<ThrottleAnswer>,
}

struct Event {
    lease_until: u64,
    committed: bool,
    payload_hash: Vec<u8>,
}

impl Memory {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }
}

/// What is left of a quota that nobody spends.
pub(crate) fn left(rate: Rate) -> Quota {
    Quota { burst: rate.burst, window_seconds: 1, remaining: rate.burst - 1, reset_seconds: 1 }
}

impl EmbedStore for Memory {
    fn throttle(&mut self, operation: &ThrottleOperation) -> Result<ThrottleAnswer, StoreFault> {
        let mut kept = self.lock();
        if let Some(answer) = kept.next_throttle.take() {
            return Ok(answer);
        }
        let refusals = kept.refusals.entry(operation.source).or_default();
        *refusals += u32::from(operation.count);
        let limited = !operation.count && *refusals >= operation.rate.burst;
        Ok(if limited { ThrottleAnswer::Limited(1_500) } else { ThrottleAnswer::Pass })
    }

    fn claim(&mut self, claim: &ClaimOperation) -> Result<ClaimAnswer, StoreFault> {
        let mut kept = self.lock();
        kept.claims.push(claim.clone());
        if let Some(answer) = kept.next_claim.take() {
            return Ok(answer);
        }
        if let Some(event) = kept.events.get(&claim.key.fingerprint) {
            if event.committed {
                return Ok(ClaimAnswer::Seen(Seen {
                    same_payload: event.payload_hash == claim.payload_hash,
                    receipt_key: claim.receipt_key,
                }));
            }
            if event.lease_until > claim.now {
                return Ok(ClaimAnswer::InFlight(event.lease_until - claim.now));
            }
        }
        let event = Event {
            lease_until: claim.key.lease_until,
            committed: false,
            payload_hash: claim.payload_hash.clone(),
        };
        kept.events.insert(claim.key.fingerprint.clone(), event);
        Ok(ClaimAnswer::Fresh(claim.quota.map(left)))
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        let mut kept = self.lock();
        kept.settlements.push(settlement.clone());
        let key = &settlement.key;
        match settlement.end {
            End::Commit => {
                let payload_hash = settlement.payload_hash.clone();
                let event = Event { lease_until: key.lease_until, committed: true, payload_hash };
                kept.events.insert(key.fingerprint.clone(), event);
            }
            End::Release => {
                let same = |event: &Event| !event.committed && event.lease_until == key.lease_until;
                if kept.events.get(&key.fingerprint).is_some_and(same) {
                    kept.events.remove(&key.fingerprint);
                }
            }
        }
        Ok(())
    }
}
