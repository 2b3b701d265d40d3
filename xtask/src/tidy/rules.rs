//! The rules themselves: text in, violations out.

use super::Violation;

/// The page that gives a reason for each dependency.
pub(crate) const DEPENDENCIES: &str = "docs/decisions/dependencies.md";

const FILE_BYTES_MAX: usize = 1024 * 1024;
const SOURCE_LINES_MAX: usize = 600;
/// House style says "about 70"; a closing brace or two more is not worth a split.
const FUNCTION_LINES_MAX: usize = 75;
/// The book of vectors is data: one function is one table, and a table is not cut for its length.
const TABLES: &str = "tests/src/authoring/";
const TABLE_LINES_MAX: usize = 120;

/// Marks of unfinished work. The words are in two parts so that this file keeps its own rule; so are those below.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX:")];

/// The macros that stand for it in Rust; a page may speak of them.
const UNFINISHED_RUST: [&str; 2] = [concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Folders that exist on somebody's machine only.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Package registries: the clients know them, the project names packages only.
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("static.rust-lang", ".org"),
];

/// Checks one file of the project. Lock files are written by tools: only their size is checked.
pub(crate) fn check_file(path: &str, bytes: &[u8]) -> Vec<Violation> {
    let mut found = Found { path, violations: Vec::new() };
    if bytes.len() > FILE_BYTES_MAX {
        found.add(None, format!("{} KiB; a file has at most 1 MiB", bytes.len().div_ceil(1024)));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return found.violations };
    if path == "Cargo.lock" || path == "LICENSE" {
        return found.violations;
    }
    // Not `lines()`, which hides a carriage return.
    for (line, number) in text.split('\n').zip(1..) {
        check_line(&mut found, line, number);
    }
    if path.ends_with(".rs") {
        check_rust(&mut found, text);
    }
    if path.starts_with("docs/decisions/") && path.ends_with(".md") && !text.lines().take(10).any(has_date) {
        found.add(None, "a decision carries its date (YYYY-MM-DD) in its first ten lines".to_owned());
    }
    found.violations
}

struct Found<'a> {
    path: &'a str,
    violations: Vec<Violation>,
}

impl Found<'_> {
    fn add(&mut self, line: Option<usize>, problem: String) {
        self.violations.push(Violation { path: self.path.to_owned(), line, problem });
    }
}

fn check_line(found: &mut Found<'_>, line: &str, number: usize) {
    if line.ends_with([' ', '\t', '\r']) {
        found.add(Some(number), "white space at the end of the line".to_owned());
    }
    let rust: &[&str] = if found.path.ends_with(".rs") { &UNFINISHED_RUST } else { &[] };
    for word in UNFINISHED.iter().chain(rust) {
        if line.contains(word) {
            found.add(Some(number), format!("`{word}`: finish it, or file an issue"));
        }
    }
    for word in MACHINE_PATHS {
        // In a URL or below another folder the same letters are no machine's path.
        let absolute = |(at, _): (usize, &str)| {
            !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c))
        };
        if line.match_indices(word).any(absolute) {
            found.add(Some(number), format!("`{word}` is a path of one machine"));
        }
    }
    for word in REGISTRIES {
        if line.contains(word) {
            found.add(Some(number), format!("`{word}` is a registry's host: name the package only"));
        }
    }
}

fn check_rust(found: &mut Found<'_>, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > SOURCE_LINES_MAX {
        found.add(None, format!("{} lines; a source file has at most {SOURCE_LINES_MAX}", lines.len()));
    }
    let function_lines_max =
        if found.path.starts_with(TABLES) { TABLE_LINES_MAX } else { FUNCTION_LINES_MAX };
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if is_attribute(code, "allow(") || is_attribute(code, "expect(") {
            let attribute: String = attribute(&lines[index..]);
            if !attribute.contains("reason = \"") {
                found.add(Some(index + 1), "a suppressed lint carries `reason = \"…\"`".to_owned());
            }
        }
        if code.starts_with(concat!("#[", "ignore]")) {
            found.add(Some(index + 1), "an ignored test carries its reason: `#[ignore = \"…\"]`".to_owned());
        }
        if let Some(length) = function_length(&lines[index..])
            && length > function_lines_max
        {
            found
                .add(Some(index + 1), format!("{length} lines; a function has at most {function_lines_max}"));
        }
    }
}

fn is_attribute(code: &str, name: &str) -> bool {
    code.strip_prefix("#[").or_else(|| code.strip_prefix("#![")).is_some_and(|rest| rest.starts_with(name))
}

/// The text of an attribute that begins on the first of these lines.
fn attribute(lines: &[&str]) -> String {
    let end = lines.iter().position(|line| line.trim_end().ends_with(")]")).unwrap_or(0);
    lines[..=end].concat()
}

/// The number of lines of the function that begins on the first of these lines; `None` if none does.
///
/// It relies on rustfmt: a body that has lines of its own ends with a brace at the depth of its first line.
fn function_length(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let code = first.trim_start();
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    let head = code.split_whitespace().find(|word| !words.contains(word))?;
    if head != "fn" {
        return None;
    }
    let depth = &first[..first.len() - code.len()];
    let end = format!("{depth}}}");
    for (index, line) in lines.iter().enumerate() {
        let deeper = line.starts_with(depth) && line[depth.len()..].starts_with(' ');
        if *line == end {
            return Some(index + 1);
        }
        // A declaration, or a body on one line.
        if !deeper && (line.ends_with(';') || (line.ends_with('}') && index == 0)) {
            return None;
        }
    }
    None
}

fn has_date(line: &str) -> bool {
    line.as_bytes().windows(10).any(|window| {
        window.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    })
}

/// The third-party dependencies of the workspace that the page does not name in back quotes.
pub(crate) fn unexplained_dependencies(manifest: &str, reasons: &str) -> Vec<Violation> {
    let mut found = Found { path: "Cargo.toml", violations: Vec::new() };
    let mut inside = false;
    for (line, number) in manifest.lines().zip(1..) {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside) else { continue };
        let name = name.trim();
        if !name.starts_with('#') && !value.contains("path =") && !reasons.contains(&format!("`{name}`")) {
            found.add(Some(number), format!("`{name}` has no reason in {DEPENDENCIES}"));
        }
    }
    found.violations
}

#[cfg(test)]
mod tests;
