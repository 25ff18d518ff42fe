//! The way in: takes a client's connection from Pingora's listener, waits for each
//! of its requests, and hands it to the hooks through Pingora's `HttpProxy`. What
//! is no request is answered here, with its reason and a line in the access log.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};

use super::Proxy;
use super::context::next_request_id;
use super::fail::Cause;
use super::{record, reply};
use crate::downstream::{Arrival, ClientStream, Deadlines, Peer, field};
use crate::observe::AccessLogger;
use crate::runtime::Live;

/// What a listener's connections go to.
pub struct Front {
    http: Arc<HttpProxy<Proxy>>,
    live: Arc<Live>,
    access: Arc<AccessLogger>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

impl Front {
    pub fn new(conf: &Arc<ServerConf>, live: Arc<Live>, access: AccessLogger) -> Self {
        let access = Arc::new(access);
        let proxy = Proxy { live: Arc::clone(&live), access: Arc::clone(&access) };
        Self { http: Arc::new(http_proxy(conf, proxy)), live, access }
    }

    /// `first`: a connection that never spoke is not kept as long as one that did.
    async fn next(&self, client: &mut ClientStream, first: bool) -> Arrival {
        let (deadlines, limits) = {
            let snapshot = self.live.look();
            let head = snapshot.timeouts.request_header;
            let idle = if first { head } else { snapshot.timeouts.keepalive };
            (Deadlines { idle, head }, snapshot.limits.clone())
        };
        client.next_request(deadlines, &limits).await
    }

    async fn refuse(&self, client: &mut ClientStream, cause: Cause) {
        let (at, started, id) = (SystemTime::now(), Instant::now(), next_request_id());
        let errors = self.live.pin();
        let accept = field(client.waiting(), "accept");
        let reply = match reply::refusal(cause, accept, &errors.errors, id) {
            Ok(reply) => reply,
            Err(e) => return log::error!("request {id:016x}: no reply could be made: {e}"),
        };
        let head = client.waiting().to_vec();
        if let Err(e) = client.end_with(&reply).await {
            log::debug!("request {id:016x}: the client did not take the reply: {e}");
        }
        let refused = record::Refused { at, started, id, cause, head: &head, ip: client.peer().and_then(|p| p.ip) };
        record::log_refused(&self.access, &refused, reply.len());
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let mut client = Box::new(ClientStream::new(stream));
        let mut first = true;
        loop {
            let refused = match self.next(&mut client, first).await {
                Arrival::Request => None,
                Arrival::Gone => return None,
                Arrival::TooSlow => Some(Cause::HeadTimeout),
                Arrival::Malformed(malformed) => Some(malformed.into()),
            };
            if let Some(cause) = refused {
                self.refuse(&mut client, cause).await;
                return None;
            }
            if *shutdown.borrow() {
                client.peer().map(Peer::end_after_answer)?;
            }
            let reused = self.http.process_new_http(ServerSession::new_http1(client), shutdown).await?;
            client = reused.consume().0.into_any().downcast().ok()?;
            first = false;
        }
    }
}
