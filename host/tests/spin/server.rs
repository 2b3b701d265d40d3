//! The application over TCP: HTTP/1.1 and h2c as a client sees them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use countersign_host::spin::Serving;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::World;

fn serve(world: &World) -> Serving {
    world.app.serve("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Sends `wire` as it stands and returns what comes back until the peer closes.
fn exchange(address: SocketAddr, wire: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(wire.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_reply_has_its_content_length_and_no_chunks() {
    let world = World::new();
    let serving = serve(&world);
    let answer =
        exchange(serving.address(), "GET /hello/you HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\ncontent-length: 16\r\n") && !answer.contains("transfer-encoding"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nhello /hello/you"), "{answer}");
    world.app.stop(serving);
}

#[test]
fn a_chunked_body_and_pipelined_requests_are_answered_in_order() {
    let world = World::new();
    let serving = serve(&world);
    let first = "POST /sql/default HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nSELECT \r\n2\r\n42\r\n0\r\n\r\n";
    let second = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(serving.address(), &format!("{first}{second}"));
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(answer.find("\r\n\r\n42\n").unwrap() < answer.find("hello /hello").unwrap(), "{answer}");
    world.app.stop(serving);
}

#[test]
fn the_peer_is_the_socket_and_a_missing_host_is_refused() {
    let world = World::new();
    let serving = serve(&world);
    let answer =
        exchange(serving.address(), "GET /echo/acme HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("\nspin-client-addr: 127.0.0.1:"), "{answer}");
    assert!(!answer.contains("\nconnection: close\n"), "the component sees no connection header: {answer}");
    // A real Spin closes the connection without a byte (docs/hosts.md); here the sender hears why.
    let answer = exchange(serving.address(), "GET /echo/acme HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 400 "), "{answer}");
    world.app.stop(serving);
}

#[test]
fn cleartext_http2_works() {
    let world = World::new();
    let serving = serve(&world);
    let address = serving.address();
    let (status, body) = tokio::runtime::Runtime::new().unwrap().block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("http://gate.example/echo/acme")
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let reply = sender.send_request(request).await.unwrap();
        let status = reply.status();
        (status, http_body_util::BodyExt::collect(reply.into_body()).await.unwrap().to_bytes())
    });
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, 200);
    assert!(body.starts_with("GET http://gate.example/echo/acme\n"), "{body}");
    assert!(body.contains("spin-full-url: http://localhost/echo/acme\n"), "Spin's quirk over HTTP/2: {body}");
    world.app.stop(serving);
}

#[test]
fn a_stop_lets_requests_finish_and_accepts_no_more() {
    let world = World::new();
    let serving = serve(&world);
    let address = serving.address();
    thread::scope(|scope| {
        let slow = scope.spawn(|| exchange(address, "GET /meet/700 HTTP/1.1\r\nHost: a\r\n\r\n"));
        let started = Instant::now();
        thread::sleep(Duration::from_millis(300));
        world.app.stop(serving);
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(TcpStream::connect(address).is_err());
        assert!(slow.join().unwrap().starts_with("HTTP/1.1 200 OK"));
    });
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let world = World::new();
    let serving = serve(&world);
    let message = world.app.serve(serving.address()).unwrap_err().to_string();
    assert_eq!(message, format!("cannot listen on {}", serving.address()));
    world.app.stop(serving);
}
