//! A call of curl that a shell takes as it stands.

use std::fmt::Write as _;

/// The command: a POST of `body` with these header fields, on several lines.
pub(crate) fn command(url: &str, headers: &[(String, String)], body: &str) -> String {
    // The URL is quoted too: a query has characters that a shell takes for its own.
    let mut command = format!("curl -sS -i {}", quoted(url));
    for (name, value) in headers {
        // Writing to a `String` cannot fail.
        let _written = write!(command, " \\\n  -H {}", quoted(&format!("{name}: {value}")));
    }
    // Not `--data`, which takes line breaks away, and a raw signature would no longer fit.
    let _written = write!(command, " \\\n  --data-binary {}", quoted(body));
    command
}

/// Text in single quotes, in which a POSIX shell changes nothing.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quote_ends_the_quotes_and_begins_them_again() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
