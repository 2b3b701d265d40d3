//! What a command reads besides its arguments: files, standard input, the clock, random bytes.

use std::fs;
use std::io::{Read as _, stdin};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use countersign_core::json::{self, Document, ReadLimits, Tape};
use countersign_core::time::Timestamp;

use crate::failure::unusable;

/// The longest payload that is read, in bytes: the most that a gate can be configured to accept.
const PAYLOAD_BYTES_MAX: u64 = 1_048_576;

/// The bytes of a file; of standard input where there is none, or where it is `-`.
///
/// # Errors
/// The file cannot be read, or is longer than any gate accepts.
pub(crate) fn payload(file: Option<&Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = PAYLOAD_BYTES_MAX.saturating_add(1);
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let opened = fs::File::open(file).map_err(|error| unreadable(file, &error))?;
            opened.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(file, &error))?;
        }
        None => {
            stdin().lock().take(limit).read_to_end(&mut bytes).context("reading standard input")?;
        }
    }
    if u64::try_from(bytes.len())? > PAYLOAD_BYTES_MAX {
        return Err(unusable(format!(
            "the payload has more than {PAYLOAD_BYTES_MAX} bytes: send one event per request"
        )));
    }
    Ok(bytes)
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub(crate) fn text(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> anyhow::Error {
    unusable(format!("{}: {error}", file.display()))
}

/// Reads a payload as the gate does.
///
/// # Errors
/// It is not strict JSON, or no object; the message has the byte offset.
pub(crate) fn document<'t>(
    payload: &'t [u8],
    tape: &'t mut Tape,
    limits: ReadLimits,
) -> Result<Document<'t>> {
    let document = json::read(payload, tape, limits).map_err(|malformed| {
        anyhow!("payload_malformed: at byte {}: {}", malformed.offset, malformed.problem.as_str())
    })?;
    if document.object().is_none() {
        return Err(anyhow!("payload_malformed: the payload is no JSON object"));
    }
    Ok(document)
}

/// This machine's time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Reads `--at`.
///
/// # Errors
/// It is no RFC 3339 time in UTC.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|problem| problem.as_str().to_owned())
}

/// Random bytes from the system.
///
/// # Errors
/// The system has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system's random source: {error}"))?;
    Ok(bytes)
}

/// Sixteen random hexadecimal digits, for ids.
///
/// # Errors
/// As [`random`].
pub(crate) fn random_id() -> Result<String> {
    Ok(format!("{:016x}", u64::from_be_bytes(random()?)))
}
