//! The driver against clients that do not read, in time that passes by itself.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

use super::next_request::{Arrival, HeadTimeouts};
use super::stream::ClientStream;
use crate::config::HeadLimits;
use crate::downstream::connection::{ClientConnection, Initiator};
use crate::downstream::deadline::{Overdue, WRITE_IDLE};
use crate::downstream::exchange::Exchange;
use crate::downstream::registry::Connections;

const LIMITS: HeadLimits = HeadLimits { request_line: 8192, request_headers: 32768, request_header_count: 100 };
const TIMEOUTS: HeadTimeouts = HeadTimeouts { idle: Duration::from_secs(10), head: Duration::from_secs(5) };
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
/// More than is gathered and fits into the pipe to the client.
const BODY: &[u8] = &[b'x'; 100_000];

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

/// A connection, its client's end, and the table it is registered in.
fn connect() -> (ClientStream, DuplexStream, Arc<Connections>) {
    let (client, server) = duplex(1024);
    let connections = Arc::new(Connections::default());
    (ClientStream::new(Box::new(server), Initiator::Client, &connections), client, connections)
}

/// Sends a request and has it read, as Pingora reads it.
async fn ask(stream: &mut ClientStream, client: &mut DuplexStream) -> Arc<Exchange> {
    client.write_all(REQUEST).await.unwrap();
    assert_eq!(stream.next_request(TIMEOUTS, &LIMITS).await, Arrival::Request);
    let mut head = vec![0; REQUEST.len()];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head, REQUEST);
    stream.connection().take_exchange().unwrap()
}

/// How long writing the body took, and what it failed with.
async fn write_body(stream: &mut ClientStream) -> (Duration, io::Error) {
    stream.write_all(HEAD).await.unwrap();
    let began = Instant::now();
    let error = stream.write_all(BODY).await.unwrap_err();
    (began.elapsed(), error)
}

fn overdue(error: &io::Error) -> Option<Overdue> {
    error.get_ref()?.downcast_ref().copied()
}

/// Timers tick in milliseconds.
fn is_about(time: Duration, expected: Duration) -> bool {
    (expected..expected + Duration::from_millis(5)).contains(&time)
}

#[test]
fn a_client_that_takes_nothing_is_given_up_for_good() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        ask(&mut stream, &mut client).await;
        let (took, error) = write_body(&mut stream).await;
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(took, WRITE_IDLE), "{took:?}");
        // Another reply would stand in the middle of the first.
        assert_eq!(stream.write_all(HEAD).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_client_that_takes_a_little_now_and_then_has_its_time_each_time() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        ask(&mut stream, &mut client).await;
        let reader = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(WRITE_IDLE - Duration::from_secs(1)).await;
                client.read_exact(&mut [0; 100]).await.unwrap();
            }
            client
        });
        let (took, error) = write_body(&mut stream).await;
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(took, 5 * WRITE_IDLE - Duration::from_secs(4)), "{took:?}");
        drop(reader.await.unwrap());
    });
}

#[test]
fn a_response_that_is_not_taken_ends_with_its_request() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        let exchange = ask(&mut stream, &mut client).await;
        exchange.deadlines.set_request(Some(StdInstant::now() + Duration::from_secs(3)));
        let (took, error) = write_body(&mut stream).await;
        assert_eq!(overdue(&error), Some(Overdue::Delivery));
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn what_is_gathered_and_not_taken_counts_while_the_upstream_is_waited_for() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        ask(&mut stream, &mut client).await;
        stream.write_all(HEAD).await.unwrap();
        stream.write_all(&BODY[..5000]).await.unwrap();
        let began = Instant::now();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(began.elapsed(), WRITE_IDLE));
    });
}

#[test]
fn a_tunnel_whose_client_does_not_read_ends_when_it_was_idle_or_has_to_end() {
    run(async {
        let idle = Duration::from_secs(600);
        let (mut stream, mut client, _connections) = connect();
        ask(&mut stream, &mut client).await.become_tunnel(idle);
        let (took, error) = write_body(&mut stream).await;
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(took, idle), "{took:?}");

        let (mut stream, mut client, connections) = connect();
        ask(&mut stream, &mut client).await.become_tunnel(idle);
        let ending = tokio::spawn(async move {
            sleep(Duration::from_secs(30)).await;
            connections.end_tunnels();
        });
        let (took, error) = write_body(&mut stream).await;
        assert_eq!((overdue(&error), error.kind()), (None, io::ErrorKind::ConnectionAborted));
        assert!(is_about(took, Duration::from_secs(30)), "{took:?}");
        ending.await.unwrap();
    });
}

#[test]
fn a_refused_client_that_does_not_take_its_reply_is_not_waited_for() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        client.write_all(b"NONSENSE\r\n\r\n").await.unwrap();
        assert!(matches!(stream.next_request(TIMEOUTS, &LIMITS).await, Arrival::Malformed(_)));
        let ended = timeout(WRITE_IDLE * 2, stream.close_with(BODY)).await;
        assert!(matches!(overdue(&ended.unwrap().unwrap_err()), Some(Overdue::Write | Overdue::Delivery)));
    });
}

#[test]
fn an_exchange_is_used_again_unless_somebody_holds_it() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        let first = ask(&mut stream, &mut client).await;
        let place = Arc::as_ptr(&first);
        first.become_tunnel(Duration::from_secs(1));
        drop(first);
        let second = ask(&mut stream, &mut client).await;
        assert_eq!(Arc::as_ptr(&second), place);
        assert!(!second.is_tunnel());
        let third = ask(&mut stream, &mut client).await;
        assert!(!Arc::ptr_eq(&second, &third));
    });
}

#[test]
fn a_connection_is_found_by_its_digest_and_gives_its_exchange_once() {
    let (stream, _client, _connections) = connect();
    let digest = pingora_core::protocols::Digest { proxy_digest: stream.digest.clone(), ..Default::default() };
    let found = ClientConnection::of(Some(&digest)).unwrap();
    assert!(std::ptr::eq(&raw const **found, stream.connection()));
    assert!(found.take_exchange().is_none());
    found.begin_exchange(Arc::default());
    assert!(found.take_exchange().is_some() && found.take_exchange().is_none());
}
