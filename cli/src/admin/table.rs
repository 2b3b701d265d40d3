//! Answers as people read them.

use countersign_core::time::Timestamp;
use serde_json::Value;
use serde_json::value::Index;

/// Rows under a title each, as wide as what is in them. Columns whose cells are all numbers stand to the right.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these titles.
    pub(super) fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(|title| (*title).to_owned()).collect()] }
    }

    /// Adds a row; it has a cell for each title.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it, unless it has no rows.
    pub(super) fn print(&self) {
        if self.rows.len() > 1 {
            print!("\n{}", self.text());
        }
    }

    fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cells =
            |column: usize| self.rows.iter().map(move |row| row.get(column).map_or("", String::as_str));
        let width = |column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
        let shapes: Vec<(usize, bool)> =
            (0..columns).map(|column| (width(column), cells(column).skip(1).all(is_number))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, (width, is_right)) in row.iter().zip(&shapes) {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                line.push_str(&if *is_right { format!("  {pad}{cell}") } else { format!("  {cell}{pad}") });
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A member as text: a string without its quotes, nothing for `null`. What would move the terminal's cursor is left out.
pub(super) fn member(value: &Value, index: impl Index) -> String {
    let text = match value.get(index) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    text.replace(char::is_control, "\u{fffd}")
}

/// A member that counts something.
pub(super) fn count(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// A member in milliseconds since the Unix epoch, as RFC 3339; nothing where there is none.
pub(super) fn time(value: &Value, name: &str) -> String {
    let instant = value.get(name).and_then(Value::as_u64).map(Timestamp::from_ms);
    instant.map(|instant| instant.write_rfc3339().as_str().to_owned()).unwrap_or_default()
}

/// A member in minor units, with the decimals of its `exponent`.
pub(super) fn money(value: &Value, name: &str) -> String {
    let exponent =
        value.get("exponent").and_then(Value::as_u64).and_then(|exponent| usize::try_from(exponent).ok());
    decimal(count(value, name), exponent.unwrap_or(0))
}

fn decimal(minor: i64, exponent: usize) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = exponent.saturating_add(1));
    match digits.split_at_checked(digits.len().saturating_sub(exponent)) {
        Some((whole, decimals)) if exponent > 0 => format!("{sign}{whole}.{decimals}"),
        Some(_) | None => format!("{sign}{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, decimal, member};
    use serde_json::json;

    #[test]
    fn minor_units_have_the_decimals_of_their_currency() {
        for (minor, exponent, expected) in [
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (123_456, 2, "1234.56"),
            (7, 0, "7"),
            (-1234, 3, "-1.234"),
            (i64::MIN, 4, "-922337203685477.5808"),
        ] {
            assert_eq!(decimal(minor, exponent), expected);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["a".to_owned(), "10".to_owned()]);
        table.row(vec!["éé".to_owned(), "-5".to_owned()]);
        assert_eq!(table.text(), "  name   n\n  a     10\n  éé    -5\n");
    }

    #[test]
    fn what_a_partner_wrote_cannot_move_the_cursor() {
        assert_eq!(member(&json!({ "a": "x\u{1b}[2J\n" }), "a"), "x\u{fffd}[2J\u{fffd}");
    }
}
