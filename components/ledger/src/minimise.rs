//! Which members of a payload are stored, and in what form (source §9): only what attribution and billing need.
//!
//! A payload is minimised once, before it is stored, after its signature was checked and its hash taken: neither fits what is
//! left.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;

use countersign_core::canonical;
use countersign_core::json::{Malformed, Member, Object, ReadLimits, Str, Tape, Value, read};
use countersign_core::keys::{self, Key};
use countersign_core::receipt::MacKey;
use countersign_core::signature::Place;
use countersign_core::text::Text;
use countersign_core::time::Timestamp;

use crate::client::{reduce_user_agent, truncate_ip};

/// The members that posting an event needs. They are stored as they are, whatever the rules say.
pub const NEEDED: [&str; 10] = [
    "event",
    "event_id",
    "click_id",
    "ts_event",
    "amount",
    "currency",
    "original_event_id",
    "is_ftd",
    "bonus",
    "consent",
];

/// The most names in each list of [`MinimiseRules`].
pub const NAMES_MAX: usize = 64;

/// What to keep of the top-level members that are not [`NEEDED`].
///
/// By default everything is kept but the signature, which is of no use once it was checked. A member's value is hashed where
/// `hash` names it, else truncated where `truncate` does, else kept where `keep` does.
#[derive(Clone, Debug, Default)]
pub struct MinimiseRules {
    /// Members that stay as they are; `None` for all. Where this is a list, a consent keeps its own three members only.
    pub keep: Option<Vec<Box<str>>>,
    /// Members whose value becomes its [`pseudonym`].
    pub hash: Vec<Box<str>>,
    /// Members whose value is shortened: `ip` to its network, `ua` to product and system, any other text to its first
    /// [`TRUNCATED_CHARACTERS`]. What cannot be shortened, such as a number, is left out.
    pub truncate: Vec<Box<str>>,
    /// The keys of the pseudonyms, of which the newest valid one hashes. Where none is valid, what should be hashed is left out.
    pub salts: Vec<Key<MacKey>>,
    /// The member that carries the signature, where it is not [`Place::MEMBER`], which is left out in any case.
    pub signature: Option<Box<str>>,
}

/// How much of a text is left where a rule truncates it.
pub const TRUNCATED_CHARACTERS: usize = 4;

/// A mistake in the configuration: a rule that cannot mean what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimiseConfigError {
    /// The list: `keep`, `hash` or `truncate`.
    pub list: &'static str,
    /// The name's place in it, counted from 0.
    pub index: usize,
    /// What is wrong.
    pub mistake: MinimiseMistake,
}

/// What is wrong with such a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinimiseMistake {
    /// The list has more than [`NAMES_MAX`] names.
    TooMany,
    /// The member is the signature.
    Signature,
    /// The member is one of [`NEEDED`], which nothing may change.
    Needed,
    /// Another place says something about the same member already.
    Twice,
    /// There is no salt to hash with.
    SaltMissing,
}

impl MinimiseMistake {
    /// What to write instead; for the operator.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "leave names out: a list has at most 64",
            Self::Signature => "leave it out: a signature is never stored",
            Self::Needed => "leave it out: posting the event needs the member as it is",
            Self::Twice => "name each member once, in one of keep, hash and truncate",
            Self::SaltMissing => "name a secret as the salt, or leave the list empty",
        }
    }
}

impl MinimiseRules {
    /// How a member's text may be stored where the rules hash it: one pseudonym for each salt that is listed, valid or not.
    pub fn pseudonyms(&self, member: &str, text: &str) -> impl Iterator<Item = Text<24>> {
        let is_hashed = self.hash.iter().any(|name| **name == *member);
        let salts = self.salts.iter().filter(move |_| is_hashed);
        salts.map(move |salt| pseudonym(salt.secret(), member, text))
    }

    /// Checks that every rule can mean what it says. [`minimise`] is safe without: what it then does is the stricter thing.
    ///
    /// # Errors
    /// The first [`MinimiseConfigError`], in the order of the fields.
    pub fn check(&self) -> Result<(), MinimiseConfigError> {
        let lists = [
            ("keep", self.keep.as_deref().unwrap_or_default()),
            ("hash", &self.hash[..]),
            ("truncate", &self.truncate[..]),
        ];
        let mut names: Vec<&str> = Vec::new();
        for (list, members) in lists {
            for (index, name) in members.iter().enumerate() {
                let mistake = if index >= NAMES_MAX {
                    MinimiseMistake::TooMany
                } else if self.is_signature(name) {
                    MinimiseMistake::Signature
                } else if list != "keep" && NEEDED.contains(&&**name) {
                    MinimiseMistake::Needed
                } else if names.contains(&&**name) {
                    MinimiseMistake::Twice
                } else if list == "hash" && self.salts.is_empty() {
                    MinimiseMistake::SaltMissing
                } else {
                    names.push(name);
                    continue;
                };
                return Err(MinimiseConfigError { list, index, mistake });
            }
        }
        Ok(())
    }

    fn is_signature(&self, name: &str) -> bool {
        name == Place::MEMBER || self.signature.as_deref() == Some(name)
    }

    /// What to do with the member called `name`.
    fn of(&self, name: Str<'_>) -> Rule {
        let is_in = |list: &[Box<str>]| list.iter().any(|listed| name.is(listed));
        if name.is(Place::MEMBER) || self.signature.as_deref().is_some_and(|signature| name.is(signature)) {
            Rule::Drop
        } else if name.is("consent") && self.keep.is_some() {
            Rule::Consent
        } else if NEEDED.iter().any(|needed| name.is(needed)) {
            Rule::Keep
        } else if is_in(&self.hash) {
            Rule::Hash
        } else if is_in(&self.truncate) {
            Rule::Truncate
        } else if self.keep.as_deref().is_none_or(is_in) {
            Rule::Keep
        } else {
            Rule::Drop
        }
    }
}

enum Rule {
    Drop,
    Keep,
    Consent,
    Hash,
    Truncate,
}

/// The canonical form (RFC 8785) of what the rules leave of a payload that was received at `now`. The names, and their order, stay.
///
/// # Errors
/// [`NotAnEvent`] where the payload is no JSON object within [`ReadLimits::BYTES_SIGNED`]; the gate lets none of these through.
pub fn minimise(
    payload: &[u8],
    rules: &MinimiseRules,
    now: Timestamp,
    tape: &mut Tape,
) -> Result<Vec<u8>, NotAnEvent> {
    let salt = keys::current(&rules.salts, now).map(Key::secret);
    let document = read(payload, tape, ReadLimits::BYTES_SIGNED).map_err(NotAnEvent::Malformed)?;
    let mut whole = Vec::with_capacity(payload.len());
    canonical::write(&document, Some(Place::MEMBER), &mut whole);

    // What was written in canonical form can be taken over member by member as it stands.
    let document = read(&whole, tape, ReadLimits::BYTES_SIGNED).map_err(NotAnEvent::Malformed)?;
    let mut members = Members { output: Vec::with_capacity(whole.len()) };
    for member in document.object().ok_or(NotAnEvent::NotAnObject)?.written() {
        match rules.of(member.name) {
            Rule::Drop => {}
            Rule::Keep => members.add(member.name_written, &[member.value_written]),
            Rule::Consent => members.add(member.name_written, &[&consent(member)]),
            Rule::Hash => {
                if let Some(salt) = salt {
                    let hashed = hashed(salt, member);
                    members.add(member.name_written, &[b"\"", hashed.as_str().as_bytes(), b"\""]);
                }
            }
            Rule::Truncate => {
                if let Some(text) = truncated(member) {
                    members.add(member.name_written, &[b"\"", &text, b"\""]);
                }
            }
        }
    }
    Ok(members.finish())
}

/// Why a payload cannot be minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnEvent {
    /// Not JSON as the gate takes it.
    Malformed(Malformed),
    /// JSON, but no object.
    NotAnObject,
}

/// What stands for a text value without giving it away: `h_` and 22 characters of base64url, the first 128 bits of the
/// HMAC-SHA256 with the salt over
///
/// ```text
/// countersign pseudonym v1 LF
/// <length of the member's name>:<the member's name> LF
/// 4:text LF
/// <length of the text>:<text> LF
/// ```
///
/// with lengths in bytes and decimal. Where the value is no text, `4:json` and its canonical form take the place of the last
/// two lines.
///
/// Equal values of one member have equal pseudonyms under one salt, so an account can still be counted, and found again by who has the salt.
///
/// # Security
/// Without the salt a value cannot be found by trying all there are, as with a plain hash of an address or a telephone number.
#[must_use]
pub fn pseudonym(salt: &MacKey, member: &str, text: &str) -> Text<24> {
    pseudonym_of(salt, member, "text", text.as_bytes())
}

/// Whether a text has the form of a [`pseudonym`].
#[must_use]
pub fn is_pseudonym(text: &str) -> bool {
    text.len() == 24 && text.starts_with("h_")
}

fn pseudonym_of(salt: &MacKey, member: &str, kind: &str, value: &[u8]) -> Text<24> {
    let tag =
        salt.short_tag_of_parts("countersign pseudonym v1", &[member.as_bytes(), kind.as_bytes(), value]);
    let mut pseudonym = Text::EMPTY;
    // 2 + 22 characters fill the text exactly.
    let _fits = pseudonym.push_str("h_").and_then(|()| pseudonym.push_str(tag.as_str()));
    pseudonym
}

fn hashed(salt: &MacKey, member: Member<'_>) -> Text<24> {
    let name = member.name.to_string();
    match member.value {
        Value::String(text) => pseudonym(salt, &name, &text.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            pseudonym_of(salt, &name, "json", member.value_written)
        }
    }
}

/// What is left of a member's value, as it stands between the quotes of canonical JSON; `None` where it cannot be shortened.
fn truncated(member: Member<'_>) -> Option<Vec<u8>> {
    let Value::String(text) = member.value else { return None };
    if member.name.is("ip") {
        let address: IpAddr = text.to_string().parse().ok()?;
        Some(format!("{}", truncate_ip(address)).into_bytes())
    } else if member.name.is("ua") {
        Some(reduce_user_agent(&text.to_string()).as_str().as_bytes().to_vec())
    } else {
        let inside = core::str::from_utf8(member.value_written).ok()?.strip_prefix('"')?.strip_suffix('"')?;
        Some(first_characters(inside).as_bytes().to_vec())
    }
}

/// The first characters of a text, as written: an escape is one of them.
fn first_characters(text: &str) -> &str {
    let mut rest = text;
    for _ in 0..TRUNCATED_CHARACTERS {
        let width = match rest.as_bytes() {
            // A canonical `\u` stands for a control character, never for half a pair.
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => rest.chars().next().map_or(0, char::len_utf8),
        };
        rest = rest.get(width..).unwrap_or_default();
    }
    text.strip_suffix(rest).unwrap_or(text)
}

/// A consent without what else somebody may have put into it.
fn consent(member: Member<'_>) -> Vec<u8> {
    let Value::Object(consent) = member.value else { return member.value_written.to_vec() };
    only(consent, &["version", "analytics", "ads"])
}

fn only(object: Object<'_>, names: &[&str]) -> Vec<u8> {
    let mut members = Members { output: Vec::new() };
    for member in object.written().filter(|member| names.iter().any(|name| member.name.is(name))) {
        members.add(member.name_written, &[member.value_written]);
    }
    members.finish()
}

/// An object that is being written, in canonical form where its members are and come in that order.
struct Members {
    output: Vec<u8>,
}

impl Members {
    fn add(&mut self, name: &[u8], value: &[&[u8]]) {
        self.output.push(if self.output.is_empty() { b'{' } else { b',' });
        self.output.extend_from_slice(name);
        self.output.push(b':');
        for part in value {
            self.output.extend_from_slice(part);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.output.is_empty() {
            self.output.push(b'{');
        }
        self.output.push(b'}');
        self.output
    }
}
