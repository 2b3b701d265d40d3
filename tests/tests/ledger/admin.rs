//! `/internal/…` over HTTP: every row of docs/ledger.md, and that nobody without the token reads or changes anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{AT_MS, App, RATES, TOKEN, deposit, document, everything, request, text};

const COSTS: &str = "date,campaign,amount,currency\n2025-12-30,summer,12.50,EUR\n2025-12-31,summer,7,EUR\n";

/// Method, path, a body that would change something, and the status that it has with the token.
const ROWS: [(&str, &str, &str, u16); 15] = [
    ("POST", "tick", "", 200),
    ("POST", "fx", RATES, 200),
    ("POST", "costs", COSTS, 200),
    ("GET", "queue", "", 200),
    ("GET", "totals", "", 200),
    ("GET", "dead-letters", "", 200),
    ("GET", "dead-letters/5", "", 200),
    ("POST", "dead-letters/replay", r#"{"reason":"over_refund"}"#, 200),
    ("POST", "dead-letters/discard", r#"{"reason":"currency_differs","because":"asked"}"#, 200),
    ("GET", "duplicates", "", 200),
    ("GET", "duplicates/5", "", 200),
    ("GET", "rejections", "", 200),
    ("POST", "erase", r#"{"partner":"acme","account_id":"u_3"}"#, 200),
    ("POST", "redecide", r#"{"partner":"acme"}"#, 200),
    ("GET", "nowhere", "", 404),
];

/// Two dead letters, a fallback duplicate, one event that waits, one that is due.
fn scene() -> App {
    let app = App::new();
    for event in everything() {
        app.accept(&event);
    }
    app.tick();
    app.accept(&deposit("due", 100, "EUR"));
    let kept = "INSERT INTO duplicate (id, fingerprint, payload_hash, duplicate_of, partner, event_id, event, click_id, ts_event, \
                key_id, payload, received_at) \
                VALUES (5, zeroblob(16), zeroblob(32), 'dep_1', 'acme', 'dep_0', 'refund', 'c', ?1, 'k1', '{}', ?1)";
    app.database().execute(kept, [i64::try_from(AT_MS).unwrap()]).unwrap();
    assert_eq!(app.get("queue")["dead_letters"], json!([["currency_differs", 1], ["over_refund", 1]]));
    app
}

/// Sends over a socket and answers head and body.
fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    authorization: &str,
    body: &str,
) -> (String, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} /internal/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{reply}")))
}

fn status(head: &str) -> u16 {
    head[9..12].parse().unwrap()
}

#[test]
fn without_the_token_nothing_is_read_and_nothing_changes() {
    let app = scene();
    let serving = app.app.serve().unwrap();
    let before = app.dump();
    let files = app.app.database_files().unwrap();
    let basic = format!("authorization: Basic {TOKEN}\r\n");
    let wrong = format!("authorization: Bearer {}x\r\n", &TOKEN[..TOKEN.len() - 1]);
    let twice = format!("authorization: Bearer wrong\r\nauthorization: Bearer {TOKEN}\r\n");
    for authorization in
        ["", "authorization: Bearer\r\n", "authorization: Bearer wrong\r\n", &wrong, &basic, &twice]
    {
        for (method, path, body, _) in ROWS {
            let (head, answer) = exchange(serving.address(), method, path, authorization, body);
            assert_eq!(status(&head), 401, "{method} {path} {authorization}: {head}");
            assert!(
                head.contains("www-authenticate: bearer") && head.contains("cache-control: no-store"),
                "{head}"
            );
            assert_eq!(answer["error"], "token_invalid", "{answer}");
            // Byte for byte, the log beside the database and its index too.
            assert!(app.app.database_files().unwrap() == files, "{method} {path} {authorization}");
        }
    }
    assert_eq!(app.dump(), before);
    for line in app.app.log() {
        assert!(!line.text.contains(TOKEN), "{}", line.text);
    }
    app.assert_sound();
}

#[test]
fn with_the_token_every_row_answers() {
    let app = scene();
    let serving = app.app.serve().unwrap();
    let authorization = format!("authorization: Bearer {TOKEN}\r\n");
    for (method, path, body, expected) in ROWS {
        let (head, answer) = exchange(serving.address(), method, path, &authorization, body);
        assert_eq!(status(&head), expected, "{method} {path}: {answer}");
        assert!(head.contains("content-length:") && head.contains("cache-control: no-store"), "{head}");
    }
    assert_eq!(
        app.rows("SELECT date, campaign, currency, minor, exponent FROM cost ORDER BY 1"),
        ["2025-12-30|summer|EUR|1250|2", "2025-12-31|summer|EUR|700|2"]
    );
    app.assert_sound();
}

#[test]
fn a_file_that_went_through_a_spreadsheet_is_refused_by_line_and_imports_nothing() {
    let app = App::new();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let rows = "date,campaign,amount,currency\r\n2026-10-05,demo,10.00,EUR\r\n";
    for (file, lines) in [
        (format!("sep=,\r\n{rows}").into_bytes(), vec![(1, "sep=")]),
        (utf16(&format!("\u{feff}{rows}")), vec![(1, "UTF-16")]),
        (format!("{rows}2026-10-06,demo,1.23E+05,EUR\r\n").into_bytes(), vec![(3, "a spreadsheet changed the number")]),
        (
            b"sep=;\r\ndate;campaign;amount;currency\r\n2026-10-05;demo;10,00;EUR\r\n05.10.2026;demo;1.00;EUR\r\n2026-10-07;demo;1.00;EUR\r\n".to_vec(),
            vec![(1, "sep="), (2, "commas"), (3, "decimal comma"), (4, "a spreadsheet changed the date")],
        ),
    ] {
        let (status, answer) = app.ask("POST", "costs", file);
        assert_eq!((status, &answer["error"]), (422, &json!("csv_invalid")), "{answer}");
        assert_eq!(answer["bad_lines"], lines.len(), "{answer}");
        for (told, (line, cause)) in answer["lines"].as_array().unwrap().iter().zip(lines) {
            assert_eq!(told["line"], line, "{answer}");
            assert!(told["problem"].as_str().unwrap().contains(cause), "{answer}");
        }
        assert_eq!(app.count("cost"), 0);
    }
    let (status, answer) = app.ask("POST", "fx", utf16("\u{feff}Date,USD\r\n2026-10-05,1.17\r\n"));
    assert_eq!((status, app.count("rate")), (422, 0), "{answer}");
    app.assert_sound();
}

#[test]
fn another_method_is_refused_and_changes_nothing() {
    let app = scene();
    let before = app.dump();
    for (method, path, body, _) in ROWS.into_iter().filter(|row| row.3 != 404) {
        let other = if method == "GET" { "POST" } else { "GET" };
        for wrong in [other, "PUT", "DELETE"] {
            let mut request = request(wrong, &format!("/internal/{path}"), body.into());
            request.headers.push((b"authorization".to_vec(), format!("Bearer {TOKEN}").into_bytes()));
            let reply = app.app.send(request).unwrap();
            assert_eq!(reply.status, 405, "{wrong} {path}: {}", text(&reply));
            assert!(
                reply.headers.contains(&(b"allow".to_vec(), method.as_bytes().to_vec())),
                "{wrong} {path}"
            );
            assert_eq!(app.dump(), before, "{wrong} {path}");
        }
    }
    app.assert_sound();
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let app = scene();
    let before = app.dump();
    let long = " ".repeat((16 << 20) + 1);
    for (method, path, body, status, error) in [
        ("GET", "", "", 404, "not_found"),
        ("POST", "tick/", "", 404, "not_found"),
        ("POST", "../wake", "", 404, "not_found"),
        ("GET", "dead-letters/4", "", 404, "not_found"),
        ("GET", "dead-letters/x", "", 404, "not_found"),
        ("GET", "totals?by=", "", 422, "by_invalid"),
        ("GET", "dead-letters?after=-1", "", 422, "query_invalid"),
        ("GET", "dead-letters?limit=all", "", 422, "query_invalid"),
        ("GET", "dead-letters?limit=0", "", 422, "query_invalid"),
        ("GET", "dead-letters?limit=1001", "", 422, "query_invalid"),
        ("GET", "dead-letters?partnr=acme", "", 422, "query_invalid"),
        ("GET", "rejections?limit=1&limit=2", "", 422, "query_invalid"),
        ("GET", "rejections?partner", "", 422, "query_invalid"),
        ("GET", "queue?limit=1", "", 422, "query_invalid"),
        ("POST", "fx", &*long, 413, "payload_too_large"),
        ("POST", "fx", "", 422, "csv_invalid"),
        ("POST", "costs", "date,campaign\n", 422, "csv_invalid"),
        ("POST", "dead-letters/replay", "", 422, "order_invalid"),
        ("POST", "dead-letters/replay", "{}", 422, "order_invalid"),
        ("POST", "dead-letters/replay", r#"{"from":1}"#, 422, "order_invalid"),
        ("POST", "dead-letters/replay", r#"{"dry_run":false}"#, 422, "order_invalid"),
        // A dry run that is misspelt must not be a real one.
        ("POST", "dead-letters/replay", r#"{"reason":"over_refund","dryrun":true}"#, 422, "order_invalid"),
        ("POST", "dead-letters/replay", r#"{"ids":["5"]}"#, 422, "order_invalid"),
        ("POST", "redecide", "", 422, "order_invalid"),
        ("POST", "redecide", r#"["acme",null,null,null,null]"#, 422, "order_invalid"),
        ("POST", "redecide", r#"{"partner":""}"#, 422, "order_invalid"),
        ("POST", "redecide", r#"{"partner":"acme","confirmed":"x","because":"y"}"#, 422, "order_invalid"),
        ("POST", "redecide", r#"{"partner":"acme","confirm":"x"}"#, 422, "order_invalid"),
        ("POST", "redecide", r#"{"partner":"acme","confirm":"x","because":" "}"#, 422, "order_invalid"),
        ("POST", "redecide", r#"{"partner":"acme","because":"y"}"#, 422, "order_invalid"),
        ("POST", "dead-letters/discard", r#"{"reason":"over_refund"}"#, 422, "order_invalid"),
        ("POST", "dead-letters/discard", r#"{"reason":"over_refund","because":" "}"#, 422, "order_invalid"),
        ("POST", "dead-letters/replay", r#"[[5],1,9,"over_refund","acme",false,null]"#, 422, "order_invalid"),
        ("POST", "redecide", r#"{"partner":"acme","limit":1001}"#, 422, "order_invalid"),
        ("POST", "erase", "", 422, "order_invalid"),
        ("POST", "erase", "player u_1 of acme", 422, "order_invalid"),
        ("POST", "erase", "null", 422, "order_invalid"),
        ("POST", "erase", r#"["acme","u_1"]"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":"acme"}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"account_id":"u_1"}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":"acme","account_id":1}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":["acme"],"account_id":"u_1"}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":"acme","account_id":null}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":"acme","account_id":""}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":"","account_id":"u_1"}"#, 422, "order_invalid"),
        ("POST", "erase", r#"{"partner":"acme","account_id":"u_1","dry_run":true}"#, 422, "order_invalid"),
        (
            "POST",
            "erase",
            r#"{"partner":"acme","account_id":"u_1","account_id":"u_2"}"#,
            422,
            "order_invalid",
        ),
        ("POST", "erase", r#"{"partner":"acme","account_id":"u_1"}{}"#, 422, "order_invalid"),
        ("POST", "erase", &*long, 413, "payload_too_large"),
        ("POST", "erase", r#"{"partner":"acme","account_id":"nobody"}"#, 404, "account_unknown"),
        ("POST", "erase", r#"{"partner":"other","account_id":"u_3"}"#, 404, "account_unknown"),
    ] {
        let (answered, answer) = app.ask(method, path, body);
        assert_eq!((answered, &answer["error"]), (status, &json!(error)), "{method} {path} {answer}");
        assert!(answer["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{answer}");
        assert_eq!(app.dump(), before, "{method} {path}");
    }
    app.assert_sound();
}

#[test]
fn without_any_token_in_production_nobody_is_admitted() {
    let plain = App::new();
    let mut setup = plain.setup.clone();
    let (start, rest) =
        document().split_once("\"admin\"").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (_, rest) = rest.split_once("] },").unwrap();
    setup.document = format!("{start}{rest}");
    let app = plain.app.beside(&setup).unwrap();
    let mut request = request("GET", "/internal/queue", Vec::new());
    request.headers.push((b"authorization".to_vec(), format!("Bearer {TOKEN}").into_bytes()));
    let reply = app.send(request).unwrap();
    assert_eq!(reply.status, 401, "{}", text(&reply));
}

#[test]
fn a_file_with_bad_lines_imports_nothing_and_lists_each() {
    let app = App::new();
    app.post("fx", RATES);
    let before = app.dump();
    let rates = "Date,USD,\n2025-12-30,1.2,\n30.12.2025,1.2,\n2025-12-28,-1,\n";
    let costs = "date,campaign,amount,currency\n2025-12-30,summer,1,EUR\n2025-12-30,summer,1.234,EUR\n2025-12-31,,1,EUR\n";
    for (path, file) in [("fx", rates), ("costs", costs)] {
        let (status, answer) = app.ask("POST", path, file);
        let lines: Vec<&Value> =
            answer["lines"].as_array().unwrap().iter().map(|line| &line["line"]).collect();
        assert_eq!(
            (status, &answer["error"], &answer["bad_lines"]),
            (422, &json!("csv_invalid"), &json!(2)),
            "{answer}"
        );
        assert_eq!(lines, [3, 4], "{answer}");
        assert_eq!(app.dump(), before, "{path}");
    }
    let many: String = (0..10_150).map(|_| "x,summer,1,EUR\n").collect();
    let (_, answer) = app.ask("POST", "costs", format!("date,campaign,amount,currency\n{many}"));
    assert_eq!((answer["lines"].as_array().unwrap().len(), &answer["bad_lines"]), (10_000, &json!(10_150)));
    app.assert_sound();
}

#[test]
fn an_import_replaces_the_days_that_it_has() {
    let app = App::new();
    app.post("costs", COSTS);
    app.post("costs", COSTS.replace("12.50", "13"));
    assert_eq!(app.rows("SELECT minor FROM cost ORDER BY date"), ["1300", "700"]);
    app.post("fx", RATES);
    app.post("fx", "Date,USD,JPY,\n2025-12-30,1.25,N/A,\n");
    assert_eq!(app.rows("SELECT currency, quote FROM rate WHERE date = '2025-12-30'"), ["USD|1.25"]);
    assert_eq!(app.count("rate_day"), 3);
    app.assert_sound();
}

/// Third-party data: at `$COUNTERSIGN_THIRD_PARTY`, else at `../shared/data` beside the workspace.
fn third_party(test: &str, name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("COUNTERSIGN_THIRD_PARTY").map_or(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED {test}: {} is missing; set COUNTERSIGN_THIRD_PARTY", path.display());
    None
}

#[test]
fn the_bank_s_whole_history_is_imported() {
    let Some(file) = third_party("the_bank_s_whole_history_is_imported", "fx-ecb/eurofxref-hist.csv") else {
        return;
    };
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "USD"));
    app.tick();
    assert_eq!(app.get("queue")["waiting"], json!([["rate_unknown", 1]]));
    let answer = app.post("fx", std::fs::read(file).unwrap());
    assert_eq!(answer, json!({ "days": 7_126, "quotes": 221_702 }));
    assert_eq!((app.count("rate_day"), app.count("rate")), (7_126, 221_702));
    assert_eq!(app.tick()["posted"], 1);
    // The rate on the row is the file's own, and the arithmetic is a fraction's.
    let row = app.rows("SELECT rate_from, report_minor FROM posting WHERE kind = 'deposit'");
    let (rate, minor) = row[0].split_once('|').unwrap();
    assert_eq!(app.rows("SELECT quote FROM rate WHERE date = '2025-12-30' AND currency = 'USD'"), [rate]);
    let (whole, decimals) = rate.split_once('.').unwrap();
    let scale = 10_u64.pow(u32::try_from(decimals.len()).unwrap());
    let quote: u64 = format!("{whole}{decimals}").parse().unwrap();
    // Twice the cents, rounded down, then to the nearest.
    assert_eq!(minor.parse::<u64>().unwrap(), (2 * 10_000 * scale / quote).div_ceil(2));
    app.assert_sound();
}

#[test]
fn every_reason_of_a_dead_letter_is_in_the_documentation_and_no_other() {
    use countersign_ledger::decision::DeadCause;
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ledger.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("Dead letters")).unwrap();
    let documented: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(documented, DeadCause::ALL.iter().copied().map(DeadCause::as_str).collect::<Vec<_>>());
    let paths = text.split("\n## ").find(|section| section.starts_with("Administration")).unwrap();
    // None of the page's rows is missing here.
    let listed =
        paths.lines().filter(|line| line.starts_with("| GET ") || line.starts_with("| POST ")).count();
    assert_eq!(listed, ROWS.iter().filter(|row| row.3 == 200).count());
    for (method, path, _, status) in ROWS {
        let shown = path.replace('5', "{id}");
        assert_eq!(
            paths.contains(&format!("| {method} | `/internal/{shown}")),
            status == 200,
            "{method} {shown}"
        );
    }
}
