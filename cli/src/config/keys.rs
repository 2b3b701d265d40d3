//! The keys of a configuration: which signs, which are believed, which secrets are sealed.

use countersign_core::keys::{Key, current};
use countersign_core::time::Timestamp;
use serde_json::{Value, json};

/// Keys of one use, as JSON. The current one signs.
pub(super) fn described<S>(keys: &[Key<S>], now: Timestamp) -> Vec<Value> {
    let current = current(keys, now).map(Key::id);
    let instant = |at: Option<Timestamp>| at.map(|at| at.write_rfc3339().as_str().to_owned());
    let key = |key: &Key<S>| {
        json!({
            "id": &**key.id(),
            "not_before": instant(key.not_before()),
            "not_after": instant(key.not_after()),
            "valid_now": key.is_valid_at(now),
            "current": current == Some(key.id()),
        })
    };
    keys.iter().map(key).collect()
}

/// The same in words, a line for each. `current` says what the current key does, `otherwise` what one does that is not valid.
pub(super) fn lines(keys: &[Value], current: &str, otherwise: &str) -> Vec<String> {
    let line = |key: &Value| {
        let text = |name| key.get(name).and_then(Value::as_str);
        let state = match (is(key, "current"), is(key, "valid_now")) {
            (true, _) => current,
            (false, true) => "",
            (false, false) => otherwise,
        };
        let [from, until] = [("not_before", "from"), ("not_after", "until")].map(|(name, preposition)| {
            text(name).map(|at| format!(", {preposition} {at}")).unwrap_or_default()
        });
        let state = if state.is_empty() { String::new() } else { format!("  {state}") };
        format!("key {}{from}{until}{state}", text("id").unwrap_or_default())
    };
    keys.iter().map(line).collect()
}

/// Whether any of the keys is valid now.
pub(super) fn any_valid(keys: &[Value]) -> bool {
    keys.iter().any(|key| is(key, "valid_now"))
}

fn is(key: &Value, name: &str) -> bool {
    key.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// The names of the secrets that stand sealed in a document, in its order.
pub(super) fn sealed(document: &Value) -> Vec<String> {
    match document {
        Value::Object(members) => {
            let name =
                members.get("sealed").filter(|sealed| sealed.is_string()).and_then(|_| members.get("name"));
            let name = name.and_then(Value::as_str).map(str::to_owned);
            name.into_iter().chain(members.values().flat_map(sealed)).collect()
        }
        Value::Array(elements) => elements.iter().flat_map(sealed).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Takes the sealed text out of every secret of a document, so that only the names are left.
pub(super) fn unseal(document: &mut Value) {
    match document {
        Value::Object(members) => {
            if members.get("name").is_some_and(Value::is_string) {
                members.remove("sealed");
            }
            members.values_mut().for_each(unseal);
        }
        Value::Array(elements) => elements.iter_mut().for_each(unseal),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
