//! How a data file is laid out: two spaces a level, and on one line whatever fits on it.

/// The longest line, unless one text alone is longer.
const WIDTH: usize = 120;

/// Lays compact JSON out for people to read. The order of members stays as it is.
///
/// # Errors
/// Where the text is no JSON.
pub fn layout(json: &str) -> anyhow::Result<String> {
    let mut layout = Layout { rest: json.trim(), out: String::with_capacity(json.len() * 2) };
    layout.value(0, 0)?;
    anyhow::ensure!(layout.rest.is_empty(), "something follows the JSON document");
    layout.out.push('\n');
    Ok(layout.out)
}

struct Layout<'j> {
    rest: &'j str,
    out: String,
}

impl Layout<'_> {
    /// Writes the next value, which starts in column `column` of a line of depth `depth`.
    fn value(&mut self, depth: usize, column: usize) -> anyhow::Result<()> {
        let end = value_end(self.rest)?;
        let (value, rest) = self.rest.split_at(end);
        let spaced = one_line(value);
        if !value.starts_with(['{', '[']) || column + spaced.len() < WIDTH {
            self.out.push_str(&spaced);
            self.rest = rest;
            return Ok(());
        }
        let (open, close) = if value.starts_with('{') { ('{', '}') } else { ('[', ']') };
        self.out.push(open);
        self.rest = &value[1..];
        loop {
            self.line(depth + 1);
            let mut column = 2 * depth + 2;
            if open == '{' {
                let name_end = value_end(self.rest)?;
                let (name, after) = self.rest.split_at(name_end);
                self.out.push_str(name);
                self.out.push_str(": ");
                column += name.len() + 2;
                self.rest = &after[1..];
            }
            self.value(depth + 1, column)?;
            let more = self.rest.starts_with(',');
            self.rest = &self.rest[1..];
            if !more {
                break;
            }
            self.out.push(',');
        }
        self.line(depth);
        self.out.push(close);
        self.rest = rest;
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        self.out.push('\n');
        self.out.push_str(&"  ".repeat(depth));
    }
}

/// Where the value at the start of compact JSON ends.
fn value_end(json: &str) -> anyhow::Result<usize> {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    for (at, byte) in json.bytes().enumerate() {
        if text {
            text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            if !text && depth == 0 {
                return Ok(at + 1);
            }
            continue;
        }
        match byte {
            b'"' => text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Ok(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            b',' if depth == 0 => return Ok(at),
            _ => {}
        }
    }
    anyhow::ensure!(depth == 0 && !text, "the JSON document ends too soon");
    Ok(json.len())
}

/// Compact JSON with a space behind each comma and colon.
fn one_line(json: &str) -> String {
    let (mut text, mut escaped) = (false, false);
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        out.push(character);
        if text {
            text = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character == '"' {
            text = true;
        } else if matches!(character, ',' | ':') {
            out.push(' ');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::layout;

    #[test]
    fn what_fits_stands_on_one_line_and_keeps_its_order() {
        let text = r#"{"b":[1,"a,\"b:"],"a":{}}"#;
        assert_eq!(layout(text).unwrap(), "{\"b\": [1, \"a,\\\"b:\"], \"a\": {}}\n");
    }

    #[test]
    fn what_does_not_fit_is_broken_at_its_members() {
        let long = "x".repeat(70);
        let text = format!(r#"{{"a":["{long}","{long}"],"b":[]}}"#);
        let laid = format!("{{\n  \"a\": [\n    \"{long}\",\n    \"{long}\"\n  ],\n  \"b\": []\n}}\n");
        assert_eq!(layout(&text).unwrap(), laid);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(layout("[1,2").is_err());
        assert!(layout("{} {}").is_err());
    }
}
