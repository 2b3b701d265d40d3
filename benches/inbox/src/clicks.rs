//! The redirector: how many clicks a second, what became of them, and how long the first one of an instance waits.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use countersign_benches::load::{self, Expected, Pace};
use countersign_benches::postbacks::Batch;
use serde_json::json;

use crate::application::{self, Application};

/// Campaigns of the document: as many as it may have.
const CAMPAIGNS: usize = 10_000;
/// Where all of them land.
const LANDED: Expected = Expected { status: "302", text: "location: https://operator.example/" };
/// Longer than the redirector tries to store a click.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the redirector was measured at in one round.
#[derive(Clone, Copy)]
pub(crate) struct Clicks {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) stored: i64,
    pub(crate) lost: i64,
    /// Until the first answer of an application: with ten thousand campaigns, and with one.
    pub(crate) first_ms: f64,
    pub(crate) first_of_one_ms: f64,
}

impl Clicks {
    /// Follows so many links, each of the next campaign.
    pub(crate) fn measure(count: usize, connections: usize, requests_at_a_time: usize) -> Result<Self> {
        let (alone, first_of_one) = start(1, requests_at_a_time)?;
        drop(alone);
        let (application, first) = start(CAMPAIGNS, requests_at_a_time)?;
        let batch = Rc::new((0..count).map(|number| request(number % CAMPAIGNS)).collect::<Batch>());
        let load = load::send(application.address(), batch, connections, Pace::Unbounded, LANDED)?;
        let sent = i64::try_from(count)? + 1;
        let begin = Instant::now();
        let (stored, lost) = loop {
            let stored = application.number("SELECT count(*) FROM click")?;
            let lost = application.number("SELECT coalesce(sum(count), 0) FROM click_lost")?;
            if stored + lost == sent {
                break (stored, lost);
            }
            let missing = sent - stored - lost;
            ensure!(
                begin.elapsed() < PATIENCE,
                "the run is void: {missing} clicks are neither stored nor counted as lost"
            );
            std::thread::sleep(Duration::from_millis(100));
        };
        Ok(Self {
            per_second: load.per_second(),
            p50_ms: load.quantile_ms(0.5),
            p99_ms: load.quantile_ms(0.99),
            stored,
            lost,
            first_ms: first.as_secs_f64() * 1000.0,
            first_of_one_ms: first_of_one.as_secs_f64() * 1000.0,
        })
    }
}

/// An application with so many campaigns that has made its tables, and how long the first answer of its redirector took.
fn start(campaigns: usize, requests_at_a_time: usize) -> Result<(Application, Duration)> {
    let mut document = application::document();
    for number in 0..campaigns {
        let landing = format!("https://operator.example/welcome?campaign={number}&lang=en");
        document["campaigns"][name(number)] = json!({ "partner": "sandbox", "landing": landing });
    }
    let application = Application::start(&document, requests_at_a_time)?;
    let first = Rc::new([request(0)].into_iter().collect::<Batch>());
    let load = load::send(application.address(), first, 1, Pace::Unbounded, LANDED)?;
    // It makes the tables behind its answer.
    let begin = Instant::now();
    while application.number("SELECT count(*) FROM click").ok() != Some(1) {
        ensure!(begin.elapsed() < PATIENCE, "the run is void: the first click is not stored");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((application, load.took))
}

fn name(number: usize) -> String {
    format!("campaign-{number:05}")
}

fn request(number: usize) -> Vec<u8> {
    let name = name(number);
    format!(
        "GET /c/{name}?utm_source=news&sub1=banner HTTP/1.1\r\nhost: bench\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0\r\naccept: */*\r\n\r\n"
    )
    .into_bytes()
}
