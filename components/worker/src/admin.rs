//! `/internal/…`: what people and cron ask of the worker, with a bearer token.

use countersign_core::headers::Headers;
use countersign_core::json::Tape;
use countersign_core::store::StoreFault;
use countersign_core::token::{self, Bearer};
use countersign_ledger::csv::FileRejects;
use countersign_ledger::{cost, ecb};
use countersign_spin::exchange::{self, Response};
use countersign_spin::host::now;
use countersign_spin::ledger::{Confirmed, Erased, Ledger, Scope, Selection};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use spin_sdk::http::{HeaderValue, Request};

use crate::stretch;

/// Longest body, in bytes: the ECB's whole history has two million.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Most dead letters, duplicates, or changes, of one page.
const PAGE_MAX: u32 = 1_000;

/// Answers a request to `/internal/…`. Without the token nothing is read, and nothing changes.
pub(crate) async fn answer(ledger: &Ledger, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let fields: Vec<(&[u8], &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
    if !is_admitted(ledger, &fields) {
        let mut response =
            exchange::problem(401, "token_invalid", "send Authorization: Bearer and one of admin.tokens");
        response.1.insert("www-authenticate", HeaderValue::from_static("Bearer"));
        return response;
    }
    let path = head.uri.path().strip_prefix("/internal/").unwrap_or("");
    let query = head.uri.query().unwrap_or("");
    let is_post = head.method.as_str() == "POST";
    let allowed = match path {
        "tick" | "fx" | "costs" | "erase" | "redecide" | "dead-letters/replay" | "dead-letters/discard" => {
            "POST"
        }
        "queue" | "totals" | "rejections" | "dead-letters" | "duplicates" => "GET",
        _ if one_of("dead-letters/", path).or(one_of("duplicates/", path)).is_some() => "GET",
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
    let answered = if is_post { post(ledger, path, &body).await } else { get(ledger, path, query).await };
    answered.unwrap_or_else(|fault| exchange::try_later("store_unavailable", fault.as_str()))
}

fn is_admitted(ledger: &Ledger, fields: &[(&[u8], &[u8])]) -> bool {
    match token::bearer(Headers(fields)) {
        Bearer::Token(token) => {
            token::verify(&ledger.rules().admin, token, now(), &mut Tape::default()).is_ok()
        }
        Bearer::Missing | Bearer::Unusable(_) => false,
    }
}

/// The id in the path of a single thing.
fn one_of(things: &str, path: &str) -> Option<i64> {
    path.strip_prefix(things)?.parse().ok()
}

async fn post(ledger: &Ledger, path: &str, body: &[u8]) -> Result<Response, StoreFault> {
    let ledger = &ledger;
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
            Err(rejects) => bad_lines(&rejects),
        },
        "costs" => match cost::read(body) {
            Ok(costs) => {
                ledger.import_costs(&costs).await?;
                exchange::json(200, &json!({ "rows": costs.len() }))
            }
            Err(rejects) => bad_lines(&rejects),
        },
        "erase" => match Erasure::read(body) {
            Some(Erasure { partner, account_id }) => match ledger.erase(&partner, &account_id).await? {
                Erased::As(pseudonym) => {
                    exchange::json(200, &json!({ "erased": true, "pseudonym": pseudonym }))
                }
                Erased::NotYet => exchange::problem(
                    409,
                    "still_queued",
                    "events of this account are still in the queue; send it again when they are posted",
                ),
                Erased::Unknown => exchange::problem(
                    404,
                    "account_unknown",
                    "nothing is kept of this account, or not any more; check the partner, and the id's upper and lower case",
                ),
            },
            None => exchange::problem(
                422,
                "order_invalid",
                "send { \"partner\": …, \"account_id\": … }, neither of them empty",
            ),
        },
        "redecide" => match Redecide::read(body) {
            Some(order) => redecide(ledger, order).await?,
            None => exchange::problem(
                422,
                "order_invalid",
                "send an object with \"partner\", and with \"account_id\", \"limit\" (up to 1000), or \"confirm\" and \"because\" as you like",
            ),
        },
        _ => match Order::read(body) {
            Some(order) if path == "dead-letters/discard" => discard(ledger, order).await?,
            Some(order) => {
                let dry_run = order.dry_run;
                let ids = ledger.replay(&order.select(), dry_run).await?;
                exchange::json(200, &json!({ "replayed": ids.len(), "dry_run": dry_run, "ids": ids }))
            }
            None => exchange::problem(
                422,
                "order_invalid",
                "send an object with \"ids\", \"from\" and \"to\", \"reason\" or \"partner\", and with \"dry_run\" as you like",
            ),
        },
    })
}

async fn discard(ledger: &Ledger, mut order: Order) -> Result<Response, StoreFault> {
    let Some(because) = order.because.take().filter(|because| !because.trim().is_empty()) else {
        let hint = "say \"because\": why the events may be given up";
        return Ok(exchange::problem(422, "order_invalid", hint));
    };
    let dry_run = order.dry_run;
    let ids = ledger.discard(&order.select(), &because, dry_run).await?;
    Ok(exchange::json(200, &json!({ "discarded": ids.len(), "dry_run": dry_run, "ids": ids })))
}

async fn redecide(ledger: &Ledger, order: Redecide) -> Result<Response, StoreFault> {
    let Redecide { partner, account_id, limit, confirm, because } = order;
    let scope = Scope { partner, account_id };
    let limit = usize::try_from(limit.unwrap_or(100)).unwrap_or(0);
    let because = because.filter(|because| !because.trim().is_empty());
    Ok(match (confirm, because) {
        (None, None) => {
            let what_if = ledger.what_if(&scope, limit).await?;
            let is_known = ledger.rules().agreements().any(|(name, _)| name == scope.partner);
            if !is_known && what_if.looked_at.deposits == 0 {
                let hint =
                    "the configuration has no such partner, and no deposit of one is posted; check the name";
                return Ok(exchange::problem(404, "partner_unknown", hint));
            }
            exchange::json(200, &what_if)
        }
        (Some(confirm), Some(because)) => {
            match ledger.redecide(&scope, limit, &Confirmed { confirm, because }).await? {
                Some(posted) => exchange::json(200, &posted),
                None => exchange::problem(
                    409,
                    "changed",
                    "this is not what would be posted by now; ask without \"confirm\" what is left, and confirm that",
                ),
            }
        }
        (Some(_), None) | (None, Some(_)) => {
            let hint = "say \"because\" with \"confirm\": why the deposits are decided anew";
            exchange::problem(422, "order_invalid", hint)
        }
    })
}

/// Whose account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erasure {
    partner: String,
    account_id: String,
}

impl Erasure {
    fn read(body: &[u8]) -> Option<Self> {
        object(body).filter(|Self { partner, account_id }| !partner.is_empty() && !account_id.is_empty())
    }
}

/// What a JSON object says. A derived reader takes a list of the members' values too, which nobody means to send.
fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// Whose deposits are decided anew, and what was confirmed of that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redecide {
    partner: String,
    account_id: Option<String>,
    limit: Option<u32>,
    confirm: Option<String>,
    because: Option<String>,
}

impl Redecide {
    fn read(body: &[u8]) -> Option<Self> {
        object(body).filter(|Self { partner, limit, .. }| {
            !partner.is_empty() && limit.is_none_or(|limit| limit <= PAGE_MAX)
        })
    }
}

/// Which dead letters, and what for. A member that it does not know is a mistake: a `dry_run` that is misspelt must change nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    ids: Option<Vec<i64>>,
    from: Option<i64>,
    to: Option<i64>,
    reason: Option<String>,
    partner: Option<String>,
    #[serde(default)]
    dry_run: bool,
    because: Option<String>,
}

impl Order {
    /// The order in a body. One that selects nothing in particular is a mistake, not an order for everything.
    fn read(body: &[u8]) -> Option<Self> {
        let order: Self = object(body)?;
        let is_range = order.from.is_some() && order.to.is_some();
        let is_selective =
            order.ids.is_some() || is_range || order.reason.is_some() || order.partner.is_some();
        is_selective.then_some(order)
    }

    fn select(self) -> Selection {
        let Self { ids, from, to, reason, partner, .. } = self;
        Selection { ids, from, to, reason, partner }
    }
}

/// Every bad line with its number; nothing was imported.
fn bad_lines<P: std::fmt::Display>(rejects: &FileRejects<P>) -> Response {
    let lines: Vec<_> = rejects
        .list()
        .iter()
        .map(|line| json!({ "line": line.line, "problem": line.reject.to_string() }))
        .collect();
    exchange::json(
        422,
        &json!({ "error": "csv_invalid", "hint": "nothing was imported; mend these lines and send all of it again",
        "lines": lines, "bad_lines": rejects.count() }),
    )
}

async fn get(ledger: &Ledger, path: &str, query: &str) -> Result<Response, StoreFault> {
    let Some(query) = Query::read(path, query) else {
        let hint = "docs/ledger.md has the parameters: each once, after= a whole number, limit= 1 to 1000";
        return Ok(exchange::problem(422, "query_invalid", hint));
    };
    Ok(match path {
        "queue" => exchange::json(200, &ledger.queue().await?),
        "rejections" => exchange::json(200, &ledger.rejections(query.partner.as_deref(), query.limit).await?),
        "totals" => match ledger.totals(query.by.as_deref().unwrap_or("month")).await? {
            Some(totals) => exchange::json(200, &json!({ "totals": totals })),
            None => exchange::problem(422, "by_invalid", "write by=month, day, partner, campaign or account"),
        },
        "dead-letters" => {
            let from = query.after.checked_add(1);
            let select =
                Selection { from, reason: query.reason, partner: query.partner, ..Selection::default() };
            let letters = ledger.dead_letters(&select, query.limit).await?;
            let next = next(query.limit, letters.len(), letters.last().map(|letter| letter.id));
            exchange::json(200, &json!({ "dead_letters": letters, "next": next }))
        }
        "duplicates" => {
            let found = ledger.duplicates(query.after, query.partner.as_deref(), query.limit).await?;
            let next = next(query.limit, found.len(), found.last().map(|duplicate| duplicate.id));
            exchange::json(200, &json!({ "duplicates": found, "next": next }))
        }
        _ => match (one_of("dead-letters/", path), one_of("duplicates/", path)) {
            (Some(id), _) => one(ledger.dead_letter(id).await?, "there is no dead letter of this id"),
            (None, Some(id)) => one(ledger.duplicate(id).await?, "there is no duplicate of this id"),
            (None, None) => exchange::problem(404, "not_found", "docs/ledger.md has the paths"),
        },
    })
}

/// The `after` of the next page, where this one is full.
fn next(limit: u32, length: usize, last: Option<i64>) -> Option<i64> {
    last.filter(|_| u32::try_from(length).is_ok_and(|length| length == limit))
}

fn one(found: Option<impl Serialize>, hint: &str) -> Response {
    match found {
        Some(found) => exchange::json(200, &found),
        None => exchange::problem(404, "not_found", hint),
    }
}

/// What a query says. A parameter that is misspelt must not list something else than was asked for.
#[derive(Default)]
struct Query {
    after: i64,
    limit: u32,
    by: Option<String>,
    partner: Option<String>,
    reason: Option<String>,
}

impl Query {
    fn read(path: &str, query: &str) -> Option<Self> {
        let names: &[&str] = match path {
            "dead-letters" => &["after", "limit", "partner", "reason"],
            "duplicates" => &["after", "limit", "partner"],
            "rejections" => &["limit", "partner"],
            "totals" => &["by"],
            _ => &[],
        };
        let mut read = Self { limit: 100, ..Self::default() };
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            if !names.contains(&name) || seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match name {
                "after" => read.after = value.parse().ok().filter(|after| *after >= 0)?,
                "limit" => read.limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit))?,
                "by" => read.by = Some(value.to_owned()),
                "partner" => read.partner = Some(value.to_owned()),
                _ => read.reason = Some(value.to_owned()),
            }
        }
        Some(read)
    }
}
