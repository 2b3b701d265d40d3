//! The application that is asked, and the token that opens it.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use countersign_core::policy::sandbox;
use hyper::Method;
use serde_json::Value;

use crate::failure::unusable;
use crate::http;
use crate::keys::from_file;

use super::table::member;

/// Where to ask, and as whom.
#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// The application
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    #[command(flatten)]
    token: Token,
    /// Print the application's answer as it is, as JSON
    #[arg(long)]
    json: bool,
}

/// One of the configuration's `admin.tokens`. Never an argument: every process can read those.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct Token {
    /// Take the token from this environment variable
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// Take the token from this file (one line break at its end does not count)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Take the token that the sandbox publishes
    #[arg(long)]
    sandbox: bool,
}

impl Token {
    fn text(&self) -> Result<String> {
        let text = match (&self.token_env, &self.token_file) {
            (Some(name), _) => env::var_os(name)
                .map(std::ffi::OsString::into_encoded_bytes)
                .ok_or_else(|| unusable(format!("the environment variable {name} is not set")))?,
            (None, Some(file)) => from_file(file)?,
            (None, None) if self.sandbox => sandbox::ADMIN_TOKEN.into(),
            (None, None) => {
                return Err(unusable("which token? Name it with --token-env, --token-file or --sandbox"));
            }
        };
        let text =
            String::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        text.ok_or_else(|| unusable("the token has characters that no token has"))
    }
}

impl Connection {
    /// What the application answers to a question.
    ///
    /// # Errors
    /// No token is named, nobody listens, or the application refuses.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, "", Vec::new())
    }

    /// What the application answers to an order.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value> {
        self.ask(Method::POST, path, content_type, body)
    }

    fn ask(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value> {
        let authorization = format!("Bearer {}", self.token.text()?);
        let mut headers = vec![("authorization", authorization.as_str())];
        if !content_type.is_empty() {
            headers.push(("content-type", content_type));
        }
        let url = format!("{}/internal/{path}", self.url.trim_end_matches('/'));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let reply = runtime.block_on(http::send(method, &url, &headers, body))?;
        if reply.status == 200 { Ok(reply.body) } else { Err(refused(reply.status, &reply.body)) }
    }

    /// Prints an answer: for machines as it is, for people by `words`.
    ///
    /// # Errors
    /// None of its own; it is where a command ends.
    pub(super) fn show(&self, answer: &Value, words: impl FnOnce(&Value)) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(answer)?);
        } else {
            words(answer);
        }
        Ok(())
    }
}

/// A refusal with all that the application says of it: the bad lines of a file, each with its number.
fn refused(status: u16, body: &Value) -> anyhow::Error {
    let mut text = match member(body, "error") {
        code if code.is_empty() => format!("the application answers {status}, without a body of ours"),
        code => format!("{code}: {}", member(body, "hint")),
    };
    let lines = body.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for line in lines {
        text.push_str(&format!("\nline {}: {}", member(line, "line"), member(line, "problem")));
    }
    let bad_lines =
        body.get("bad_lines").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    match bad_lines.unwrap_or(0).saturating_sub(lines.len()) {
        0 => {}
        more => text.push_str(&format!("\nand {more} more")),
    }
    anyhow!(text)
}

/// A name that needs no escape in a URL.
pub(super) fn word(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("it has a-z, 0-9, _ and - only".to_owned())
    }
}
