//! Sessions and their connection against clients that are slow, silent or gone, in time that
//! passes by itself.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytes::Bytes;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::server::Session as _;
use pingora_http::ResponseHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

use super::connection::Connection;
use super::lent::Slot;
use super::next_request::{Arrival, HeadTimeouts};
use super::request_driver::RequestDriver;
use crate::config::Limits;
use crate::downstream::connection::{Remote, RequestSource};
use crate::downstream::registry::Connections;
use crate::exchange::Exchange;
use crate::exchange::{Overdue, Pace};
use crate::transport::Socket;

type Session = crate::downstream::Session<RequestDriver>;

const LIMITS: Limits =
    Limits { request_line: 8192, request_headers: 32768, request_header_count: 100, ..Limits::NARROW };
const TIMEOUTS: HeadTimeouts = HeadTimeouts { idle: Duration::from_secs(10), head: Duration::from_secs(5) };
const WRITE_IDLE: Duration = Duration::from_secs(60);
const PACE: Pace = Pace { write_idle: WRITE_IDLE, min_rate: None };
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// More than fits into the pipe to the client.
const BODY: &[u8] = &[b'x'; 100_000];

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

/// A connection, its client's end, and the table it is registered in.
fn connect() -> (Box<Connection>, DuplexStream, Arc<Connections>) {
    let (client, server) = duplex(1024);
    let connections = Arc::new(Connections::default());
    (Box::new(Connection::new(Socket::from(server).into(), Remote::plain(None), &connections)), client, connections)
}

/// The exchange of the next request that has arrived, as Pingora and the hooks get it.
async fn accept(mut connection: Box<Connection>, pace: Pace) -> (Session, Arc<Exchange>, Slot) {
    let Arrival::Request(head) = connection.next_request(TIMEOUTS, pace, (&LIMITS).into()).await else {
        panic!("no request");
    };
    let slot = Slot::default();
    let session = Session::new(RequestDriver::new(connection, head, slot.clone()));
    let exchange = RequestSource::of(session.digest()).unwrap().take_exchange().unwrap();
    (session, exchange, slot)
}

/// Sends a request and has it read.
async fn ask(connection: Box<Connection>, client: &mut DuplexStream) -> (Session, Arc<Exchange>, Slot) {
    client.write_all(REQUEST.as_bytes()).await.unwrap();
    accept(connection, PACE).await
}

fn head(status: u16, length: usize) -> Box<ResponseHeader> {
    let mut head = ResponseHeader::build(status, None).unwrap();
    head.insert_header("Content-Length", length).unwrap();
    Box::new(head)
}

async fn write_head(session: &mut Session) {
    session.write_response_header(head(200, 10_000_000), false).await.unwrap();
}

/// How long writing the body took, and what it failed with.
async fn write_body(session: &mut Session) -> (Duration, Box<pingora_core::Error>) {
    write_head(session).await;
    let began = Instant::now();
    let error = session.write_body(BODY.into(), false).await.unwrap_err();
    (began.elapsed(), error)
}

fn io_error(error: &pingora_core::Error) -> &io::Error {
    error.root_cause().downcast_ref().unwrap()
}

fn overdue(error: &pingora_core::Error) -> Option<Overdue> {
    io_error(error).get_ref()?.downcast_ref().copied()
}

/// Timers tick in milliseconds.
fn is_about(time: Duration, expected: Duration) -> bool {
    (expected..expected + Duration::from_millis(5)).contains(&time)
}

#[test]
fn a_client_that_takes_nothing_is_given_up_for_good() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask(connection, &mut client).await;
        let (took, error) = write_body(&mut session).await;
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(took, WRITE_IDLE), "{took:?}");
        // Another reply would stand in the middle of the first.
        let error = session.write_body(BODY.into(), false).await.unwrap_err();
        assert_eq!(io_error(&error).kind(), io::ErrorKind::BrokenPipe);
        let error = session.response_duplex_vec(vec![HttpTask::Body(None, false)]).await.unwrap_err();
        assert_eq!(io_error(&error).kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_client_that_takes_a_little_now_and_then_has_its_time_each_time() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask(connection, &mut client).await;
        let reader = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(WRITE_IDLE - Duration::from_secs(1)).await;
                client.read_exact(&mut [0; 100]).await.unwrap();
            }
            client
        });
        let (took, error) = write_body(&mut session).await;
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(took, 5 * WRITE_IDLE - Duration::from_secs(4)), "{took:?}");
        drop(reader.await.unwrap());
    });
}

#[test]
fn a_response_that_is_not_taken_ends_with_its_request() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, _slot) = ask(connection, &mut client).await;
        exchange.deadlines.set_request(Some(StdInstant::now() + Duration::from_secs(3)));
        let (took, error) = write_body(&mut session).await;
        assert_eq!(overdue(&error), Some(Overdue::Delivery));
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn what_is_written_and_not_taken_counts_while_the_upstream_is_waited_for() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask(connection, &mut client).await;
        write_head(&mut session).await;
        // Pingora gives up a write when the upstream has failed meanwhile.
        let write = session.write_body(BODY[..5000].into(), false);
        assert!(timeout(Duration::from_secs(1), write).await.is_err());
        let began = Instant::now() - Duration::from_secs(1);
        let error = session.read_body_or_idle(true).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(began.elapsed(), WRITE_IDLE));
    });
}

#[test]
fn a_tunnel_whose_client_does_not_read_ends_when_it_was_idle_or_has_to_end() {
    run(async {
        let idle = Duration::from_secs(600);
        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, _slot) = ask(connection, &mut client).await;
        exchange.become_tunnel(idle);
        let (took, error) = write_body(&mut session).await;
        assert_eq!(overdue(&error), Some(Overdue::Write));
        assert!(is_about(took, idle), "{took:?}");

        let (connection, mut client, connections) = connect();
        let (mut session, exchange, _slot) = ask(connection, &mut client).await;
        exchange.become_tunnel(idle);
        let ending = tokio::spawn(async move {
            sleep(Duration::from_secs(30)).await;
            connections.end_tunnels();
        });
        let (took, error) = write_body(&mut session).await;
        assert_eq!(overdue(&error), Some(Overdue::Tunnel));
        assert!(is_about(took, Duration::from_secs(30)), "{took:?}");
        ending.await.unwrap();
    });
}

#[test]
fn a_refused_client_that_does_not_take_its_reply_is_not_waited_for() {
    run(async {
        let (mut connection, mut client, _connections) = connect();
        client.write_all(b"NONSENSE\r\n\r\n").await.unwrap();
        assert!(matches!(connection.next_request(TIMEOUTS, PACE, (&LIMITS).into()).await, Arrival::Malformed(_)));
        let ended = timeout(WRITE_IDLE * 2, connection.end_with(BODY.into())).await;
        let error = ended.unwrap().unwrap_err();
        let overdue = error.get_ref().and_then(|inner| inner.downcast_ref().copied());
        assert!(matches!(overdue, Some(Overdue::Write | Overdue::Delivery)));
    });
}

/// Answers a request whole, so that the connection comes back.
async fn answer(mut session: Session, slot: Slot) -> Box<Connection> {
    let tasks = vec![HttpTask::Header(head(200, 2), false), HttpTask::Body(Some("ok".into()), true)];
    // With a body still to come, Pingora says once more that it is done.
    assert_eq!(session.response_duplex_vec(tasks).await.unwrap(), session.is_body_done());
    assert!(session.is_body_done() || !session.response_duplex_vec(vec![HttpTask::Done]).await.unwrap());
    // Pingora does so twice.
    session.finish().await.unwrap();
    session.finish().await.unwrap();
    assert_eq!(session.body_bytes_sent(), 2);
    drop(session);
    slot.take().expect("the connection comes back")
}

#[test]
fn an_exchange_is_used_again_unless_somebody_holds_it() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (session, first, slot) = ask(connection, &mut client).await;
        let place = Arc::as_ptr(&first);
        first.become_tunnel(Duration::from_secs(1));
        drop(first);
        let (session, second, slot) = ask(answer(session, slot).await, &mut client).await;
        assert_eq!(Arc::as_ptr(&second), place);
        assert!(!second.is_tunnel());
        let (_session, third, _slot) = ask(answer(session, slot).await, &mut client).await;
        assert!(!Arc::ptr_eq(&second, &third));
    });
}

#[test]
fn a_connection_is_found_by_its_digest_and_gives_its_exchange_once() {
    let (connection, _client, _connections) = connect();
    let found = RequestSource::of(Some(connection.digest())).unwrap();
    assert!(std::ptr::eq(&raw const *found.connection, connection.client()));
    assert!(found.take_exchange().is_none());
    found.begin_exchange(Arc::default());
    assert!(found.take_exchange().is_some() && found.take_exchange().is_none());
}

/// A request with a body of `length` bytes, of which none was sent yet.
async fn ask_with_body(
    connection: Box<Connection>,
    client: &mut DuplexStream,
    length: usize,
    pace: Pace,
) -> (Session, Arc<Exchange>, Slot) {
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let (session, exchange, slot) = accept(connection, pace).await;
    exchange.deadlines.set_request_body(Duration::from_secs(60));
    (session, exchange, slot)
}

/// Reads so much of a body.
async fn read_body(session: &mut Session, length: usize) -> pingora_core::Result<()> {
    let mut read = 0;
    while read < length {
        read += session.read_body_or_idle(false).await?.map_or(0, |piece| piece.len());
    }
    assert_eq!(read, length);
    Ok(())
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
        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask_with_body(connection, &mut client, HOURS * 1024, RATE).await;
        let (began, sender) = (Instant::now(), tokio::spawn(drip(client, 10 * 1024, true)));
        read_body(&mut session, HOURS * 1024).await.unwrap();
        assert!(is_about(began.elapsed(), Duration::from_secs(4 * 3600)), "{:?}", began.elapsed());
        sender.abort();

        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask_with_body(connection, &mut client, 100_000, RATE).await;
        let (began, sender) = (Instant::now(), tokio::spawn(drip(client, 100, true)));
        let error = read_body(&mut session, 100_000).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestRate));
        assert!((30..32).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        sender.abort();
    });
}

/// What the upstream takes its time for is not the client's, nor what waits for a 100.
#[test]
fn a_client_is_held_to_its_rate_only_while_it_is_waited_for() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, _slot) = ask_with_body(connection, &mut client, 100, RATE).await;
        exchange.await_continue();
        let error = read_body(&mut session, 100).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestBody));

        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, _slot) = ask_with_body(connection, &mut client, 100, RATE).await;
        for _ in 0..10 {
            client.write_all(b"x").await.unwrap();
            read_body(&mut session, 1).await.unwrap();
            // The upstream has as much to take as may wait for it.
            exchange.upload.set_waiting(1 << 20);
            assert!(timeout(Duration::from_secs(600), read_body(&mut session, 1)).await.is_err());
            exchange.upload.set_waiting(0);
            assert!(timeout(Duration::from_secs(2), read_body(&mut session, 1)).await.is_err());
        }
        let began = Instant::now();
        let error = read_body(&mut session, 1).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestRate));
        assert!((8..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    });
}

#[test]
fn a_response_that_is_taken_in_drips_is_given_up_and_one_that_is_taken_just_fast_enough_is_not() {
    run(async {
        for (bytes, expected) in [(100, Overdue::ResponseRate), (0, Overdue::ResponseRate)] {
            let (connection, mut client, _connections) = connect();
            let (mut session, ..) = ask_with_body(connection, &mut client, 0, RATE).await;
            let reader = tokio::spawn(drip(client, bytes, false));
            let (took, error) = write_body(&mut session).await;
            assert_eq!(overdue(&error), Some(expected));
            // What was taken at once gives some time back.
            assert!((30..50).contains(&took.as_secs()), "{took:?}");
            reader.abort();
        }
        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask_with_body(connection, &mut client, 0, RATE).await;
        let reader = tokio::spawn(drip(client, 10 * 1024, false));
        write_head(&mut session).await;
        for _ in 0..100 {
            session.write_body(BODY.into(), false).await.unwrap();
        }
        reader.abort();
    });
}

#[test]
fn a_tunnel_has_no_least_rate() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, _slot) = ask_with_body(connection, &mut client, 0, RATE).await;
        exchange.become_tunnel(Duration::from_secs(600));
        let reader = tokio::spawn(drip(client, 1, false));
        write_head(&mut session).await;
        assert!(timeout(Duration::from_secs(3600), session.write_body(BODY.into(), false)).await.is_err());
        reader.abort();
    });
}

#[test]
fn what_is_left_of_a_body_after_the_response_is_waited_for_briefly() {
    run(async {
        for pace in [PACE, RATE] {
            let (connection, mut client, _connections) = connect();
            let (mut session, exchange, _slot) = ask_with_body(connection, &mut client, 100, pace).await;
            client.write_all(b"x").await.unwrap();
            read_body(&mut session, 1).await.unwrap();
            exchange.end_response();
            session.write_response_header(head(401, 0), true).await.unwrap();
            let began = Instant::now();
            let error = read_body(&mut session, 1).await.unwrap_err();
            assert_eq!(overdue(&error), Some(Overdue::RestOfBody));
            assert!(is_about(began.elapsed(), Duration::from_secs(5)), "{:?}", began.elapsed());
        }
        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, _slot) = ask_with_body(connection, &mut client, 100, RATE).await;
        exchange.await_continue();
        exchange.end_response();
        session.write_response_header(head(401, 0), true).await.unwrap();
        let began = Instant::now();
        assert_eq!(overdue(&read_body(&mut session, 1).await.unwrap_err()), Some(Overdue::RestOfBody));
        assert!(began.elapsed() < Duration::from_secs(1));
        // What comes all the same is read.
        client.write_all(b"x").await.unwrap();
        read_body(&mut session, 1).await.unwrap();
    });
}

/// What the client gets until it has so much, or the connection ends.
async fn received(client: &mut DuplexStream, end: &str) -> String {
    let mut got = Vec::new();
    while !got.ends_with(end.as_bytes()) || end.is_empty() {
        if client.read_buf(&mut got).await.unwrap() == 0 {
            break;
        }
    }
    String::from_utf8(got).unwrap()
}

#[test]
fn requests_that_came_together_are_answered_one_after_the_other() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let post = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        client.write_all([post, "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"].concat().as_bytes()).await.unwrap();
        let (mut session, _exchange, slot) = accept(connection, PACE).await;
        assert_eq!(session.req_header().raw_path(), b"/first");
        assert!(!session.is_body_empty() && !session.is_body_done());
        assert_eq!(session.read_body_bytes().await.unwrap(), Some(Bytes::from_static(b"ab")));
        assert!(session.is_body_done() && session.read_body_bytes().await.unwrap().is_none());
        let (session, _exchange, slot) = accept(answer(session, slot).await, PACE).await;
        assert_eq!(session.req_header().raw_path(), b"/second");
        drop(answer(session, slot).await);
        let got = received(&mut client, "").await;
        assert_eq!(got.matches("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").count(), 2);
        assert_eq!(got.matches("Connection: keep-alive\r\n\r\nok").count(), 2);
    });
}

/// What nobody has read of a body is no request; nor does the connection go on without it.
#[test]
fn the_rest_of_a_body_is_read_before_the_next_request() {
    run(async {
        for sends_rest in [true, false] {
            let (connection, mut client, _connections) = connect();
            let (session, exchange, slot) = ask_with_body(connection, &mut client, 5, PACE).await;
            exchange.end_response();
            let mut connection = answer(session, slot).await;
            if sends_rest {
                client.write_all(["hello", REQUEST].concat().as_bytes()).await.unwrap();
            }
            let began = Instant::now();
            assert!(!connection.is_body_read());
            assert_eq!(connection.drain_body().await, sends_rest);
            match connection.next_request(TIMEOUTS, PACE, (&LIMITS).into()).await {
                Arrival::Request(head) => assert!(sends_rest && head.request.raw_path() == b"/"),
                Arrival::Gone => assert!(!sends_rest && is_about(began.elapsed(), Duration::from_secs(5))),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_connection_comes_back_only_after_a_whole_response() {
    run(async {
        let chunked = || {
            let mut head = ResponseHeader::build(200, None).unwrap();
            head.insert_header("Transfer-Encoding", "chunked").unwrap();
            HttpTask::Header(Box::new(head), false)
        };
        let to_end = || HttpTask::Header(Box::new(ResponseHeader::build(200, None).unwrap()), false);
        let piece = |end| HttpTask::Body(Some("part".into()), end);
        let failed = || HttpTask::Failed(pingora_core::Error::new_up(pingora_core::ErrorType::ReadError));
        for (tasks, comes_back, closes, end) in [
            (vec![chunked(), piece(true)], true, false, "4\r\npart\r\n0\r\n\r\n"),
            (vec![chunked(), piece(false), HttpTask::Done], true, false, "4\r\npart\r\n0\r\n\r\n"),
            (vec![chunked(), piece(false), failed()], false, false, "4\r\npart\r\n"),
            (vec![HttpTask::Header(head(200, 5), false), piece(true)], false, false, "\r\n\r\npart"),
            (vec![to_end(), piece(true)], false, true, "\r\n\r\npart"),
            (vec![chunked(), piece(false), HttpTask::Trailer(None)], true, false, "4\r\npart\r\n0\r\n\r\n"),
        ] {
            let (connection, mut client, _connections) = connect();
            let (mut session, _exchange, slot) = ask(connection, &mut client).await;
            let written = session.response_duplex_vec(tasks).await;
            if written.is_ok() {
                session.finish().await.unwrap();
            }
            drop(session);
            assert_eq!(slot.take().is_some_and(|connection| connection.goes_on()), comes_back, "{end}");
            let got = received(&mut client, "").await;
            assert!(got.ends_with(end), "{got}");
            assert_eq!(got.contains("Connection: close"), closes, "{got}");
        }
    });
}

#[test]
fn hooks_and_the_process_can_end_a_connection_until_the_response_begins() {
    run(async {
        for late in [false, true] {
            let (connection, mut client, connections) = connect();
            let (mut session, exchange, slot) = ask(connection, &mut client).await;
            let end = || if late { connections.close_after_responses() } else { exchange.close_connection() };
            end();
            session.write_response_header(head(204, 0), true).await.unwrap();
            session.finish().await.unwrap();
            drop(session);
            assert!(!slot.take().unwrap().goes_on());
            assert!(received(&mut client, "").await.contains("\r\nConnection: close\r\n"));
        }
    });
}

#[test]
fn a_client_that_closed_its_direction_gets_its_response() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, exchange, slot) = ask(connection, &mut client).await;
        exchange.begin_attempt();
        client.shutdown().await.unwrap();
        assert!(timeout(Duration::from_secs(4), session.read_body_or_idle(true)).await.is_err());
        session.response_duplex_vec(vec![HttpTask::Header(head(200, 2), false)]).await.unwrap();
        // Once the response has begun, the writes tell whether it is there.
        assert!(timeout(Duration::from_secs(3600), session.read_body_or_idle(true)).await.is_err());
        session.response_duplex_vec(vec![HttpTask::Body(Some("ok".into()), true)]).await.unwrap();
        session.finish().await.unwrap();
        drop(session);
        let mut connection = slot.take().unwrap();
        assert!(matches!(connection.next_request(TIMEOUTS, PACE, (&LIMITS).into()).await, Arrival::Gone));
        assert!(received(&mut client, "ok").await.ends_with("\r\n\r\nok"));
    });
}

#[test]
fn a_client_that_may_have_left_is_not_waited_for_without_end() {
    run(async {
        let post = |field: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{body}");
        let chunks = |body: &str| post("Transfer-Encoding: chunked", body);
        for (request, stream, seconds) in [
            (REQUEST.to_owned(), false, 5),
            (REQUEST.to_owned(), true, 0),
            (post("Content-Length: 4", "body"), false, 5),
            (post("Content-Length: 5", "body"), false, 0),
            (chunks("4\r\nbody\r\n0\r\n\r\n"), false, 5),
            (chunks("4\r\nbody\r\n"), false, 0),
        ] {
            let (connection, mut client, _connections) = connect();
            client.write_all(request.as_bytes()).await.unwrap();
            let (mut session, exchange, _slot) = accept(connection, PACE).await;
            if stream {
                exchange.become_tunnel(Duration::from_secs(600));
            }
            drop(client);
            let began = Instant::now();
            let error = session.read_body_or_idle(true).await.unwrap_err();
            assert_eq!(io_error(&error).kind(), io::ErrorKind::UnexpectedEof);
            assert!(is_about(began.elapsed(), Duration::from_secs(seconds)), "{:?}", began.elapsed());
        }
    });
}

#[test]
fn a_tunnel_ends_when_it_is_silent_and_keeps_what_came_before_it_began() {
    run(async {
        let idle = Duration::from_secs(600);
        let (connection, mut client, _connections) = connect();
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly";
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut session, exchange, slot) = accept(connection, PACE).await;
        assert!(session.is_upgrade_req() && session.is_body_empty() && !session.was_upgraded());
        exchange.become_tunnel(idle);
        exchange.deadlines.set_request_body(idle);
        let switching = Box::new(ResponseHeader::build(101, None).unwrap());
        session.response_duplex_vec(vec![HttpTask::Header(switching, false)]).await.unwrap();
        assert!(session.was_upgraded() && !session.is_body_done());
        assert_eq!(session.read_body_or_idle(false).await.unwrap(), Some(Bytes::from_static(b"early")));
        let began = Instant::now();
        let error = session.read_body_or_idle(false).await.unwrap_err();
        assert_eq!(overdue(&error), Some(Overdue::RequestBody));
        assert!(is_about(began.elapsed(), idle), "{:?}", began.elapsed());
        session.response_duplex_vec(vec![HttpTask::UpgradedBody(Some("bye".into()), true)]).await.unwrap();
        assert!(received(&mut client, "").await.ends_with("HTTP/1.1 101 Switching Protocols\r\n\r\nbye"));
        // The end of one direction is not that of the other.
        client.write_all(b"late").await.unwrap();
        assert_eq!(session.read_body_or_idle(false).await.unwrap(), Some(Bytes::from_static(b"late")));
        drop(client);
        assert_eq!((session.read_body_or_idle(false).await.unwrap(), session.is_body_done()), (None, true));
        drop(session);
        assert!(slot.take().is_none());
    });
}

#[test]
fn an_interim_response_is_none_for_a_client_of_http_1_0() {
    run(async {
        for (version, expected) in [("1.0", 0), ("1.1", 1)] {
            let (connection, mut client, _connections) = connect();
            client.write_all(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
            let (mut session, _exchange, slot) = accept(connection, PACE).await;
            let early = Box::new(ResponseHeader::build(103, None).unwrap());
            session.write_response_header(early, false).await.unwrap();
            session.write_response_header(head(200, 0), true).await.unwrap();
            drop((session, slot));
            let got = received(&mut client, "").await;
            assert_eq!(got.matches("HTTP/1.1 103 Early Hints\r\n\r\n").count(), expected, "{got}");
            assert_eq!(got.matches("HTTP/1.1 200 OK\r\n").count(), 1, "{got}");
        }
    });
}

#[test]
fn a_body_is_kept_for_a_retry_when_that_is_asked_for() {
    run(async {
        let (connection, mut client, _connections) = connect();
        let (mut session, ..) = ask_with_body(connection, &mut client, 4, PACE).await;
        session.enable_retry_buffering();
        for piece in ["ab", "cd"] {
            client.write_all(piece.as_bytes()).await.unwrap();
            read_body(&mut session, 2).await.unwrap();
            // Each attempt asks.
            session.enable_retry_buffering();
        }
        assert_eq!(session.get_retry_buffer(), Some(Bytes::from_static(b"abcd")));
        assert!(!session.retry_buffer_truncated() && session.is_body_done() && !session.is_body_empty());
    });
}
