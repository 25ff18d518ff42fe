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
use crate::downstream::deadline::{Overdue, Pace};
use crate::downstream::exchange::Exchange;
use crate::downstream::registry::Connections;

const LIMITS: HeadLimits = HeadLimits { request_line: 8192, request_headers: 32768, request_header_count: 100 };
const TIMEOUTS: HeadTimeouts = HeadTimeouts { idle: Duration::from_secs(10), head: Duration::from_secs(5) };
const WRITE_IDLE: Duration = Duration::from_secs(60);
const PACE: Pace = Pace { write_idle: WRITE_IDLE, min_rate: None };
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
    assert_eq!(stream.next_request(TIMEOUTS, PACE, &LIMITS).await, Arrival::Request);
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
        assert!(matches!(stream.next_request(TIMEOUTS, PACE, &LIMITS).await, Arrival::Malformed(_)));
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

/// Has the stream read a request with a body of `length` bytes, of which none was sent yet.
async fn ask_with_body(
    stream: &mut ClientStream,
    client: &mut DuplexStream,
    length: usize,
    pace: Pace,
) -> Arc<Exchange> {
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(stream.next_request(TIMEOUTS, pace, &LIMITS).await, Arrival::Request);
    stream.read_exact(&mut vec![0; request.len()]).await.unwrap();
    let exchange = stream.connection().take_exchange().unwrap();
    exchange.deadlines.set_request_body(Duration::from_secs(60));
    exchange
}

const RATE: Pace = Pace { write_idle: WRITE_IDLE, min_rate: std::num::NonZeroU64::new(1024) };

/// A client that sends or takes `bytes` every ten seconds, until it cannot.
async fn drip(mut client: DuplexStream, bytes: usize, sends: bool) {
    loop {
        sleep(Duration::from_secs(10)).await;
        let mut piece = vec![b'x'; bytes];
        let moved = if sends { client.write_all(&piece).await } else { client.read_exact(&mut piece).await.map(drop) };
        if moved.is_err() {
            return;
        }
    }
}

#[test]
fn a_body_that_drips_is_given_up_and_one_that_is_just_fast_enough_is_not() {
    run(async {
        const HOURS: usize = 4 * 3600;
        let (mut stream, mut client, _connections) = connect();
        ask_with_body(&mut stream, &mut client, HOURS * 1024, RATE).await;
        let (began, sender) = (Instant::now(), tokio::spawn(drip(client, 10 * 1024, true)));
        let mut body = vec![0; HOURS * 1024];
        stream.read_exact(&mut body).await.unwrap();
        assert!(is_about(began.elapsed(), Duration::from_secs(4 * 3600)), "{:?}", began.elapsed());
        sender.abort();

        let (mut stream, mut client, _connections) = connect();
        ask_with_body(&mut stream, &mut client, 100_000, RATE).await;
        let (began, sender) = (Instant::now(), tokio::spawn(drip(client, 100, true)));
        let error = stream.read_exact(&mut body[..100_000]).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestRate));
        assert!((30..32).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        sender.abort();
    });
}

/// What the upstream takes its time for is not the client's, nor what waits for a 100.
#[test]
fn a_client_is_held_to_its_rate_only_while_it_is_waited_for() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        let exchange = ask_with_body(&mut stream, &mut client, 100, RATE).await;
        exchange.await_continue();
        let error = stream.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestBody));

        let (mut stream, mut client, _connections) = connect();
        let exchange = ask_with_body(&mut stream, &mut client, 100, RATE).await;
        for _ in 0..10 {
            client.write_all(b"x").await.unwrap();
            stream.read_exact(&mut [0; 1]).await.unwrap();
            // Two pieces are as many as go to the upstream at a time.
            let held = [exchange.follow("a".into()), exchange.follow("b".into())];
            assert!(timeout(Duration::from_secs(600), stream.read(&mut [0; 1])).await.is_err());
            drop(held);
            assert!(timeout(Duration::from_secs(2), stream.read(&mut [0; 1])).await.is_err());
        }
        let began = Instant::now();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestRate));
        assert!((8..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    });
}

#[test]
fn a_response_that_is_taken_in_drips_is_given_up_and_one_that_is_taken_just_fast_enough_is_not() {
    run(async {
        for (bytes, expected) in [(100, Overdue::ResponseRate), (0, Overdue::ResponseRate)] {
            let (mut stream, mut client, _connections) = connect();
            ask_with_body(&mut stream, &mut client, 0, RATE).await;
            let reader = tokio::spawn(drip(client, bytes, false));
            let (took, error) = write_body(&mut stream).await;
            assert_eq!(overdue(&error), Some(expected));
            // What was taken at once gives some time back.
            assert!((30..50).contains(&took.as_secs()), "{took:?}");
            reader.abort();
        }
        let (mut stream, mut client, _connections) = connect();
        ask_with_body(&mut stream, &mut client, 0, RATE).await;
        let reader = tokio::spawn(drip(client, 10 * 1024, false));
        stream.write_all(HEAD).await.unwrap();
        for _ in 0..100 {
            stream.write_all(BODY).await.unwrap();
        }
        reader.abort();
    });
}

#[test]
fn a_tunnel_has_no_least_rate() {
    run(async {
        let (mut stream, mut client, _connections) = connect();
        ask_with_body(&mut stream, &mut client, 0, RATE).await.become_tunnel(Duration::from_secs(600));
        let reader = tokio::spawn(drip(client, 1, false));
        stream.write_all(HEAD).await.unwrap();
        assert!(timeout(Duration::from_secs(3600), stream.write_all(BODY)).await.is_err());
        reader.abort();
    });
}

#[test]
fn what_is_left_of_a_body_after_the_response_is_waited_for_briefly() {
    run(async {
        for pace in [PACE, RATE] {
            let (mut stream, mut client, _connections) = connect();
            let exchange = ask_with_body(&mut stream, &mut client, 100, pace).await;
            client.write_all(b"x").await.unwrap();
            stream.read_exact(&mut [0; 1]).await.unwrap();
            exchange.end_response();
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            let began = Instant::now();
            let error = stream.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!(overdue(&error), Some(Overdue::RestOfBody));
            assert!(is_about(began.elapsed(), Duration::from_secs(5)), "{:?}", began.elapsed());
        }
        let (mut stream, mut client, _connections) = connect();
        let exchange = ask_with_body(&mut stream, &mut client, 100, RATE).await;
        exchange.await_continue();
        exchange.end_response();
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        let began = Instant::now();
        assert_eq!(overdue(&stream.read(&mut [0; 1]).await.unwrap_err()), Some(Overdue::RestOfBody));
        assert!(began.elapsed() < Duration::from_secs(1));
        // What comes all the same is read.
        client.write_all(b"x").await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 1);
    });
}
