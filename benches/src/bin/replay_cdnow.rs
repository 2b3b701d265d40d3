//! Sends 69,659 real purchases through the running application, and compares what the ledger holds with the file, to the cent.
//!
//! Each customer of the file is a click, then a registration; each line is a deposit. **The 255 lines that repeat another one are
//! purchases too**: somebody bought the same for the same price on the same day, and an id of its own (`cdnow_` and the line's
//! number) keeps each of them a deposit. All of it goes over HTTP: the redirector mints the click ids, and the gate verifies every
//! postback.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program on a terminal")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::time::Timestamp;
use serde_json::Value;

const KEY: &str = "the sandbox's key of the replay, 32 bytes";
const TOKEN: &str = countersign_core::policy::sandbox::ADMIN_TOKEN;
const TRIES_MAX: u32 = 20;

/// A purchase: the file's line, its date as `YYYYMMDD`, and the amount as it is written.
struct Purchase {
    line: usize,
    date: String,
    amount: String,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let senders = match arguments.next() {
        None => 64,
        Some(number) => number.parse().context("the first argument is the number of senders")?,
    };
    let file = third_party()?.join("purchases-cdnow/CDNOW_master.txt");
    let customers = read(&file)?;
    let application = Application::start()?;
    let started = Instant::now();
    let sent = send(application.address, &customers, senders)?;
    let sending = started.elapsed();
    let drained =
        drain(application.address, customers.values().map(Vec::len).sum::<usize>() + customers.len())?;
    let elapsed = started.elapsed();
    println!(
        "{} customers, {} purchases; {} clicks, {} events accepted, {} sent again",
        customers.len(),
        customers.values().map(Vec::len).sum::<usize>(),
        sent.clicks,
        sent.accepted,
        sent.again
    );
    println!(
        "sent in {:.1} s ({:.0} requests/s from {senders} senders), all posted {:.1} s later; end to end {:.1} s",
        sending.as_secs_f64(),
        (sent.clicks + sent.accepted) as f64 / sending.as_secs_f64(),
        drained.as_secs_f64(),
        elapsed.as_secs_f64()
    );
    let mut latencies = sent.latencies;
    latencies.sort_unstable();
    let at =
        |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("accept: p50 {:.1} ms, p99 {:.1} ms\n", at(0.5) as f64 / 1e3, at(0.99) as f64 / 1e3);
    compare(application.address, &customers)
}

/// Where third-party data is.
fn third_party() -> Result<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("COUNTERSIGN_THIRD_PARTY").map_or(beside, PathBuf::from);
    ensure!(folder.is_dir(), "{} is not there: set COUNTERSIGN_THIRD_PARTY", folder.display());
    Ok(folder)
}

/// The purchases of each customer, in the order of the file.
fn read(file: &Path) -> Result<BTreeMap<String, Vec<Purchase>>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut customers: BTreeMap<String, Vec<Purchase>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let mut cells = line.split_whitespace();
        let (Some(customer), Some(date), Some(_disks), Some(amount)) =
            (cells.next(), cells.next(), cells.next(), cells.next())
        else {
            bail!("{}: line {} has too few cells", file.display(), index + 1);
        };
        if customer.starts_with(|first: char| first.is_ascii_digit()) {
            let purchase = Purchase { line: index + 1, date: date.to_owned(), amount: amount.to_owned() };
            customers.entry(customer.to_owned()).or_default().push(purchase);
        }
    }
    Ok(customers)
}

/// `countersign up` on a state of its own, ended with this value.
struct Application {
    child: Child,
    address: SocketAddr,
}

impl Application {
    fn start() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let program = std::env::var_os("COUNTERSIGN")
            .context("COUNTERSIGN names the command line; `cargo xtask replay-cdnow` sets it")?;
        let state = PathBuf::from(
            std::env::var_os("COUNTERSIGN_STATE")
                .context("COUNTERSIGN_STATE names a folder for the state")?,
        );
        if state.exists() {
            std::fs::remove_dir_all(&state)?;
        }
        std::fs::create_dir_all(&state)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .args(["up", "--config", "examples/cdnow.json", "--listen", &address.to_string(), "--state"])
            .arg(&state)
            .env("sandbox_cdnow_key", KEY)
            .current_dir(root)
            .stdout(Stdio::null())
            .spawn()?;
        let application = Self { child, address };
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return Ok(application);
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the application does not listen on {address}; its log is above");
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It has nothing left to do.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// What was sent.
#[derive(Default)]
struct Sent {
    clicks: u64,
    accepted: u64,
    /// Answers that asked to send again.
    again: u64,
    /// Of each accepted event, in microseconds.
    latencies: Vec<u64>,
}

/// Sends everything, the customers spread over `senders` connections.
fn send(address: SocketAddr, customers: &BTreeMap<String, Vec<Purchase>>, senders: usize) -> Result<Sent> {
    let customers: Vec<_> = customers.iter().collect();
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let total: usize = customers.iter().map(|(_, purchases)| purchases.len() + 2).sum();
    thread::scope(|scope| {
        let sender = || {
            let mut sent = Sent::default();
            let mut connection = Connection::open(address)?;
            let key = SigningKey::new("k1".into(), KEY.as_bytes(), None, None);
            while let Some((customer, purchases)) = customers.get(next.fetch_add(1, Ordering::Relaxed)) {
                sent.customer(&mut connection, &key, customer, purchases)?;
                done.fetch_add(purchases.len() as u64 + 2, Ordering::Relaxed);
            }
            anyhow::Ok(sent)
        };
        let threads: Vec<_> = (0..senders).map(|_| scope.spawn(sender)).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            progress("sending", done.load(Ordering::Relaxed), total as u64);
            thread::sleep(Duration::from_millis(200));
        }
        progress("sending", done.load(Ordering::Relaxed), total as u64);
        eprintln!();
        threads.into_iter().try_fold(Sent::default(), |mut all, thread| {
            let sent: Sent = thread.join().map_err(|_| anyhow!("a sender panicked"))??;
            all.clicks += sent.clicks;
            all.accepted += sent.accepted;
            all.again += sent.again;
            all.latencies.extend(sent.latencies);
            Ok(all)
        })
    })
}

impl Sent {
    fn customer(
        &mut self,
        connection: &mut Connection,
        key: &SigningKey,
        customer: &str,
        purchases: &[Purchase],
    ) -> Result<()> {
        let reply = connection.exchange("GET", "/c/cdnow?utm_source=replay", &[], "")?;
        let click_id =
            reply.header("location").and_then(|url| url.split_once("click_id=")).map(|(_, id)| id.to_owned());
        let click_id =
            click_id.with_context(|| format!("the redirector answers {}: {}", reply.status, reply.body))?;
        self.clicks += 1;
        let day = |date: &str| -> Result<String> {
            let (year, rest) = date.split_at_checked(4).context("a date")?;
            let (month, day) = rest.split_at_checked(2).context("a date")?;
            Ok(format!("{year}-{month}-{day}T12:00:00Z"))
        };
        let first = purchases.first().context("a customer without purchases")?;
        let registration = format!(
            r#"{{"event":"registration","event_id":"reg_{customer}","click_id":"{click_id}","account_id":"{customer}","ts_event":"{}"}}"#,
            day(&first.date)?
        );
        self.event(connection, key, &registration)?;
        for Purchase { line, date, amount } in purchases {
            // The amount stands as the file has it: a float would not be the same number.
            let event = format!(
                r#"{{"event":"deposit_success","event_id":"cdnow_{line}","click_id":"{click_id}","account_id":"{customer}","amount":{amount},"currency":"USD","ts_event":"{}"}}"#,
                day(date)?
            );
            self.event(connection, key, &event)?;
        }
        Ok(())
    }

    /// Sends an event until it is accepted, as a partner does.
    fn event(&mut self, connection: &mut Connection, key: &SigningKey, body: &str) -> Result<()> {
        let mut tape = Tape::default();
        let document = json::read(body.as_bytes(), &mut tape, ReadLimits::POSTBACK)
            .map_err(|malformed| anyhow!("{}: {body}", malformed.problem.as_str()))?;
        let message = Message { id: "", at: Timestamp::default() };
        let place = Place::Header(Place::HEADER.into());
        let signed = sign(Scheme::Jcs, &place, key, body.as_bytes(), &document, message)
            .map_err(|problem| anyhow!(problem.as_str()))?;
        let value = match signed {
            Signed::Headers(fields) => fields.into_iter().map(|(_, value)| value).collect(),
            Signed::Member(_, value) => value,
        };
        for _ in 0..TRIES_MAX {
            let started = Instant::now();
            let headers = [("content-type", "application/json"), ("x-signature", value.as_str())];
            let reply = connection.exchange("POST", "/postback/cdnow", &headers, body)?;
            match reply.status {
                200 => {
                    self.accepted += 1;
                    self.latencies.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
                    return Ok(());
                }
                429 | 503 => {
                    self.again += 1;
                    thread::sleep(Duration::from_millis(250));
                }
                status => bail!("{status} {} to {body}", reply.body),
            }
        }
        bail!("refused {TRIES_MAX} times: {body}")
    }
}

/// Waits until the queue is empty; how long that took.
fn drain(address: SocketAddr, total: usize) -> Result<Duration> {
    let started = Instant::now();
    let mut connection = Connection::open(address)?;
    loop {
        let queue = connection.internal("queue")?;
        let queued = queue["queued"].as_u64().context("the queue's length")?;
        progress("posting", (total as u64).saturating_sub(queued), total as u64);
        if queued == 0 {
            eprintln!();
            return Ok(started.elapsed());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Prints the ledger's months beside the file's.
///
/// # Errors
/// A month differs.
fn compare(address: SocketAddr, customers: &BTreeMap<String, Vec<Purchase>>) -> Result<()> {
    let mut months: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for purchase in customers.values().flatten() {
        let month = purchase
            .date
            .get(..4)
            .zip(purchase.date.get(4..6))
            .map(|(year, month)| format!("{year}-{month}"));
        let (count, cents) = months.entry(month.context("a date")?).or_default();
        *count += 1;
        *cents += purchase.amount.replace('.', "").parse::<i64>().context("an amount with two decimals")?;
    }
    let totals = Connection::open(address)?.internal("totals?by=month")?;
    let totals = totals["totals"].as_array().context("totals")?;
    println!(
        "{:8} {:>10} {:>15} {:>15} {:>8} {:>14} {:>14}",
        "month", "purchases", "file", "ledger", "FTD", "CPA", "share"
    );
    let dollars = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    let (mut all, mut wrong) = ((0, 0, 0), 0);
    for (month, (count, cents)) in &months {
        let total = totals.iter().find(|total| total["group"] == **month).cloned().unwrap_or_default();
        let posted = |name: &str| total[name].as_i64().unwrap_or(0);
        let verdict = if posted("deposits") == *cents { "" } else { "  differs" };
        wrong += usize::from(!verdict.is_empty());
        all = (all.0 + count, all.1 + cents, all.2 + posted("deposits"));
        println!(
            "{month:8} {count:>10} {:>15} {:>15} {:>8} {:>14} {:>14}{verdict}",
            dollars(*cents),
            dollars(posted("deposits")),
            posted("first_deposits"),
            dollars(posted("cpa")),
            dollars(posted("revenue_share"))
        );
    }
    println!("{:8} {:>10} {:>15} {:>15}", "all", all.0, dollars(all.1), dollars(all.2));
    ensure!(wrong == 0 && all.1 == all.2, "{wrong} months differ");
    println!("\nThe ledger's deposits are the file's, to the cent.");
    Ok(())
}

/// One connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
}

/// An answer.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn internal(&mut self, path: &str) -> Result<Value> {
        let token = format!("Bearer {TOKEN}");
        let reply = self.exchange("GET", &format!("/internal/{path}"), &[("authorization", &token)], "")?;
        ensure!(reply.status == 200, "/internal/{path}: {} {}", reply.status, reply.body);
        Ok(serde_json::from_str(&reply.body)?)
    }

    fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Reply> {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status_line = self.line()?;
        let status =
            status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status line")?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: String::new() };
        let length: usize = reply
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .context("a content-length")?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        reply.body = String::from_utf8(body)?;
        Ok(reply)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the connection was closed");
        Ok(line.trim_end().to_owned())
    }
}

fn progress(what: &str, done: u64, total: u64) {
    const WIDTH: u64 = 40;
    let filled = (done * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let bar: String = (0..WIDTH).map(|place| if place < filled { '#' } else { '.' }).collect();
    eprint!("\r{what:8} [{bar}] {done}/{total} ");
    let _shown = std::io::stderr().flush();
}
