//! Every call to the host and to the store fails once, at every place, in every way: no 200 without a durable hand-on, no event
//! lost, no second hand-on outside an expired lease, the VM alive, and no secret in a log.
#![cfg(test)]

use std::collections::BTreeMap;

use conformance::authoring::draft::Draft;
use conformance::authoring::token::TokenDraft;
use conformance::authoring::{Said, blank, keys, script};
use conformance::hosts::HostName;
use conformance::vector::{Expect, Group, Suite, Upstream, Vector};
use countersign_host::fault::{Fault, Faults};

/// The lease of `configs/gate.json`, in milliseconds.
const LEASE_MS: u64 = 30_000;
/// It may fail. What it says when it leaps by centuries is not promised anything: leases and retention are counted by it.
const CLOCK: &str = "proxy_get_current_time_nanoseconds";
/// What every host says that cannot decide.
const INTERNAL_ERROR: &str = r#"{"error":"internal_error","hint":"nothing was accepted; retry after Retry-After","type":"https://countersign.example/docs/rejects.md#internal_error","title":"internal_error","status":503}"#;
/// How many events are good, and so must be served in the end.
const ROUND: usize = 10;

#[test]
fn native_survives_every_fault_of_its_table() {
    every_fault(HostName::Native);
}

#[test]
fn filter_survives_every_fault_of_its_proxy() {
    every_fault(HostName::Filter);
}

fn every_fault(host: HostName) {
    let story = Story::new();
    let played = story.play(host, &Faults::none()).unwrap_or_else(|error| panic!("without a fault: {error}"));
    let mut wrong = story.broken(&played);
    wrong.extend(
        story.handed_on_twice(&played).map(|event| format!("without a fault, {event} was handed on twice")),
    );
    let kinds = [
        Fault::Error,
        Fault::Conflict,
        Fault::Garbage(vec![0xa5; 24]),
        Fault::Garbage(Vec::new()),
        Fault::ErrorAfterEffect,
    ];
    let (mut plays, mut internal) = (0, 0);
    // In the last round nothing fails: every event must have been served by its end.
    for (call, times) in story.calls_before_the_last_round(host) {
        for fault in &kinds {
            if call == CLOCK && matches!(fault, Fault::Garbage(_)) {
                continue;
            }
            for after in 0..times {
                let faults = Faults::none();
                faults.plan(&call, after, fault.clone());
                plays += 1;
                match story.play(host, &faults) {
                    Ok(played) => {
                        let broken = story.broken(&played);
                        wrong.extend(
                            broken.into_iter().map(|what| format!("{call} number {after} {fault:?}: {what}")),
                        );
                        for step in played.iter().filter(|step| step.body.contains("\"internal_error\"")) {
                            internal += 1;
                            assert_eq!(step.body, INTERNAL_ERROR);
                        }
                    }
                    // A filter that cannot read its configuration does not start: nothing passes.
                    Err(error) if error.contains("the filter did not start") => {}
                    Err(error) => wrong.push(format!("{call} number {after} {fault:?}: {error}")),
                }
            }
        }
    }
    println!("{}: {plays} plays, {internal} answers internal_error", host.as_str());
    let shown: Vec<_> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {plays} plays broke a promise:\n{}", wrong.len(), shown.join("\n"));
    assert!(plays > 100, "only {plays} plays: are the faults still asked for?");
    if host == HostName::Filter {
        assert!(internal > 0, "no fault was ever answered internal_error");
    }
}

/// What senders and upstream do, and then every event sent again until it must have been served.
struct Story {
    group: Group,
    vector: Vector,
    /// Where the last attempt of each event is, by what it is called.
    last_attempts: BTreeMap<String, usize>,
    /// What must not be in a log.
    secrets: Vec<String>,
}

impl Story {
    fn new() -> Self {
        let plain = |id: &str| Draft::of("plain").id(id);
        let shop = |id: &str| Draft::of("shop").id(id);
        let bearer = || Draft::of("bearer").id("j").token(TokenDraft::written("https://bearer.example"));
        let claimed = |draft: Draft| draft.also("x-countersign-partner", "forged");
        let mut drafts = vec![
            plain("a"),
            plain("a").later_ms(1),
            plain("a").string("account_id", "u-2").later_ms(2),
            shop("s").later_ms(3),
            shop("s-again").later_ms(4),
            plain("b").answered(503, "down").later_ms(5),
            plain("b").later_ms(6),
            plain("c").upstream(Upstream::Timeout).later_ms(7),
            plain("c").later_ms(8),
            plain("d").forged().later_ms(9),
            plain("e").answered(302, "").later_ms(10),
            shop("t").click(2).answered(400, "no").later_ms(11),
            shop("t").click(2).later_ms(12),
            plain("f").upstream(Upstream::Pending).later_ms(13),
            plain("g").upstream(Upstream::Reset).later_ms(14),
            bearer().chunked(50).later_ms(15),
            claimed(plain("h")).answered(204, "").later_ms(16),
            plain("i").less("ts_event").later_ms(17),
        ];
        // Longer than a lease apart: a slot that was garbled stays closed for one.
        for round in 1..=3 {
            let events: [Draft; ROUND] = [
                plain("a"),
                shop("s"),
                plain("b"),
                plain("c"),
                plain("e"),
                shop("t").click(2),
                plain("f"),
                plain("g"),
                bearer(),
                plain("h"),
            ];
            drafts.extend(events.into_iter().map(|draft| draft.later_ms(round * 2 * LEASE_MS)));
        }
        let vector =
            blank(script("faults", "Faults.", drafts.into_iter().map(|draft| (draft, Said::Prelude))));
        let mut group = Group {
            comment: String::new(),
            config: "gate".to_owned(),
            secrets: BTreeMap::new(),
            vectors: Vec::new(),
        };
        group.secrets = keys::secrets(&group.configuration().unwrap()).unwrap();
        let last_attempts =
            (vector.steps.len() - ROUND..vector.steps.len()).map(|at| (event(&vector, at), at)).collect();
        let fields = vector.steps.iter().flat_map(|step| &step.request.headers);
        let fields = fields.filter(|(name, _)| matches!(&**name, "authorization" | "x-signature"));
        let secrets = fields.map(|(_, value)| value.clone()).chain(group.secrets.values().cloned()).collect();
        Self { group, vector, last_attempts, secrets }
    }

    fn play(&self, host: HostName, faults: &Faults) -> Result<Vec<Expect>, String> {
        let mut playing =
            host.start_with(Suite::HandOn, faults.clone()).map_err(|error| format!("{error:#}"))?;
        let played = playing.play(&self.group, &self.vector).map_err(|error| format!("{error:#}"))?;
        let log = playing.log();
        match self.secrets.iter().find(|secret| log.iter().any(|line| line.contains(&***secret))) {
            Some(secret) => Err(format!("{secret:?} is in the log")),
            None => Ok(played),
        }
    }

    /// How often each call is made before the last round.
    fn calls_before_the_last_round(&self, host: HostName) -> BTreeMap<String, u64> {
        let steps = self.vector.steps.len() - self.last_attempts.len();
        let vector = Vector { steps: self.vector.steps[..steps].to_vec(), ..self.vector.clone() };
        let faults = Faults::none();
        host.start_with(Suite::HandOn, faults.clone()).unwrap().play(&self.group, &vector).unwrap();
        faults.calls()
    }

    /// Every promise that was broken.
    fn broken(&self, played: &[Expect]) -> Vec<String> {
        let mut broken = Vec::new();
        for (at, step) in played.iter().enumerate() {
            let status = step.status.unwrap_or_default();
            let (name, forged) =
                (event(&self.vector, at), self.vector.steps[at].request.headers.iter().any(is_forged));
            if (300..400).contains(&status) {
                broken.push(format!("step {at} was answered {status}: a sender might follow"));
            }
            if status == 200 && !self.is_durable(played, at) {
                broken.push(format!("step {at} was answered 200, and no upstream has acknowledged {name}"));
            }
            if step.handed_on.is_some() && forged {
                broken.push(format!("step {at}, a forged request, was handed on"));
            }
            if let Some(fields) = &step.handed_on
                && fields.iter().any(|(_, value)| value == "forged")
            {
                broken.push(format!(
                    "step {at}: the upstream was handed the sender's own x-countersign-partner"
                ));
            }
        }
        for (name, at) in &self.last_attempts {
            if played[*at].status != Some(200) {
                broken.push(format!(
                    "{name} was lost: its last attempt was answered {:?} {}",
                    played[*at].status, played[*at].body
                ));
            }
        }
        broken.extend(self.raced(played));
        broken
    }

    /// Whether an upstream had acknowledged the event of a step, or the one that it duplicates, when the step was answered.
    fn is_durable(&self, played: &[Expect], at: usize) -> bool {
        let body: serde_json::Value = serde_json::from_str(&played[at].body).unwrap_or_default();
        let partner = self.vector.steps[at].request.path.clone();
        let name = body["duplicate_of"]
            .as_str()
            .map_or_else(|| event(&self.vector, at), |id| format!("{partner} {id}"));
        let acknowledged = |step: usize| {
            played[step].handed_on.is_some() && is_acknowledged(&self.vector.steps[step].upstream)
        };
        (0..=at).any(|step| event(&self.vector, step) == name && acknowledged(step))
    }

    /// Events that were handed on while an attempt before might still be under way, or after it was acknowledged within its lease.
    fn raced(&self, played: &[Expect]) -> Vec<String> {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut raced = Vec::new();
        for (at, step) in
            self.vector.steps.iter().enumerate().filter(|(at, _)| played[*at].handed_on.is_some())
        {
            let name = event(&self.vector, at);
            if let Some(before) = last.get(&name).filter(|before| step.at_ms < **before + LEASE_MS) {
                raced.push(format!("{name} was handed on at {before} and again at {}", step.at_ms));
            }
            match failed(&step.upstream) {
                // The failure is known: the sender may try again at once.
                true => last.remove(&name),
                false => last.insert(name, step.at_ms),
            };
        }
        raced
    }

    /// Events that were handed on again although they had been acknowledged.
    fn handed_on_twice<'s>(&'s self, played: &'s [Expect]) -> impl Iterator<Item = String> + 's {
        let again = move |at: &usize| {
            let earlier = (0..*at).filter(|step| event(&self.vector, *step) == event(&self.vector, *at));
            let mut acknowledged = earlier.filter(|step| {
                played[*step].handed_on.is_some() && is_acknowledged(&self.vector.steps[*step].upstream)
            });
            played[*at].handed_on.is_some() && acknowledged.next().is_some()
        };
        (0..played.len()).filter(again).map(|at| event(&self.vector, at))
    }
}

/// What an event is called: its path and its id.
fn event(vector: &Vector, at: usize) -> String {
    let request = &vector.steps[at].request;
    let body: serde_json::Value = serde_json::from_str(request.body.as_deref().unwrap_or_default()).unwrap();
    format!("{} {}", request.path, body["event_id"].as_str().unwrap())
}

fn is_forged((name, value): &(String, String)) -> bool {
    name == "x-signature" && value.ends_with("000000000000")
}

fn is_acknowledged(upstream: &Upstream) -> bool {
    match upstream {
        Upstream::Ok => true,
        Upstream::Reply { status, .. } => (200..300).contains(status),
        Upstream::Reset | Upstream::Timeout | Upstream::Pending => false,
    }
}

fn failed(upstream: &Upstream) -> bool {
    matches!(upstream, Upstream::Reply { status, .. } if !(200..300).contains(status))
}
