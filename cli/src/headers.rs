//! Header fields as text: `name: value`, one a line, as `sign` prints and `verify` reads them.

use std::path::Path;

use anyhow::Result;

use crate::failure::unusable;
use crate::input;

/// One line per field.
pub(crate) fn write(fields: &[(String, String)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// The fields given as arguments, then those of a file. Empty lines and a request or status line are passed over.
///
/// # Errors
/// The file cannot be read, or a line is no field.
pub(crate) fn read(arguments: &[String], file: Option<&Path>) -> Result<Vec<(String, String)>> {
    let text = file.map(input::text).transpose()?.unwrap_or_default();
    let is_first_line = |line: &&str| line.contains(" HTTP/") || line.starts_with("HTTP/");
    let lines = arguments.iter().map(String::as_str).chain(text.lines().filter(|line| !is_first_line(line)));
    lines.filter(|line| !line.trim().is_empty()).zip(1..).map(|(line, number)| field(line, number)).collect()
}

/// The line is not quoted where it is wrong: it may be a token.
fn field(line: &str, number: u32) -> Result<(String, String)> {
    let (name, value) = line
        .split_once(':')
        .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
        .ok_or_else(|| unusable(format!("header {number} is none: write `name: value`")))?;
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}
