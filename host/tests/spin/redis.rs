//! `spin:redis` against a real server.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use countersign_host::fault::Fault;

use crate::support::World;

/// A server on a port of its own that keeps nothing.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// `None`, with the reason printed, where the machine has no `redis-server`.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments =
            ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let started =
            Command::new("redis-server").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(process) = started else {
            eprintln!("skipped: there is no `redis-server` in PATH (Debian: redis-server)");
            return None;
        };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self { process, address: format!("redis://127.0.0.1:{port}") });
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server does not listen on {port}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn commands_and_scripts_run_on_the_server() {
    let Some(server) = Server::start() else { return };
    let world = World::new();
    let send = |command: &str, arguments: &str| {
        world.post(&format!("/redis/{command}"), &format!("{}\n{arguments}", server.address))
    };
    assert_eq!(send("SET", "a\n1").1, "RedisResult::Status(\"OK\")");
    assert_eq!(send("incr", "a").1, "2");
    assert_eq!(send("GET", "a").1, "RedisResult::Binary([50])");
    assert_eq!(send("GET", "b").1, "RedisResult::Nil");
    assert_eq!(send("sadd", "s\nx\ny").1, "2");
    assert_eq!(
        send("EVAL", "return {1, {'x'}, redis.call('INCR', KEYS[1])}\n1\na").1,
        "RedisResult::Int64(1) RedisResult::Binary([120]) RedisResult::Int64(3)"
    );
    let (status, text) = send("EVAL", "return nonsense(\n0");
    assert!(status == 503 && text.contains("Error compiling script"), "{text}");
    world.faults.plan("redis.execute", 0, Fault::ErrorAfterEffect);
    assert_eq!(send("INCR", "a").0, 503);
    assert_eq!(send("incr", "a").1, "5");
    world.faults.plan("redis.open", 0, Fault::Error);
    assert_eq!(send("GET", "a").0, 503);
}

#[test]
fn a_server_that_is_not_listed_or_not_there_is_an_error() {
    let world = World::new();
    for address in ["redis://192.0.2.1:6379", "rediss://127.0.0.1:6379", "nonsense"] {
        assert_eq!(
            world.post("/redis/GET", &format!("{address}\na")),
            (503, "Error::InvalidAddress".to_owned()),
            "{address}"
        );
    }
    assert!(world.post("/redis/GET", "redis://127.0.0.1:1\na").1.contains("refused"));
}
