//! The streams of an HTTP/2 connection, each in a task of its own. What is no request is
//! answered here, with the reason and a line in the access log.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;

use super::streams::Streams;
use super::{HttpService, log_panic, pace};
use crate::downstream::http1::field;
use crate::downstream::http2::{Arrival, Connection, RefusedStream, StreamDriver, Timeouts};
use crate::downstream::{ClientConnection, Entering, Remote, Session};
use crate::filter::Cause;
use crate::message::request_id::RequestId;
use crate::proxy::{access_record, finished, reply};
use crate::runtime::Snapshot;
use crate::telemetry;
use crate::transport::Transport;

impl HttpService {
    /// `entering` counts the connection until its preface is there.
    pub(super) async fn serve_http2(
        self: Arc<Self>,
        stream: Transport,
        remote: Remote,
        entering: Entering,
        shutdown: ShutdownWatch,
    ) {
        let is_excess = remote.excess.is_some();
        let (timeouts, limits) = {
            let snapshot = self.shared.live.load();
            (timeouts(&snapshot, is_excess), snapshot.limits.clone())
        };
        let mut connection = match Connection::accept(stream, remote, &self.shared.connections, timeouts, &limits).await
        {
            Ok(connection) => connection,
            Err(e) => return log::debug!("a client's HTTP/2 connection did not begin: {e}"),
        };
        drop(entering);
        let metrics = Arc::clone(&connection.client().metrics);
        metrics.http2_connection();
        let mut streams = Streams::default();
        loop {
            // The limits of a connection stay; those of its requests may change.
            let (timeouts, pace, limits) = {
                let snapshot = self.shared.live.load();
                (self::timeouts(&snapshot, is_excess), pace(&snapshot), snapshot.limits.clone())
            };
            let arrival = connection.next(timeouts, pace, &limits).await;
            arrival.iter().for_each(|_| metrics.http2_stream());
            match arrival {
                Some(Arrival::Request(stream)) => {
                    let answered = stream.answered();
                    let serving = tokio::spawn(Arc::clone(&self).serve_stream(stream, shutdown.clone()));
                    streams.add(serving.abort_handle(), answered);
                }
                Some(Arrival::Refused(refused)) => self.refuse_stream(refused, connection.client()),
                None => break,
            }
        }
        drop(connection);
        streams.end().await;
    }

    async fn serve_stream(self: Arc<Self>, stream: Box<StreamDriver>, shutdown: ShutdownWatch) {
        let session = ServerSession::new_custom(Box::new(Session::new(*stream)));
        let serving = pin!(self.http.process_new_http(session, &shutdown));
        if let Err(panicked) = telemetry::contain(serving).await {
            log_panic(&panicked);
        }
    }

    fn refuse_stream(&self, refused: RefusedStream, client: &ClientConnection) {
        let (at, started) = (SystemTime::now(), Instant::now());
        let id = RequestId::new(at);
        let snapshot = self.shared.live.pin();
        let (cause, head) = (Cause::from(refused.malformed), refused.head.clone());
        let length = if refused.is_malformed() {
            refused.reset();
            0
        } else {
            let (reply, body) = match reply::to_refused_stream(cause, field(&head, "accept"), &snapshot.errors, &id) {
                Ok(reply) => reply,
                Err(e) => return log::error!("request {id}: no reply could be made: {e}"),
            };
            let length = body.len();
            if let Err(e) = refused.reply(reply, body) {
                log::debug!("request {id}: the client did not take the reply: {e}");
            }
            length
        };
        let malformed =
            access_record::MalformedRequest { at, started, id: &id, cause, head: &head, connection: client };
        finished::tell_malformed(&snapshot, &malformed, length);
    }
}

/// `is_excess`: the connection ends as soon as its first requests are answered.
fn timeouts(snapshot: &Snapshot, is_excess: bool) -> Timeouts {
    let timeouts = &snapshot.timeouts;
    let idle = if is_excess { Duration::ZERO } else { timeouts.h2_idle };
    Timeouts { head: timeouts.request_header, idle, write_idle: timeouts.write_idle }
}
