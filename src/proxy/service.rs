//! The service of a worker: takes a client's connection from a listener, waits for each of
//! its requests, and hands it to the hooks through Pingora's `HttpProxy`. Bytes that are
//! no request are answered here, with the reason and a line in the access log.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_timeout::timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Proxy;
use super::context::next_request_id;
use super::http_proxy::{self, OwnHttpProxy};
use super::mirror::Mirrors;
use super::{access_record, reply};
use crate::downstream::http1::{Arrival, Connection, HeadTimeouts, RequestDriver, Slot, field};
use crate::downstream::{Connections, Initiator, Remote, Session};
use crate::exchange::Pace;
use crate::filter::Cause;
use crate::listener::{Accepted, ServeConnection};
use crate::runtime::Live;
use crate::telemetry::{self, Panicked};
use crate::transport::Socket;

/// What a worker's connections go to. Its connections to upstreams are its own.
pub struct HttpService {
    http: Arc<OwnHttpProxy>,
    shared: HttpServiceParts,
}

/// What the services of all workers share.
#[derive(Clone)]
pub struct HttpServiceParts {
    pub conf: Arc<ServerConf>,
    pub live: Arc<Live>,
    pub connections: Arc<Connections>,
    pub mirrors: Arc<Mirrors>,
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HttpServiceParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpServiceParts").finish_non_exhaustive()
    }
}

impl HttpService {
    /// # Errors
    /// In words, when Pingora's part cannot be made.
    pub fn new(shared: HttpServiceParts) -> Result<Self, String> {
        let proxy = Proxy { live: Arc::clone(&shared.live), mirrors: Arc::clone(&shared.mirrors) };
        Ok(Self { http: http_proxy::with_connector(&shared.conf, proxy)?, shared })
    }

    /// `first`: a connection that never spoke is not kept as long as one that did.
    async fn next(&self, client: &mut Connection, first: bool) -> Arrival {
        let (timeouts, pace, limits) = {
            let snapshot = self.shared.live.load();
            let timeouts = &snapshot.timeouts;
            let head = timeouts.request_header;
            let idle = if first { head } else { timeouts.keepalive };
            let pace = Pace { write_idle: timeouts.write_idle, min_rate: timeouts.min_rate };
            (HeadTimeouts { idle, head }, pace, snapshot.limits.clone())
        };
        client.next_request(timeouts, pace, &limits).await
    }

    async fn refuse(&self, client: &mut Connection, cause: Cause) {
        let (at, started, id) = (SystemTime::now(), Instant::now(), next_request_id());
        let snapshot = self.shared.live.pin();
        let accept = field(client.waiting(), "accept");
        let reply = match reply::to_malformed(cause, accept, &snapshot.errors, id) {
            Ok(reply) => reply,
            Err(e) => return log::error!("request {id:016x}: no reply could be made: {e}"),
        };
        let head = client.waiting().to_vec();
        let length = reply.len();
        if let Err(e) = client.close_with(reply.into()).await {
            log::debug!("request {id:016x}: the client did not take the reply: {e}");
        }
        let ip = client.client().ip;
        let malformed = access_record::MalformedRequest { at, started, id, cause, head: &head, ip };
        access_record::log_malformed(&snapshot.access, &malformed, length);
    }
}

impl ServeConnection for HttpService {
    fn serve_connection(
        self: Arc<Self>,
        accepted: Accepted,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (socket, remote) = accepted.into_socket();
        let remote = Remote { address: remote, tls: None, initiator: Initiator::Client };
        let client = Box::new(Connection::new(socket.into(), remote, &self.shared.connections));
        async move {
            match telemetry::contain(pin!(self.serve(client, &shutdown))).await {
                Ok(()) => {}
                Err(panicked) => log_panic(&panicked),
            }
        }
    }
}

async fn close(mut client: Box<Connection>) {
    if let Err(e) = client.close().await {
        log::debug!("closing a client's connection: {e}");
    }
}

fn log_panic(panicked: &Panicked) {
    match panicked.request {
        Some(id) => log::error!("request {id:016x}: {panicked}; its connection is closed"),
        None => log::error!("a client's connection is closed: {panicked}"),
    }
}

impl HttpService {
    /// Sends a request through everything but an upstream, over no network, and reads
    /// the answer: whether this process can serve before clients depend on it.
    ///
    /// # Errors
    /// In words, when there is no answer or a wrong one.
    pub async fn probe(self: &Arc<Self>, shutdown: &ShutdownWatch) -> Result<(), String> {
        const WAIT: Duration = Duration::from_secs(5);
        let answer = async {
            let (mut client, server) = UnixStream::pair()?;
            let socket = Socket::from(server);
            let remote = Remote { address: None, tls: None, initiator: Initiator::Probe };
            let connection = Connection::new(socket.into(), remote, &self.shared.connections);
            let (service, shutdown) = (Arc::clone(self), shutdown.clone());
            let serving = tokio::spawn(async move { service.serve(Box::new(connection), &shutdown).await });
            // Refused for its missing Host, by the hooks.
            client.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await?;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await?;
            serving.abort();
            Ok::<_, std::io::Error>(answer)
        };
        match timeout(WAIT, answer).await {
            Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 400 ") => Ok(()),
            Ok(Ok(answer)) => {
                Err(format!("the probe of this process was answered {:?}", String::from_utf8_lossy(&answer)))
            }
            Ok(Err(e)) => Err(format!("the probe of this process failed: {e}")),
            Err(_) => Err(format!("the probe of this process had no answer within {} s", WAIT.as_secs())),
        }
    }

    async fn serve(&self, mut client: Box<Connection>, shutdown: &ShutdownWatch) {
        let slot = Slot::default();
        let mut first = true;
        loop {
            let refused = match self.next(&mut client, first).await {
                Arrival::Request(head) => {
                    let session = Box::new(Session::new(RequestDriver::new(client, head, slot.clone())));
                    // Pingora gives nothing back; the session does.
                    drop(self.http.process_new_http(ServerSession::new_custom(session), shutdown).await);
                    let Some(back) = slot.take() else { return };
                    (client, first) = (back, false);
                    if client.goes_on() {
                        continue;
                    }
                    return close(client).await;
                }
                Arrival::Gone => return,
                Arrival::TooSlow => Cause::HeadTimeout,
                Arrival::Malformed(malformed) => malformed.into(),
            };
            return self.refuse(&mut client, refused).await;
        }
    }
}
