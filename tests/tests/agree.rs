//! Seeded random scripts on every host: all must do the same. A disagreement is made as small as it gets and printed as a vector.
//!
//! `COUNTERSIGN_SEED` replays a run; `COUNTERSIGN_SCRIPTS` says how many scripts each suite plays.
#![cfg(test)]

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use conformance::authoring::keys;
use conformance::authoring::layout::layout;
use conformance::compare::differences;
use conformance::hosts::{Host, HostName};
use conformance::random::Random;
use conformance::scripts;
use conformance::vector::{Group, Suite, Upstream, Vector};

/// Scripts of one run, over both suites.
const SCRIPTS: u64 = 10_000;

#[test]
fn hosts_agree_whatever_is_sent() {
    agree(Suite::Gate);
}

#[test]
fn hosts_with_an_upstream_agree_whatever_it_does() {
    agree(Suite::HandOn);
}

/// Scripts play side by side in so many VMs, each with a listener: one address has too few ports for all connections.
const LISTENERS: u64 = 8;
/// Upstreams that let a request time out, in one suite: each takes a second of real time.
const TIMEOUTS: u32 = 20;

/// A VM for each script would be thousands of them, so the scripts of a listener share one; each plays when everything that the
/// one before left behind is long over.
#[test]
fn the_real_envoy_agrees() {
    for suite in [Suite::Gate, Suite::HandOn] {
        let (seed, count) = seed_and_count(suite);
        let mut seeds = Random::of(seed);
        let mut group = World::of(suite, &[HostName::Native]).group;
        group.vectors = (0..LISTENERS).map(|number| listener(suite, number)).collect();
        let mut native = HostName::Native.start(suite).unwrap();
        let mut envoy = HostName::Envoy.start(suite).unwrap();
        let mut timeouts = TIMEOUTS;
        for number in 0..count {
            let mut script = scripts::of_seed(suite, seeds.next(), number * scripts::FORGOTTEN_MS);
            script.id = listener(suite, number % LISTENERS).id;
            for step in script.steps.iter_mut().filter(|step| step.upstream == Upstream::Timeout) {
                match timeouts.checked_sub(1) {
                    Some(left) => timeouts = left,
                    None => step.upstream = Upstream::Reset,
                }
            }
            let expected = native.play(&group, &script).unwrap();
            for (step, played) in script.steps.iter_mut().zip(expected) {
                step.expect = played;
            }
            let played =
                envoy.play(&group, &script).unwrap_or_else(|error| panic!("script {number}: {error:#}"));
            if let Some(report) = differences(suite, HostName::Envoy, &script, &played) {
                let vector = layout(&serde_json::to_string(&script).unwrap()).unwrap();
                panic!(
                    "COUNTERSIGN_SEED={seed}: the real Envoy disagrees on script {number}.\n{report}\nAs a vector:\n{vector}"
                );
            }
        }
    }
}

/// What a listener is made for: an upstream that may time out.
fn listener(suite: Suite, number: u64) -> Vector {
    let mut vector = scripts::of_seed(suite, number, 0);
    vector.id = format!("listener-{number}");
    if suite == Suite::HandOn {
        vector.steps[0].upstream = Upstream::Timeout;
    }
    vector
}

fn seed_and_count(suite: Suite) -> (u64, u64) {
    let seed = seed();
    let count = from_environment("COUNTERSIGN_SCRIPTS").unwrap_or(SCRIPTS / 2);
    println!("COUNTERSIGN_SEED={seed} plays these {count} scripts of {} again", suite.folder());
    (seed, count)
}

fn seed() -> u64 {
    from_environment("COUNTERSIGN_SEED").unwrap_or_else(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::from(since_epoch.subsec_nanos()) ^ since_epoch.as_secs().rotate_left(32)
    })
}

fn agree(suite: Suite) {
    let (seed, count) = seed_and_count(suite);
    // The real Envoy plays in a test of its own: its clock and its upstream are real.
    let hosts: Vec<_> = HostName::ALL.into_iter().filter(|host| *host != HostName::Envoy).collect();
    let mut world = World::of(suite, &hosts);
    assert!(world.hosts.len() > 1, "one host always agrees with itself");
    let mut seeds = Random::of(seed);
    for _ in 0..count {
        let script = scripts::of_seed(suite, seeds.next(), 0);
        if world.disagreement(&script).is_some() {
            let (small, report) = world.minimised(script);
            let vector = layout(&serde_json::to_string(&small).unwrap()).unwrap();
            panic!(
                "COUNTERSIGN_SEED={seed}: hosts disagree.\n{report}\nAs a vector of configs/{}.json:\n{vector}",
                scripts::CONFIG
            );
        }
    }
    let (all, repeats) = (world.codes.values().sum::<u64>(), world.codes.get("Some(200) null true").copied());
    assert!(
        count < SCRIPTS / 2 || (world.codes.len() > 15 && repeats.is_some_and(|repeats| repeats > all / 50)),
        "the scripts are too tame: {:?}",
        world.codes
    );
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: write a number")))
}

/// The hosts side by side.
struct World {
    suite: Suite,
    group: Group,
    hosts: Vec<(HostName, Box<dyn Host>)>,
    /// How often each status and error was the answer.
    codes: BTreeMap<String, u64>,
}

impl World {
    fn of(suite: Suite, hosts: &[HostName]) -> Self {
        let mut group = Group {
            comment: String::new(),
            config: scripts::CONFIG.to_owned(),
            secrets: BTreeMap::new(),
            vectors: Vec::new(),
        };
        group.secrets = keys::secrets(&group.configuration().unwrap()).unwrap();
        let start = |host: HostName| (host, host.start(suite).unwrap_or_else(|error| panic!("{error:#}")));
        let hosts = hosts.iter().copied().filter(|host| host.plays(suite)).map(start).collect();
        Self { suite, group, hosts, codes: BTreeMap::new() }
    }

    /// What the hosts after the first do otherwise than the first.
    fn disagreement(&mut self, script: &Vector) -> Option<String> {
        let mut expected: Option<Vector> = None;
        for (name, host) in &mut self.hosts {
            let played = match host.play(&self.group, script) {
                Ok(played) => played,
                Err(error) => return Some(format!("{}: {error:#}", name.as_str())),
            };
            let Some(expected) = &expected else {
                let mut vector = script.clone();
                for (step, played) in vector.steps.iter_mut().zip(played) {
                    let body: serde_json::Value = serde_json::from_str(&played.body).unwrap_or_default();
                    let code = format!("{:?} {} {}", played.status, body["error"], body["idempotent"]);
                    *self.codes.entry(code).or_default() += 1;
                    step.expect = played;
                }
                expected = Some(vector);
                continue;
            };
            if let Some(report) = differences(self.suite, *name, expected, &played) {
                return Some(format!("{}: {report}", name.as_str()));
            }
        }
        None
    }

    /// The script without whatever can be left out while the hosts still disagree.
    fn minimised(&mut self, script: Vector) -> (Vector, String) {
        let mut small = script;
        loop {
            let Some(smaller) =
                shorter(&small).into_iter().find(|shorter| self.disagreement(shorter).is_some())
            else {
                let report = self.disagreement(&small).unwrap_or_default();
                return (small, report);
            };
            small = smaller;
        }
    }
}

/// Every script that is shorter by one thing: a step, a header field, the upstream's whim.
fn shorter(script: &Vector) -> Vec<Vector> {
    let mut shorter = Vec::new();
    for at in 0..script.steps.len() {
        if script.steps.len() > 1 {
            let mut less = script.clone();
            less.steps.remove(at);
            shorter.push(less);
        }
        for field in 0..script.steps[at].request.headers.len() {
            let mut less = script.clone();
            less.steps[at].request.headers.remove(field);
            shorter.push(less);
        }
        if script.steps[at].upstream != Default::default() {
            let mut less = script.clone();
            less.steps[at].upstream = Default::default();
            shorter.push(less);
        }
    }
    shorter
}
