//! The gate as the service that `ext_authz` asks over gRPC.
//!
//! It sees a request before the upstream does, and never the upstream's answer. So it cannot settle: every claim stands until its
//! lease ends, and then the event counts as never seen. And it cannot tell a sender that an event was accepted, now or before.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use countersign_core::gate::{Body, Claimed, Outcome};
use countersign_core::outcome::Reply;
use prost::Message as _;
use tokio::net::TcpStream;

use crate::check::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpStatus, OkHttpResponse, Status,
};
use crate::native::{Native, Received};
use crate::{fields, grpc};

/// Slots for events: four times the shipped number. Claims that nobody settles are never pushed out, and a ring that is full of
/// them refuses (see `countersign_core::dedup`). This is room for the events of one lease at the pace of this bench.
pub(crate) const SLOTS: u32 = 262_144;

/// `PERMISSION_DENIED`; every code but 0 denies.
const DENIED: i32 = 7;

/// One connection.
///
/// # Errors
/// The connection breaks.
pub(crate) async fn connection(native: Arc<Native>, stream: TcpStream) -> Result<()> {
    grpc::serve(stream, move |request| grpc::framed(&check(&native, request)?)).await
}

fn check(native: &Native, request: Bytes) -> Result<CheckResponse> {
    let attributes = CheckRequest::decode(request)?.attributes.context("a check without attributes")?;
    let http = attributes.request.and_then(|request| request.http).context("a check without a request")?;
    let address = attributes.source.and_then(|peer| peer.address?.socket_address);
    let address = address.and_then(|address| std::str::from_utf8(&address.address).ok()?.parse().ok());
    let sent = http.header_map.context("a check without raw header fields")?.headers;
    let sent = sent.iter().filter(|field| !field.key.starts_with(b":"));
    let fields: Vec<(&[u8], &[u8])> = sent.map(|field| (&*field.key, &*field.raw_value)).collect();
    let received = Received {
        method: &http.method,
        path: &http.path,
        fields: &fields,
        body: Body::Whole(&http.raw_body),
        address,
    };
    Ok(match native.examine(&received) {
        Outcome::Forward(claimed) => allowed(&claimed, &fields, native.client_address(&received)),
        Outcome::Answer(answer) => denied(*answer.reply),
    })
}

/// Hands the event on, with the fields that tell what was verified in place of whatever the sender said.
fn allowed(claimed: &Claimed, sent: &[(&[u8], &[u8])], client: Option<IpAddr>) -> CheckResponse {
    let ours = claimed.headers();
    let mut headers: Vec<_> = ours
        .map(|(name, value)| HeaderValueOption::set(name, Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    headers.extend(
        client.map(|client| HeaderValueOption::set("x-forwarded-for", Bytes::from(client.to_string()))),
    );
    let is_set =
        |name: &[u8]| headers.iter().filter_map(|field| field.header.as_ref()).any(|field| field.key == name);
    let removed =
        sent.iter().map(|(name, _)| *name).filter(|name| fields::is_withheld(name) && !is_set(name));
    let headers_to_remove = removed.map(Bytes::copy_from_slice).collect();
    CheckResponse {
        status: Some(Status { code: 0 }),
        denied_response: None,
        ok_response: Some(OkHttpResponse { headers, headers_to_remove }),
    }
}

/// Answers in the upstream's place.
fn denied(reply: Reply) -> CheckResponse {
    // Envoy writes the length itself.
    let headers = reply.headers.into_iter().filter(|(name, _)| *name != "content-length");
    CheckResponse {
        status: Some(Status { code: DENIED }),
        denied_response: Some(DeniedHttpResponse {
            status: Some(HttpStatus { code: reply.status.into() }),
            headers: headers.map(|(name, value)| HeaderValueOption::set(name, value.into())).collect(),
            body: reply.body.into(),
        }),
        ok_response: None,
    }
}
