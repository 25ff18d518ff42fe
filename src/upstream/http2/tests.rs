//! A connection against a server in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::server;
use http::{HeaderMap, HeaderValue, Response};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_http::RequestHeader;
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use super::connection::Connection;
use super::shared::Stage;
use super::{Http2Fault, Pool, Session, Turn, begin};
use crate::exchange::Exchange;
use crate::transport::Socket;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

async fn connection(idle_timeout: Option<Duration>) -> (Arc<Connection>, DuplexStream) {
    let (ours, server) = duplex(1 << 20);
    (begin(Socket::from(ours).into(), None, None, idle_timeout, None).await.unwrap(), server)
}

fn request(method: &str, exchange: &Arc<Exchange>) -> Box<RequestHeader> {
    let mut request = RequestHeader::build(method, b"/", None).unwrap();
    request.insert_header("Host", "a.test").unwrap();
    request.extensions_mut().insert(Arc::clone(exchange));
    Box::new(request)
}

/// A server that answers each request with its trailers, as fields.
async fn serve(stream: DuplexStream) {
    let mut connection = server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                body.flow_control().release_capacity(piece.len()).unwrap();
            }
            let mut response = Response::new(());
            *response.headers_mut() = body.trailers().await.unwrap().unwrap_or_default();
            respond.send_response(response, true).unwrap();
        });
    }
}

#[test]
fn trailers_of_a_request_follow_its_body() {
    run(async {
        let (connection, server) = connection(None).await;
        tokio::spawn(serve(server));
        let exchange: Arc<Exchange> = Arc::default();
        let mut session = Session::new(connection.slot().unwrap());
        session.write_request_header(request("POST", &exchange), false).await.unwrap();
        let mut body = session.take_request_body_writer().unwrap();
        body.write_all_buf(&mut Bytes::from_static(b"abc")).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        trailers.insert("host", HeaderValue::from_static("b.test"));
        exchange.upload.set_trailers(trailers);
        exchange.upload.set_trailer_rules(crate::message::trailers::RequestTrailers::default());
        body.finish().await.unwrap();
        session.read_response_header().await.unwrap();
        let head = session.response_header().unwrap();
        assert!(head.headers["x-sum"] == "7" && !head.headers.contains_key("host"), "{head:?}");
    });
}

#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    run(async {
        let (connection, mut server) = connection(None).await;
        let exchange: Arc<Exchange> = Arc::default();
        let mut session = Session::new(connection.slot().unwrap());
        session.write_request_header(request("GET", &exchange), true).await.unwrap();
        let began = Instant::now();
        // Its settings come, and nothing more.
        tokio::io::AsyncWriteExt::write_all(&mut server, &[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        assert!(session.read_response_header().await.is_err());
        assert!((10..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert!(!connection.is_open() && connection.slot().is_none());
    });
}

#[test]
fn a_connection_is_asked_after_a_silence_and_lives_while_it_answers() {
    run(async {
        let (connection, server) = connection(None).await;
        let serving = tokio::spawn(serve(server));
        connection.settled().await.unwrap();
        // Requests may come side by side once the settings are known.
        let slots = [connection.slot().unwrap(), connection.slot().unwrap()];
        drop(slots);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let slot = connection.slot().unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(connection.is_open());
        drop(slot);
        serving.abort();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!connection.is_open());
    });
}

#[test]
fn a_new_connection_gets_one_request_until_the_settings_are_known() {
    run(async {
        let (connection, _server) = connection(None).await;
        let first = connection.slot().unwrap();
        assert!(connection.slot().is_none());
        drop(first);
        assert!(connection.slot().is_some());
        assert_eq!(connection.shared.streams.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn others_wait_for_the_connection_that_one_makes() {
    run(async {
        let pool: Arc<Pool> = Arc::default();
        let Turn::Dial(dialing) = pool.turn(1) else { panic!("nobody dials") };
        let Turn::Wait(waiting) = pool.turn(1) else { panic!("two dial") };
        assert!(matches!(pool.turn(2), Turn::Dial(_)));
        let (ours, server) = duplex(1 << 20);
        tokio::spawn(serve(server));
        let timeout = Some(Duration::from_secs(5));
        let socket = Socket::from(ours).into();
        let connection = begin(socket, Some(pool.lease(1)), Some(dialing), timeout, None).await.unwrap();
        pool.put(1, &connection);
        assert!(waiting.outcome().await);
        assert!(matches!(pool.turn(1), Turn::Take(_)) && pool.take(1).is_some() && pool.take(2).is_none());
        // One that fails has the others make their own.
        let Turn::Dial(dialing) = pool.turn(3) else { panic!("nobody dials") };
        let Turn::Wait(waiting) = pool.turn(3) else { panic!("two dial") };
        drop(dialing);
        assert!(!waiting.outcome().await);
        assert!(matches!(pool.turn(3), Turn::Dial(_)));
        // A connection that has waited for long enough leaves nothing behind.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!((connection.is_open(), *connection.shared.stage.borrow()), (false, Stage::Closed));
        assert!(pool.take(1).is_none() && pool.is_empty());
    });
}

#[test]
fn a_goaway_leaves_what_was_begun_and_refuses_the_rest() {
    run(async {
        let (connection, server) = connection(None).await;
        let mut serving = server::Builder::new().handshake::<_, Bytes>(server).await.unwrap();
        let served = tokio::spawn(async move {
            let (_, mut respond) = serving.accept().await.unwrap().unwrap();
            serving.graceful_shutdown();
            let rest = tokio::spawn(async move { while serving.accept().await.is_some() {} });
            tokio::time::sleep(Duration::from_secs(1)).await;
            respond.send_response(Response::new(()), true).unwrap();
            rest.await.unwrap();
        });
        connection.settled().await.unwrap();
        let exchange: Arc<Exchange> = Arc::default();
        let (first, second) = (connection.slot().unwrap(), connection.slot().unwrap());
        let mut session = Session::new(first);
        session.write_request_header(request("GET", &exchange), true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!connection.is_open());
        let mut late = Session::new(second);
        let refused = late.write_request_header(request("POST", &exchange), true).await.unwrap_err();
        assert_eq!(refused.root_cause().downcast_ref(), Some(&Http2Fault::Unprocessed));
        session.read_response_header().await.unwrap();
        assert_eq!(session.response_header().unwrap().status.as_u16(), 200);
        drop((session, late, connection));
        served.await.unwrap();
    });
}
