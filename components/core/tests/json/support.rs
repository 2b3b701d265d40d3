//! What the tests of the reader and of the writer share.

use std::path::Path;

use countersign_core::canonical;
use countersign_core::json::{Malformed, Problem, ReadLimits, Tape, read};

/// The source's §4.3 deposit event.
pub(crate) const DEPOSIT: &str = r#"{
"event": "deposit_success", "event_id": "dep_9aa...", "click_id": "clk_123...", "account_id": "u_456...", "amount": 100.00, "currency": "USD", "is_ftd": true, "payment_method": "card pix crypto wallet", "ts_event": "2025-10-21T15:12:31Z", "signature": "..."
}"#;

/// The canonical form, or why there is none.
pub(crate) fn canonical(input: &[u8], limits: ReadLimits) -> Result<String, Malformed> {
    let mut tape = Tape::default();
    let document = read(input, &mut tape, limits)?;
    let mut output = Vec::new();
    canonical::write(&document, None, &mut output);
    Ok(String::from_utf8(output).expect("the canonical form is UTF-8"))
}

/// A folder of third-party data, or `None` with a line that names it.
pub(crate) use crate::third_party::path as data;

/// The files of a folder whose names end in `.json`, sorted.
pub(crate) fn documents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut documents: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("the file can be read"))
        })
        .collect();
    documents.sort();
    documents
}

/// The number as ECMAScript writes it, by the oracle.
pub(crate) fn ecmascript(double: f64) -> String {
    serde_json_canonicalizer::to_string(&double).expect("a finite number")
}

/// Compares with the oracle: what is accepted has its canonical form, what is refused it refuses too, but for the three
/// rules that it does not have. Answers whether the input was accepted.
pub(crate) fn agrees_with_oracle(input: &[u8]) -> bool {
    let oracle = serde_json::from_slice::<serde_json::Value>(input);
    match canonical(input, ReadLimits::UNBOUNDED) {
        Ok(written) => {
            let expected = oracle.map(|value| serde_json_canonicalizer::to_string(&value).expect("a value"));
            assert_eq!(Some(written), expected.ok(), "{}", input.escape_ascii());
            true
        }
        Err(refused) => {
            assert!(refused.offset <= input.len(), "{refused:?}: {}", input.escape_ascii());
            let stricter = [
                Problem::DuplicateMember,
                Problem::Noncharacter,
                Problem::NumberInexact,
                Problem::IntegerInexact,
            ];
            let agrees = stricter.contains(&refused.problem) || oracle.is_err();
            assert!(agrees, "{refused:?}: {}", input.escape_ascii());
            false
        }
    }
}

/// Significant digits and power of ten of the last one.
pub(crate) fn normal(literal: &str) -> (String, i64) {
    let (digits, power) = literal.split_once('e').unwrap_or((literal, "0"));
    let digits = digits.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = [whole, fraction].concat();
    let kept = all.trim_end_matches('0');
    let significant = kept.trim_start_matches('0').to_owned();
    if significant.is_empty() {
        return (significant, 0);
    }
    let length = |text: &str| i64::try_from(text.len()).unwrap();
    let power: i64 = power.parse().unwrap();
    (
        significant,
        power.saturating_add(length(&all)).saturating_sub(length(kept)).saturating_sub(length(fraction)),
    )
}
