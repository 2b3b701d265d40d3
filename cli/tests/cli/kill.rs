//! The application is killed again and again: what was acknowledged is in the ledger, and nothing is twice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::admin::DOCUMENT;
use crate::application::{Up, wasm};
use crate::support::{Folder, countersign};

const KILLS: usize = 20;
const PLAYERS: usize = 60;
/// For everything: a start takes a second or two.
const PATIENCE: Duration = Duration::from_secs(300);

/// An event with its signature.
struct Postback {
    body: String,
    headers: String,
}

/// A registration, a deposit and a refund of each player, in an order in which refunds come before their deposits too.
fn postbacks() -> Vec<Postback> {
    let click_id = countersign(&["click", "mint", "--sandbox"]).stdout();
    let common = |event: &str, event_id: String, player: usize, more: String| {
        let body = format!(
            r#"{{"event":"{event}","event_id":"{event_id}","click_id":"{}","account_id":"u_{player}","ts_event":"2025-10-21T15:12:31Z"{more}}}"#,
            click_id.trim()
        );
        Postback {
            headers: countersign(&["sign", "--sandbox"]).input(&body).stdout().trim().to_owned(),
            body,
        }
    };
    (0..PLAYERS)
        .flat_map(|player| {
            let registration = common("registration", format!("reg_{player}"), player, String::new());
            let money = format!(r#","amount":{},"currency":"EUR""#, 100 + player);
            let deposit = common("deposit_success", format!("dep_{player}"), player, money);
            let money = format!(r#","amount":30,"currency":"EUR","original_event_id":"dep_{player}""#);
            let refund = common("refund", format!("ref_{player}"), player, money);
            if player % 2 == 0 { [registration, deposit, refund] } else { [refund, deposit, registration] }
        })
        .collect()
}

/// Sends a request and answers its status and body; `None` where the application is gone.
fn exchange(base: &str, head: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    let request =
        format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.get(9..12)?.parse().ok()?, body.to_owned()))
}

fn administer(base: &str, method: &str, path: &str) -> Option<(u16, Value)> {
    let token = "countersign-sandbox-admin-token-is-published";
    let head = format!("{method} /internal/{path} HTTP/1.1\r\nauthorization: Bearer {token}");
    let (status, body) = exchange(base, &head, "")?;
    Some((status, serde_json::from_str(&body).ok()?))
}

/// Ticks until nothing is queued, and answers the sums by account.
fn drained(base: &str, begin: Instant) -> Value {
    loop {
        administer(base, "POST", "tick");
        if administer(base, "GET", "queue").is_some_and(|(_, queue)| queue["queued"] == 0) {
            return administer(base, "GET", "totals?by=account").unwrap().1;
        }
        assert!(begin.elapsed() < PATIENCE, "not drained: {:?}", administer(base, "GET", "queue"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Sends each event until it is acknowledged, to wherever the application is now.
fn send(postbacks: &[Postback], base: &Mutex<String>, acknowledged: &AtomicUsize, begin: Instant) {
    for Postback { body, headers } in postbacks {
        let head = format!("POST /postback/sandbox HTTP/1.1\r\ncontent-type: application/json\r\n{headers}");
        loop {
            let now = base.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match exchange(&now, &head, body) {
                Some((200, _)) => break,
                None | Some((503 | 429, _)) => std::thread::sleep(Duration::from_millis(10)),
                Some(other) => panic!("{body}: {other:?}"),
            }
            assert!(begin.elapsed() < PATIENCE, "{body} is not acknowledged");
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
        // So that there is still something to send when it is killed for the last time.
        std::thread::sleep(Duration::from_millis(40));
    }
}

fn start(wasm: &Path, folder: &Folder, state: &str) -> Up {
    let config = folder.file("countersign.json", DOCUMENT);
    Up::start_with(wasm, &folder.path(state), &["--config", &config])
}

#[test]
fn killed_twenty_times_the_ledger_is_that_of_a_clean_run() {
    let Some(wasm) = wasm("killed_twenty_times_the_ledger_is_that_of_a_clean_run") else { return };
    let (folder, begin) = (Folder::new(), Instant::now());
    let postbacks = postbacks();

    let up = start(&wasm, &folder, "clean");
    send(&postbacks, &Mutex::new(up.base.clone()), &AtomicUsize::new(0), begin);
    let expected = drained(&up.base, begin);
    assert_eq!(expected["totals"].as_array().unwrap().len(), PLAYERS);
    drop(up);

    let mut up = start(&wasm, &folder, "killed");
    let base = Mutex::new(up.base.clone());
    let (acknowledged, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut seed = u64::from(std::process::id());
    println!("seed {seed}");
    let totals = std::thread::scope(|scope| {
        scope.spawn(|| send(&postbacks, &base, &acknowledged, begin));
        // The worker is under way whenever the end comes.
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let now = base.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if administer(&now, "POST", "tick").is_none() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        for _ in 0..KILLS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis(50 + (seed >> 33) % 400));
            up.child.kill().unwrap();
            up.child.wait().unwrap();
            up = start(&wasm, &folder, "killed");
            base.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&up.base);
        }
        while acknowledged.load(Ordering::SeqCst) < postbacks.len() && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::SeqCst);
        drained(&up.base, begin)
    });
    assert_eq!(totals, expected);
}
