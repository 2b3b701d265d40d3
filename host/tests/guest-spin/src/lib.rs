//! The component under the host's own tests: every path exercises one thing that the host provides. What the test should
//! look at comes back as text, and an error of the host as a 503 with the error's text.

// A component's exports have names that no native linker takes; so that `--workspace` builds, the crate is empty there.
#![cfg(target_arch = "wasm32")]
#![expect(
    clippy::disallowed_methods,
    reason = "the guest shows what the host gives for the clock and the environment"
)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spin_sdk::experimental::wasi::keyvalue::{atomics, store};
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http::{HeaderMap, IntoResponse, Request, StatusCode};
use spin_sdk::sqlite::{self, Value};
use spin_sdk::{http_service, key_value, redis, variables};

/// Requests of this instance that are inside `/meet` now, and the most there ever were.
static INSIDE: AtomicU32 = AtomicU32::new(0);
static INSIDE_MAX: AtomicU32 = AtomicU32::new(0);

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body = match body.bytes().await {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(error) => return (StatusCode::BAD_REQUEST, HeaderMap::new(), format!("{error:?}")),
    };
    let path = head.uri.path().to_owned();
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let answer = match steps.as_slice() {
        ["hello", ..] => Ok(format!("hello {path}")),
        ["echo", ..] => Ok(echo(&head.method, &head.uri, &head.headers, &body)),
        ["variable", name] => variables::get(name).await.map_err(|error| format!("{error:?}")),
        ["clock"] => {
            Ok(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string())
        }
        ["random"] => Ok(format!("{:016x}", spin_sdk::wasip3::random::random::get_random_u64())),
        ["sql", label] => sql(label, &body).await,
        ["kv", operation, label, key] => kv(operation, label, key, &body).await,
        ["cas", operation, label, key] => cas(operation, label, key, &body),
        ["redis", command] => redis(command, &body).await,
        ["served"] => Ok(served()),
        ["meet", milliseconds] => meet(milliseconds).await,
        ["call"] => call(&body).await,
        ["file"] => std::fs::read_to_string(&body).map_err(|error| error.to_string()),
        ["write"] => {
            std::fs::write(&body, "x").map(|()| "written".to_owned()).map_err(|error| error.to_string())
        }
        ["environment", name] => std::env::var(name).map_err(|error| error.to_string()),
        ["log"] => {
            println!("out: {body}");
            eprintln!("err: {body}");
            Ok("logged".to_owned())
        }
        ["trap"] => panic!("the test asked for it"),
        _ => Err("no such path".to_owned()),
    };
    let (status, text) = match answer {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-length", text.len().into());
    (status, headers, text)
}

fn echo(
    method: &spin_sdk::http::Method,
    uri: &spin_sdk::http::Uri,
    headers: &HeaderMap,
    body: &str,
) -> String {
    let mut text = format!("{method} {uri}\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    format!("{text}\n{body}")
}

/// Runs the lines of `script` on one connection; `@sleep 50` waits, `@changes` and `@rowid` ask the connection.
async fn sql(label: &str, script: &str) -> Result<String, String> {
    let text = |error: sqlite::Error| format!("{error:?}");
    let connection = sqlite::Connection::open(label).await.map_err(text)?;
    let mut output = String::new();
    for line in script.lines() {
        if let Some(milliseconds) = line.strip_prefix("@sleep ") {
            sleep(milliseconds.parse().unwrap_or(0)).await;
        } else if line == "@changes" {
            output.push_str(&format!("{}\n", connection.changes().await));
        } else if line == "@rowid" {
            output.push_str(&format!("{}\n", connection.last_insert_rowid().await));
        } else {
            let (statement, parameters) = line.split_once(" <- ").unwrap_or((line, ""));
            let parameters = parameters.split(',').filter(|value| !value.is_empty()).map(Value::from);
            let rows = connection.execute(statement, parameters).await.map_err(text)?;
            for row in rows.collect().await.map_err(text)? {
                let values: Vec<String> = row.values.iter().map(show).collect();
                output.push_str(&format!("{}\n", values.join("|")));
            }
        }
    }
    Ok(output)
}

fn show(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("x{bytes:02x?}"),
        Value::Null => "null".to_owned(),
    }
}

async fn kv(operation: &str, label: &str, key: &str, value: &str) -> Result<String, String> {
    let text = |error: key_value::Error| format!("{error:?}");
    let store = key_value::Store::open(label).await.map_err(text)?;
    match operation {
        "get" => store.get(key).await.map_err(text).map(|value| {
            value.map_or("none".to_owned(), |value| String::from_utf8_lossy(&value).into_owned())
        }),
        "set" => store.set(key, value).await.map_err(text).map(|()| "set".to_owned()),
        "delete" => store.delete(key).await.map_err(text).map(|()| "deleted".to_owned()),
        "exists" => store.exists(key).await.map_err(text).map(|exists| exists.to_string()),
        "keys" => store.get_keys().await.collect().await.map_err(text).map(|keys| keys.join(",")),
        _ => Err("no such operation".to_owned()),
    }
}

/// The atomics of `wasi:keyvalue`; `race` opens two swaps on what is there and lets both swap.
fn cas(operation: &str, label: &str, key: &str, value: &str) -> Result<String, String> {
    let text = |error: store::Error| format!("{error:?}");
    let bucket = store::open(label).map_err(text)?;
    if operation == "increment" {
        return atomics::increment(&bucket, key, value.parse().unwrap_or(1))
            .map_err(text)
            .map(|sum| sum.to_string());
    }
    let swaps =
        [atomics::Cas::new(&bucket, key).map_err(text)?, atomics::Cas::new(&bucket, key).map_err(text)?];
    for swap in &swaps {
        swap.current().map_err(text)?;
    }
    let outcomes = swaps.into_iter().map(|swap| match atomics::swap(swap, value.as_bytes()) {
        Ok(()) => "won",
        Err(atomics::CasError::CasFailed(_)) => "lost",
        Err(atomics::CasError::StoreError(_)) => "failed",
    });
    Ok(outcomes.collect::<Vec<_>>().join(","))
}

/// Sends `command` to the server named in the first line, with the other lines as its arguments.
async fn redis(command: &str, lines: &str) -> Result<String, String> {
    let text = |error: redis::Error| format!("{error:?}");
    let mut lines = lines.lines();
    let connection = redis::Connection::open(lines.next().unwrap_or("")).await.map_err(text)?;
    let arguments: Vec<String> = lines.map(str::to_owned).collect();
    let first = arguments.first().cloned().unwrap_or_default();
    match command {
        "incr" => connection.incr(first).await.map_err(text).map(|sum| sum.to_string()),
        "sadd" => connection
            .sadd(first, arguments.get(1..).unwrap_or_default())
            .await
            .map_err(text)
            .map(|added| added.to_string()),
        _ => {
            let arguments =
                arguments.into_iter().map(|argument| redis::RedisParameter::Binary(argument.into_bytes()));
            let results = connection.execute(command, arguments.collect::<Vec<_>>()).await.map_err(text)?;
            Ok(results.iter().map(|result| format!("{result:?}")).collect::<Vec<_>>().join(" "))
        }
    }
}

/// A name of this instance, and how many requests to this path it has served.
fn served() -> String {
    static NAME: OnceLock<u64> = OnceLock::new();
    static SERVED: AtomicU32 = AtomicU32::new(0);
    let name = NAME.get_or_init(spin_sdk::wasip3::random::random::get_random_u64);
    format!("{name:x} {}", SERVED.fetch_add(1, Ordering::SeqCst) + 1)
}

/// Waits inside, and tells how many requests of this instance were inside at once at the most.
async fn meet(milliseconds: &str) -> Result<String, String> {
    let inside = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
    INSIDE_MAX.fetch_max(inside, Ordering::SeqCst);
    sleep(milliseconds.parse().unwrap_or(0)).await;
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    Ok(INSIDE_MAX.load(Ordering::SeqCst).to_string())
}

async fn call(url: &str) -> Result<String, String> {
    let reply = spin_sdk::http::get(url).await.map_err(|error| format!("{error:?}"))?;
    let status = reply.status();
    let body = reply.into_body().bytes().await.map_err(|error| format!("{error:?}"))?;
    Ok(format!("{}\n{}", status.as_u16(), String::from_utf8_lossy(&body)))
}

async fn sleep(milliseconds: u64) {
    spin_sdk::wasip3::clocks::monotonic_clock::wait_for(Duration::from_millis(milliseconds).as_nanos() as u64).await;
}
