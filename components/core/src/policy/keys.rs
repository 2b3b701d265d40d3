//! From the document to keys that overlap: the one way for every list of keys.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::check::{count, key_id, validity};
use super::secret::{Encoding, Secrets};
use crate::document::{self as written, ConfigErrors, Path, Secret};
use crate::keys::{KEYS_MAX, Key};
use crate::time::Timestamp;
use crate::validity::Validity;

/// What is asked of a list of keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// How a secret's text becomes a key.
    pub(super) encoding: Encoding,
    /// The most keys that are valid at once.
    pub(super) valid_max: usize,
    /// Whether some key is valid at every instant once the first one is.
    pub(super) without_gap: bool,
}

impl Asked {
    /// What is asked of our own keys: a partner may end, the application does not.
    pub(super) const OURS: Self = Self { encoding: Encoding::Text, valid_max: KEYS_MAX, without_gap: true };
}

/// The keys in a list.
pub(super) fn keys(
    errors: &mut ConfigErrors,
    secrets: &mut Secrets<'_>,
    path: &Path<'_>,
    written: &[written::Key],
    asked: Asked,
) -> Vec<Key<Vec<u8>>> {
    count(errors, path, written.len(), KEYS_MAX);
    let (mut ids, mut keys, mut validities) = (Vec::new(), Vec::new(), Vec::new());
    for (index, key) in written.iter().enumerate() {
        let path = path.element(index);
        let id = key_id(errors, &path, &key.id, &mut ids);
        let secret = secrets.take(errors, &path, &key.secret, asked.encoding);
        let validity = validity(errors, &path, key.not_before.as_deref(), key.not_after.as_deref());
        validities.push(validity);
        keys.extend(id.zip(secret).map(|(id, secret)| Key::with(id, secret, validity)));
    }
    let overlap = Validity::most_at_once(validities.iter());
    if overlap > asked.valid_max {
        let problem = format!("has {overlap} keys that are valid at once");
        let remedy = format!("end old keys with \"not_after\"; at most {} may overlap", asked.valid_max);
        errors.add(path, problem, remedy);
    }
    if let Some(gap) = Validity::first_gap(validities.iter()).filter(|_| asked.without_gap) {
        let follows = validities.iter().any(|validity| validity.not_before.is_some_and(|start| gap < start));
        let problem = format!("has no key that is valid from {} on", instant(gap));
        let remedy = if follows {
            "let the keys overlap: write an earlier \"not_before\" or a later \"not_after\""
        } else {
            "leave \"not_after\" out of the newest key, and end it when the next one is there"
        };
        errors.add(path, problem, remedy);
    }
    keys
}

/// The keys of one of our own uses: one `secret` at `lone`, whose id is the secret's name, or a list. `holder` is the object
/// that has them.
pub fn own_keys(
    errors: &mut ConfigErrors,
    secrets: &mut Secrets<'_>,
    holder: &Path<'_>,
    lone: (&Path<'_>, Option<&Secret>),
    list: Option<&[written::Key]>,
) -> Vec<Key<Vec<u8>>> {
    own_keys_asked(errors, secrets, holder, lone, list, Asked::OURS)
}

/// [`own_keys`], of which more may be asked.
pub(super) fn own_keys_asked(
    errors: &mut ConfigErrors,
    secrets: &mut Secrets<'_>,
    holder: &Path<'_>,
    (lone_path, lone): (&Path<'_>, Option<&Secret>),
    list: Option<&[written::Key]>,
    asked: Asked,
) -> Vec<Key<Vec<u8>>> {
    const REMEDY: &str = "write { \"keys\": [{ \"id\": …, \"secret\": { \"name\": … } }] }";
    match (lone, list) {
        (Some(_), Some(_)) => {
            let problem = "has one secret and a list of keys";
            errors.add(holder, problem, "write all of them in \"keys\"");
            Vec::new()
        }
        (None, None) => {
            errors.add(holder, "has no key", REMEDY);
            Vec::new()
        }
        (Some(secret), None) => {
            let always = Validity { not_before: None, not_after: None };
            let bytes = secrets.take_at(errors, lone_path, secret, asked.encoding);
            bytes.map(|bytes| Key::with(Arc::from(secret.name.as_str()), bytes, always)).into_iter().collect()
        }
        (None, Some(list)) => {
            let path = holder.member("keys");
            if list.is_empty() {
                errors.add(&path, "has no key", REMEDY);
            }
            keys(errors, secrets, &path, list, asked)
        }
    }
}

fn instant(at: Timestamp) -> String {
    String::from(at.write_rfc3339().as_str())
}
