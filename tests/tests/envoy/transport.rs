//! Senders that are slow, odd, or speak HTTP/2.

use std::net::Shutdown;
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};

use crate::sender::{Postback, deposit};
use crate::world::{World, accepted, refused};

#[test]
fn a_body_that_comes_slowly_in_chunks_is_verified_whole() {
    let world = World::start();
    let mut client = world.envoy.connect(0).unwrap();
    for piece in deposit("evt_1").chunks(40) {
        world.saw(&[]);
        client.send(&piece).unwrap();
        sleep(Duration::from_millis(100));
    }
    accepted(&client.response().unwrap(), false);
    world.saw(&["evt_1"]);
}

#[test]
fn the_first_sender_of_all_may_take_its_time() {
    let world = World::start();
    let event = deposit("evt_1");
    let mut client = world.envoy.connect(0).unwrap();
    client.send(&event.head(&format!("content-length: {}", event.body.len()))).unwrap();
    sleep(Duration::from_millis(2_500));
    client.send(&event.body).unwrap();
    accepted(&client.response().unwrap(), false);
    assert!(!world.envoy.log().unwrap().contains("allow_on_headers_stop_iteration"));
    world.saw(&["evt_1"]);
}

#[test]
fn trailers_end_a_body_too() {
    let world = World::start();
    let mut client = world.envoy.connect(0).unwrap();
    let mut pieces = deposit("evt_1").chunks(4096);
    *pieces.last_mut().unwrap() = b"0\r\nx-trailer: 1\r\n\r\n".to_vec();
    for piece in pieces {
        client.send(&piece).unwrap();
    }
    accepted(&client.response().unwrap(), false);
    world.saw(&["evt_1"]);
}

#[test]
fn expect_100_continue_is_served() {
    let world = World::start();
    let event = deposit("evt_1").with("expect", b"100-continue");
    let mut client = world.envoy.connect(0).unwrap();
    client.send(&event.head(&format!("content-length: {}", event.body.len()))).unwrap();
    sleep(Duration::from_millis(100));
    client.send(&event.body).unwrap();
    let response = client.response().unwrap();
    assert_eq!(response.interim, 1);
    accepted(&response, false);
    world.saw(&["evt_1"]);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let world = World::start();
    let event = deposit("evt_1");
    let mut client = world.envoy.connect(0).unwrap();
    // In pairs: Envoy cuts off a connection with more than two answers unsent, whoever made them.
    client.send(&[event.bytes(), deposit("evt_2").signed("not the key").bytes()].concat()).unwrap();
    accepted(&client.response().unwrap(), false);
    refused(&client.response().unwrap(), 403, "signature_invalid");
    client.send(&[deposit("evt_3").bytes(), event.bytes()].concat()).unwrap();
    accepted(&client.response().unwrap(), false);
    accepted(&client.response().unwrap(), true);
    world.saw(&["evt_1", "evt_3"]);
}

#[test]
fn a_sender_that_hangs_up_in_its_body_leaves_nothing_behind() {
    let world = World::start();
    let event = deposit("evt_1");
    for ends_in_order in [true, false] {
        let mut client = world.envoy.connect(0).unwrap();
        client.send(&event.head(&format!("content-length: {}", event.body.len()))).unwrap();
        client.send(&event.body[..event.body.len() / 2]).unwrap();
        sleep(Duration::from_millis(100));
        if ends_in_order {
            client.stream().shutdown(Shutdown::Both).unwrap();
        } else {
            socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
    }
    sleep(Duration::from_millis(200));
    world.saw(&[]);
    // Nothing was claimed, so the retry is the first.
    accepted(&world.send(&event), false);
    world.saw(&["evt_1"]);
}

#[test]
fn http_2_streams_are_served_side_by_side() {
    let world = World::start();
    let bent = deposit("evt_2").signed("not the key");
    let mut full = deposit("evt_3");
    full.body.resize(65_536, b' ');
    let mut long = deposit("evt_4");
    long.body.resize(90_000, b' ');
    let answers = over_http_2(&world, &[deposit("evt_1"), bent, full, long]);
    let of = |index: usize| -> (u16, serde_json::Value) {
        let (status, body) = &answers[index];
        let json = serde_json::from_slice(body);
        (*status, json.unwrap_or_else(|_| panic!("{status} {}", String::from_utf8_lossy(body))))
    };
    assert_eq!(of(0).0, 200);
    assert_eq!(of(0).1["idempotent"], false);
    assert_eq!((of(1).0, of(1).1["error"].as_str()), (403, Some("signature_invalid")));
    assert_eq!(of(2).0, 200);
    assert_eq!((of(3).0, of(3).1["error"].as_str()), (413, Some("payload_too_large")));
    let mut seen: Vec<_> = world.canary.take().into_iter().map(|seen| seen.body).collect();
    seen.sort_by_key(Vec::len);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].len(), 65_536);
}

/// Sends all at once over one connection without TLS; statuses and bodies in the requests' order.
fn over_http_2(world: &World, postbacks: &[Postback]) -> Vec<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.envoy.address(0)).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut streams = Vec::new();
        for postback in postbacks {
            let mut request = Request::builder()
                .method(Method::POST)
                .version(Version::HTTP_2)
                .uri(format!("http://gate.test{}", postback.path));
            for (name, value) in &postback.headers {
                request = request.header(name, value.as_slice());
            }
            sender = sender.ready().await.unwrap();
            let (response, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
            // A refusal may end the stream before all of the body is taken.
            let _refused_early = body.send_data(Bytes::copy_from_slice(&postback.body), true);
            streams.push((response, body));
        }
        let mut answers = Vec::new();
        for (response, _body) in streams {
            let response = response.await.unwrap();
            let status = response.status().as_u16();
            let mut stream = response.into_body();
            let mut bytes = Vec::new();
            while let Some(piece) = stream.data().await {
                let piece = piece.unwrap();
                stream.flow_control().release_capacity(piece.len()).unwrap();
                bytes.extend_from_slice(&piece);
            }
            answers.push((status, bytes));
        }
        connection.abort();
        answers
    })
}
