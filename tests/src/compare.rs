//! What a host did against what it must do, for people to read.

use std::fmt::Write as _;

use crate::hosts::HostName;
use crate::vector::{Expect, Suite, Vector};

/// The differences between a vector's expectations and what a host did, or nothing where there are none. The code is not
/// compared: a host cannot show it. What an upstream was handed is compared on hosts that have one.
#[must_use]
pub fn differences(suite: Suite, host: HostName, vector: &Vector, played: &[Expect]) -> Option<String> {
    let mut report = String::new();
    if played.len() != vector.steps.len() {
        line(&mut report, &format!("{} steps were played instead of {}", played.len(), vector.steps.len()));
    }
    for (number, (step, played)) in vector.steps.iter().zip(played).enumerate() {
        let mut lines = Vec::new();
        compare(&mut lines, &step.expect, played, host.has_upstream(suite));
        if !lines.is_empty() {
            let (code, at) = (&step.expect.code, step.at_ms);
            line(
                &mut report,
                &format!("  step {} of {} at {at}, which is {code}:", number + 1, vector.steps.len()),
            );
            for difference in lines {
                line(&mut report, &format!("    {difference}"));
            }
        }
    }
    (!report.is_empty()).then(|| format!("{} ({})\n{report}", vector.id, vector.comment))
}

fn compare(lines: &mut Vec<String>, wanted: &Expect, got: &Expect, upstream: bool) {
    if wanted.status != got.status {
        lines.push(format!("status   - {}", status(wanted.status)));
        lines.push(format!("         + {}", status(got.status)));
    }
    fields(lines, "header  ", &wanted.headers, &got.headers);
    if wanted.body != got.body {
        lines.push(format!("body     - {}", wanted.body));
        lines.push(format!("         + {}", got.body));
    }
    if !upstream {
        return;
    }
    match (&wanted.handed_on, &got.handed_on) {
        (Some(wanted), Some(got)) => fields(lines, "upstream", wanted, got),
        (Some(_), None) => lines.push("the event was not handed on".to_owned()),
        (None, Some(_)) => lines.push("the upstream was handed a request that must not reach it".to_owned()),
        (None, None) => {}
    }
}

fn fields(lines: &mut Vec<String>, what: &str, wanted: &[(String, String)], got: &[(String, String)]) {
    let missing = |from: &[(String, String)], field: &(String, String)| {
        let count = |fields: &[(String, String)]| fields.iter().filter(|other| *other == field).count();
        count(from) < count(wanted).max(count(got))
    };
    for field in wanted.iter().filter(|field| missing(got, field)) {
        lines.push(format!("{what} - {}: {}", field.0, field.1));
    }
    for field in got.iter().filter(|field| missing(wanted, field)) {
        lines.push(format!("{what} + {}: {}", field.0, field.1));
    }
}

fn status(status: Option<u16>) -> String {
    status.map_or_else(|| "none".to_owned(), |status| status.to_string())
}

fn line(report: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _written = writeln!(report, "{text}");
}
