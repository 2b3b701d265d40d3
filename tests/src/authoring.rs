//! The vectors as their authors write them: what differs from a good request, the code that must come of it, and why. The data
//! files hold the exact answers; [`groups`] computes them on the native host and checks each against what the author said.

pub mod draft;
pub mod files;
pub mod keys;
pub mod layout;
pub mod token;

mod bearer;
mod causes;
mod claim;
mod event;
mod foreign;
mod hand_on;
mod identifier;
mod inbox;
mod overlap;
mod payload;
mod precedence;
mod shape;
mod signing;
mod source;

use anyhow::{Context as _, ensure};
use countersign_core::outcome::Code;
use countersign_host::fault::Faults;

use self::draft::Draft;
use crate::hosts::native::Native;
use crate::vector::{Expect, Group, Step, Suite, Vector};

/// A group while it is written.
pub struct Chapter {
    /// Where it belongs.
    pub suite: Suite,
    /// Its file's name.
    pub name: &'static str,
    /// What it is about.
    pub comment: &'static str,
    /// Its configuration.
    pub config: &'static str,
    /// Its vectors.
    pub entries: Vec<Entry>,
}

/// A vector while it is written.
#[derive(Clone)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Why it exists.
    pub why: String,
    /// Its requests, and what its author says of each.
    pub steps: Vec<(Draft, Said)>,
    /// Whether it is called `A-before-B` and its last request breaches the rules A and B.
    pub is_pair: bool,
}

impl Entry {
    /// The same, as a pair of breaches: the oracle mends each of them and must hear the other one refused.
    #[must_use]
    pub fn pair(self) -> Self {
        Self { is_pair: true, ..self }
    }
}

/// What the author says of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    /// This code, with its own status.
    Code(Code),
    /// This code, with another status than usual.
    Status(Code, u16),
    /// It leads up to what the vector is about.
    Prelude,
}

impl From<Code> for Said {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

/// A vector of one request.
pub fn one(id: &str, why: &str, draft: Draft, said: impl Into<Said>) -> Entry {
    Entry { id: id.to_owned(), why: why.to_owned(), steps: vec![(draft, said.into())], is_pair: false }
}

/// A vector of several requests.
pub fn script<S: Into<Said>>(id: &str, why: &str, steps: impl IntoIterator<Item = (Draft, S)>) -> Entry {
    let steps = steps.into_iter().map(|(draft, said)| (draft, said.into())).collect();
    Entry { id: id.to_owned(), why: why.to_owned(), steps, is_pair: false }
}

/// Every chapter.
#[must_use]
pub fn chapters() -> Vec<Chapter> {
    let chapters = [
        shape::chapters(),
        bearer::chapters(),
        source::chapters(),
        payload::chapters(),
        signing::chapters(),
        overlap::chapters(),
        event::chapters(),
        identifier::chapters(),
        claim::chapters(),
        precedence::chapters(),
        hand_on::chapters(),
        inbox::chapters(),
    ];
    chapters.into_iter().flatten().collect()
}

/// Every group, with its exact expectations.
///
/// # Errors
/// Where an answer is not what its author says, or two vectors have one id.
pub fn groups() -> anyhow::Result<Vec<(Suite, &'static str, Group)>> {
    let mut ids = std::collections::BTreeSet::new();
    let mut groups = Vec::new();
    let mut wrong = Vec::new();
    for chapter in chapters() {
        for entry in &chapter.entries {
            ensure!(ids.insert(entry.id.clone()), "two vectors are called {}", entry.id);
        }
        let (suite, name) = (chapter.suite, chapter.name);
        let group = group(chapter, &mut wrong).with_context(|| format!("{}/{name}", suite.folder()))?;
        groups.push((suite, name, group));
    }
    ensure!(
        wrong.is_empty(),
        "{} answers are not what their author says:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(groups)
}

fn group(chapter: Chapter, wrong: &mut Vec<String>) -> anyhow::Result<Group> {
    let mut group = Group {
        comment: chapter.comment.to_owned(),
        config: chapter.config.to_owned(),
        secrets: std::collections::BTreeMap::new(),
        vectors: Vec::new(),
    };
    group.secrets = keys::secrets(&group.configuration()?)?;
    let mut native = Native::new(chapter.suite, Faults::none());
    for entry in chapter.entries {
        let said: Vec<_> = entry.steps.iter().map(|(_, said)| *said).collect();
        let is_pair = entry.is_pair;
        let mut vector = blank(entry);
        let played = native.play_with_codes(&group, &vector).with_context(|| vector.id.clone())?;
        let mut flags = Vec::new();
        if is_pair {
            flags.push("precedence".to_owned());
        }
        for (number, (played, said)) in played.iter().zip(said).enumerate() {
            let (code, status) = match said {
                Said::Prelude => continue,
                Said::Code(code) => (code, code.status()),
                Said::Status(code, status) => (code, status),
            };
            if !flags.contains(&played.code) {
                flags.push(played.code.clone());
            }
            if played.code != code.metric() || played.status != Some(status) {
                let (id, step, said) = (&vector.id, number + 1, code.metric());
                let Expect { code, status: answered, body, .. } = played;
                wrong.push(format!(
                    "{id} step {step}: {said} {status} is said, the answer is {code} {answered:?} {body}"
                ));
            }
        }
        vector.flags = flags;
        for (step, played) in vector.steps.iter_mut().zip(played) {
            step.expect = played;
        }
        group.vectors.push(vector);
    }
    Ok(group)
}

/// The vector without its expectations.
#[must_use]
pub fn blank(entry: Entry) -> Vector {
    let step = |(draft, _): &(Draft, Said)| {
        let (at_ms, request, upstream) = draft.finish();
        Step { at_ms, request, upstream, expect: Expect::default() }
    };
    let steps = entry.steps.iter().map(step).collect();
    Vector { id: entry.id, comment: entry.why, flags: Vec::new(), steps }
}
