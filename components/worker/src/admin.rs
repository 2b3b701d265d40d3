//! `/internal/…`: what people and cron ask of the worker, with a bearer token.

use countersign_core::headers::Headers;
use countersign_core::json::Tape;
use countersign_core::store::StoreFault;
use countersign_core::token::{self, Bearer};
use countersign_ledger::csv::Faults;
use countersign_ledger::{cost, ecb};
use countersign_spin::exchange::{self, Response};
use countersign_spin::ledger::Selection;
use serde::Deserialize;
use serde_json::json;
use spin_sdk::http::{HeaderValue, Request};

use crate::start::{Instance, now};
use crate::stretch;

/// Longest body, in bytes: the ECB's whole history has two million.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Most dead letters of one page.
const PAGE_MAX: u32 = 1_000;

/// Answers a request to `/internal/…`. Without the token nothing is read, and nothing changes.
pub(crate) async fn answer(instance: &Instance, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let fields: Vec<(&[u8], &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
    if !is_admitted(instance, &fields) {
        let mut response =
            exchange::problem(401, "token_invalid", "send Authorization: Bearer and one of admin.tokens");
        response.1.insert("www-authenticate", HeaderValue::from_static("Bearer"));
        return response;
    }
    let path = head.uri.path().strip_prefix("/internal/").unwrap_or("");
    let query = head.uri.query().unwrap_or("");
    let is_post = head.method.as_str() == "POST";
    let allowed = match path {
        "tick" | "fx" | "costs" | "dead-letters/replay" | "dead-letters/discard" => "POST",
        "queue" | "totals" | "dead-letters" => "GET",
        _ if dead_letter(path).is_some() => "GET",
        _ => return exchange::problem(404, "not_found", "docs/ledger.md has the paths"),
    };
    if head.method.as_str() != allowed {
        let mut response = exchange::problem(405, "method_not_allowed", "docs/ledger.md has the methods");
        response.1.insert("allow", HeaderValue::from_static(allowed));
        return response;
    }
    let body = match exchange::body(body, BODY_BYTES_MAX).await {
        Ok(Some(body)) => body,
        Ok(None) => return exchange::problem(413, "payload_too_large", "send at most 16 MiB"),
        Err(_) => return exchange::problem(400, "payload_malformed", "the request broke off before its end"),
    };
    let answered = if is_post { post(instance, path, &body).await } else { get(instance, path, query).await };
    answered.unwrap_or_else(|fault| exchange::problem(503, "store_unavailable", fault.as_str()))
}

fn is_admitted(instance: &Instance, fields: &[(&[u8], &[u8])]) -> bool {
    match token::bearer(Headers(fields)) {
        Bearer::Token(token) => {
            token::verify(&instance.ledger.rules().admin, token, now(), &mut Tape::default()).is_ok()
        }
        Bearer::Missing | Bearer::Malformed => false,
    }
}

fn dead_letter(path: &str) -> Option<i64> {
    path.strip_prefix("dead-letters/")?.parse().ok()
}

async fn post(instance: &Instance, path: &str, body: &[u8]) -> Result<Response, StoreFault> {
    let ledger = &instance.ledger;
    Ok(match path {
        "tick" => {
            let tally = ledger.post_due(stretch()).await?;
            ledger.purge().await?;
            let next_due = ledger.next_due().await?.map(|due| due.write_rfc3339().as_str().to_owned());
            exchange::json(200, &json!({ "tally": tally, "next_due": next_due }))
        }
        "fx" => match ecb::read(body) {
            Ok(days) => {
                let quotes: usize = days.iter().map(|day| day.quotes.len()).sum();
                ledger.import_rates(&days).await?;
                exchange::json(200, &json!({ "days": days.len(), "quotes": quotes }))
            }
            Err(faults) => bad_lines(&faults),
        },
        "costs" => match cost::read(body) {
            Ok(costs) => {
                ledger.import_costs(&costs).await?;
                exchange::json(200, &json!({ "rows": costs.len() }))
            }
            Err(faults) => bad_lines(&faults),
        },
        _ => match serde_json::from_slice::<Order>(body).map_err(|_| ()).and_then(Order::check) {
            Ok(order) if path == "dead-letters/discard" => match order.because {
                Some(because) => {
                    let ids = ledger.discard(&order.select, &because, order.dry_run).await?;
                    exchange::json(
                        200,
                        &json!({ "discarded": ids.len(), "dry_run": order.dry_run, "ids": ids }),
                    )
                }
                None => {
                    exchange::problem(422, "order_invalid", "say \"because\": why the events may be given up")
                }
            },
            Ok(order) => {
                let ids = ledger.replay(&order.select, order.dry_run).await?;
                exchange::json(200, &json!({ "replayed": ids.len(), "dry_run": order.dry_run, "ids": ids }))
            }
            Err(()) => exchange::problem(
                422,
                "order_invalid",
                "send { \"ids\": […] }, { \"from\": …, \"to\": … } or { \"reason\": … }, with \"partner\" and \"dry_run\" as you like",
            ),
        },
    })
}

/// Which dead letters, and what for.
#[derive(Deserialize)]
struct Order {
    #[serde(flatten)]
    select: Selection,
    #[serde(default)]
    dry_run: bool,
    because: Option<String>,
}

impl Order {
    /// An order that selects nothing in particular is a mistake, not an order for everything.
    fn check(self) -> Result<Self, ()> {
        let Selection { ids, from, to, reason, .. } = &self.select;
        let is_range = from.is_some() && to.is_some();
        if ids.is_some() || is_range || reason.is_some() { Ok(self) } else { Err(()) }
    }
}

/// Every bad line with its number; nothing was imported.
fn bad_lines<P: std::fmt::Display>(faults: &Faults<P>) -> Response {
    let lines: Vec<_> = faults
        .list()
        .iter()
        .map(|fault| json!({ "line": fault.line, "problem": fault.problem.to_string() }))
        .collect();
    exchange::json(
        422,
        &json!({ "error": "csv_invalid", "hint": "nothing was imported; mend these lines and send all of it again",
        "lines": lines, "bad_lines": faults.count() }),
    )
}

async fn get(instance: &Instance, path: &str, query: &str) -> Result<Response, StoreFault> {
    let ledger = &instance.ledger;
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value.to_owned())
    };
    Ok(match path {
        "queue" => exchange::json(200, &ledger.queue().await?),
        "totals" => match ledger.totals(parameter("by").as_deref().unwrap_or("month")).await? {
            Some(totals) => exchange::json(200, &json!({ "totals": totals })),
            None => exchange::problem(422, "by_invalid", "write by=month, day, partner, campaign or account"),
        },
        "dead-letters" => {
            let limit =
                parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100).clamp(1, PAGE_MAX);
            let select = Selection {
                ids: None,
                from: parameter("after")
                    .and_then(|after| after.parse::<i64>().ok())
                    .map(|after| after.saturating_add(1)),
                to: None,
                reason: parameter("reason"),
                partner: parameter("partner"),
            };
            let letters = ledger.dead_letters(&select, limit).await?;
            let is_full = letters.len() == usize::try_from(limit).unwrap_or(usize::MAX);
            let next = letters.last().map(|letter| letter.id).filter(|_| is_full);
            exchange::json(200, &json!({ "dead_letters": letters, "next": next }))
        }
        _ => match dead_letter(path) {
            Some(id) => match ledger.dead_letter(id).await? {
                Some(letter) => exchange::json(200, &letter),
                None => exchange::problem(404, "not_found", "there is no dead letter of this id"),
            },
            None => exchange::problem(404, "not_found", "docs/ledger.md has the paths"),
        },
    })
}
