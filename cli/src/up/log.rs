//! The application's log on the terminal: one line per request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_core::time::Timestamp;
use countersign_host::spin::{LogLine, Logs, Stream};
use serde_json::{Map, Value};

use crate::input;

/// Whether requests are shown yet; what goes wrong is, until the application ends.
#[derive(Clone)]
pub(super) struct Log {
    shows_requests: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
    wanted: bool,
}

impl Log {
    /// A log on the terminal that shows requests once it has begun, if they are wanted at all.
    pub(super) fn to_the_terminal(wanted: bool) -> (Logs, Self) {
        let log = Self { shows_requests: Arc::default(), has_ended: Arc::default(), wanted };
        let sink = log.clone();
        (Logs::to(move |line| sink.print(&line)), log)
    }

    /// Shows requests from now on.
    pub(super) fn begin(&self) {
        self.shows_requests.store(self.wanted, Ordering::Relaxed);
    }

    /// Shows nothing more: an instance that waits for its next request is dropped at the end, and the host calls that a failure.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    fn print(&self, line: &LogLine) {
        match line.stream {
            _ if self.has_ended.load(Ordering::Relaxed) => {}
            Stream::Stdout if !self.shows_requests.load(Ordering::Relaxed) => {}
            Stream::Stdout => println!("{}", request(&line.text, input::now())),
            Stream::Stderr | Stream::Host => eprintln!("{}: {}", line.component, line.text),
        }
    }
}

/// A component's line of JSON as a person reads it; any other line as it is.
fn request(text: &str, now: Timestamp) -> String {
    let Ok(Value::Object(mut facts)) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    if !facts.contains_key("code") {
        let members: Vec<String> = facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return format!("{}  {}", now.write_rfc3339().as_str(), members.join(" "));
    }
    let mut take = |name: &str| take(&mut facts, name);
    let (code, detail) = (take("code"), take("detail"));
    let rest: Vec<String> = ["campaign", "partner", "kind", "key_id", "event", "event_id", "request_id"]
        .into_iter()
        .filter_map(|name| {
            Some(take(name)).filter(|value| !value.is_empty()).map(|value| format!("{name}={value}"))
        })
        .collect();
    let detail = if detail.is_empty() { detail } else { format!("  ({detail})") };
    format!("{}  {code:24} {}{detail}", now.write_rfc3339().as_str(), rest.join(" "))
}

fn take(facts: &mut Map<String, Value>, name: &str) -> String {
    facts.remove(name).and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::request;
    use countersign_core::time::Timestamp;

    #[test]
    fn a_line_of_json_becomes_a_line_of_words() {
        let line = r#"{"code":"accepted","partner":"acme","key_id":"k","event":"refund","event_id":"e1"}"#;
        let expected = "1970-01-01T00:00:01.000Z  accepted                 partner=acme key_id=k event=refund event_id=e1";
        assert_eq!(request(line, Timestamp::from_ms(1000)), expected);
        let line = r#"{"code":"not_found","detail":"the path is no route of the gate"}"#;
        assert!(request(line, Timestamp::from_ms(0)).ends_with(" (the path is no route of the gate)"));
        let line = r#"{"posted":3,"dead":0}"#;
        assert_eq!(request(line, Timestamp::from_ms(0)), "1970-01-01T00:00:00.000Z  dead=0 posted=3");
        let line =
            r#"{"code":"click_stored","campaign":"demo","partner":"sandbox","kind":"bot","counted":false}"#;
        let expected =
            "1970-01-01T00:00:00.000Z  click_stored             campaign=demo partner=sandbox kind=bot";
        assert_eq!(request(line, Timestamp::from_ms(0)), expected);
        assert_eq!(request("plain", Timestamp::from_ms(0)), "plain");
    }
}
