//! The requests of an HTTP/1 connection, one after the other. Bytes that are no request are
//! answered here, with the reason and a line in the access log.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;

use super::{HttpService, pace};
use crate::downstream::Session;
use crate::downstream::http1::{Arrival, Connection, HeadTimeouts, RequestDriver, Slot, field};
use crate::filter::Cause;
use crate::message::request_id::RequestId;
use crate::proxy::{access_record, finished, reply};

impl HttpService {
    /// Serves one request after the other. What waits for the next one, maybe for long, keeps no place for the last
    /// steps, which are boxed.
    #[allow(clippy::manual_async_fn)] // an async function would hold what it was given twice
    pub(super) fn serve_http1(
        self: Arc<Self>,
        mut client: Box<Connection>,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> {
        async move {
            let slot = Slot::default();
            let mut first = true;
            loop {
                let refused = match self.next(&mut client, first).await {
                    Arrival::Request(head) => {
                        let session = Box::new(Session::new(RequestDriver::new(client, head, slot.clone())));
                        // Pingora gives nothing back; the session does.
                        drop(self.http.process_new_http(ServerSession::new_custom(session), &shutdown).await);
                        let Some(back) = slot.take() else { return };
                        (client, first) = (back, false);
                        if !client.goes_on() {
                            return Box::pin(close(client)).await;
                        }
                        if !client.is_body_read() && !Box::pin(client.drain_body()).await {
                            return;
                        }
                        continue;
                    }
                    Arrival::Gone => return,
                    Arrival::TooSlow => Cause::HeadTimeout,
                    Arrival::Malformed(malformed) => malformed.into(),
                };
                return Box::pin(self.refuse(&mut client, refused)).await;
            }
        }
    }

    /// `first`: a connection that never spoke is not kept as long as one that did.
    fn next(&self, client: &mut Connection, first: bool) -> impl Future<Output = Arrival> {
        let snapshot = self.shared.live.load();
        let head = snapshot.timeouts.request_header;
        let idle = if first { head } else { snapshot.timeouts.keepalive };
        client.next_request(HeadTimeouts { idle, head }, pace(&snapshot), (&snapshot.limits).into())
    }

    async fn refuse(&self, client: &mut Connection, cause: Cause) {
        let (at, started) = (SystemTime::now(), Instant::now());
        let id = RequestId::new(at);
        let snapshot = self.shared.live.pin();
        let accept = field(client.waiting(), "accept");
        let reply = match reply::to_malformed(cause, accept, &snapshot.errors, &id) {
            Ok(reply) => reply,
            Err(e) => return log::error!("request {id}: no reply could be made: {e}"),
        };
        let head = client.waiting().to_vec();
        let length = reply.len();
        let taken = client.end_with(reply.into()).await;
        let malformed =
            access_record::MalformedRequest { at, started, id: &id, cause, head: &head, connection: client.client() };
        finished::tell_malformed(&snapshot, &malformed, length);
        let closed = match taken {
            Ok(()) => client.linger().await,
            Err(e) => Err(e),
        };
        if let Err(e) = closed {
            log::debug!("request {id}: the client did not take the reply: {e}");
        }
    }
}

async fn close(mut client: Box<Connection>) {
    if let Err(e) = client.close().await {
        log::debug!("closing a client's connection: {e}");
    }
}
