//! The service of a worker: takes a client's connection from a listener, and hands each of its
//! requests to the hooks through Pingora's `HttpProxy`.

mod http1;
mod http2;
mod probe;
mod streams;

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_timeout::timeout;

use super::Proxy;
use super::http_proxy::{self, OwnHttpProxy};
use super::mirror::Mirrors;
use crate::downstream::http1::Connection;
use crate::downstream::{Admitted, Connections, Entering, Initiator, Remote};
use crate::exchange::Pace;
use crate::listener::{Accepted, ListenerIndex, Protocol, ServeConnection};
use crate::metrics::OpenConnection;
use crate::runtime::{Live, Snapshot};
use crate::telemetry::{self, Panicked};
use crate::upstream::Connector;

/// For a client whose connection is one too many, to ask and to take its answer.
const EXCESS_LIMIT: Duration = Duration::from_secs(5);

/// Connections of a worker to services that it asks about requests, which wait for the next question.
const MOST_IDLE: usize = 32;

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
        let (live, mirrors) = (Arc::clone(&shared.live), Arc::clone(&shared.mirrors));
        let proxy = Proxy { live, mirrors, asking: Connector::new(MOST_IDLE) };
        Ok(Self { http: http_proxy::with_connector(&shared.conf, proxy)?, shared })
    }

    /// Lets a connection in; `None` where it is not. `Entering` counts it until its protocol is known, and something
    /// else does.
    async fn enter(
        self: Arc<Self>,
        listener: ListenerIndex,
        accepted: Accepted,
        counts: (Admitted, Entering),
        shutdown: ShutdownWatch,
    ) -> Option<Driven> {
        let (socket, address) = accepted.into_socket();
        let entrance = self.shared.live.load().entrances.get(listener).cloned()?;
        let open = entrance.metrics.open();
        let (mut admitted, entering) = counts;
        let is_known = !entrance.expects_proxy_header(address);
        if is_known && !self.count_address(&mut admitted, address) {
            return None;
        }
        // The entrance says why one is not let in.
        let entered = entrance.enter(socket, address, || entering.begin()).await.ok()?;
        if !is_known && !self.count_address(&mut admitted, entered.remote) {
            return None;
        }
        let remote = Remote {
            listener: listener.0,
            metrics: Arc::clone(&entrance.metrics),
            address: entered.remote,
            tls: entered.tls,
            initiator: Initiator::Client,
            excess: admitted.excess(),
        };
        let driver: Driver = match entered.protocol {
            Protocol::Http1 => {
                let client = Connection::new(entered.transport, remote, &self.shared.connections);
                drop(entering);
                Box::pin(self.serve_http1(Box::new(client), shutdown))
            }
            Protocol::Http2 => Box::pin(self.serve_http2(entered.transport, remote, entering, shutdown)),
        };
        Some(Driven { driver, admitted, _open: open })
    }

    /// Returns false where the connection is to be closed at once.
    fn count_address(&self, admitted: &mut Admitted, address: Option<SocketAddr>) -> bool {
        let most = self.shared.live.load().limits.connections_per_ip;
        address.is_none_or(|address| admitted.count_address(address.ip(), most))
    }
}

impl ServeConnection for HttpService {
    fn serve_connection(
        self: Arc<Self>,
        listener: ListenerIndex,
        accepted: Accepted,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send + 'static {
        let admitted = self.shared.connections.capacity.admit(self.shared.live.load().limits.connections);
        let counts = admitted.map(|admitted| (admitted, self.shared.connections.entering()));
        let serving = counts.map(|counts| {
            let is_excess = counts.0.excess().is_some();
            // Boxed, so that its memory is given back once a client has come in: the task of a connection that waits
            // for years holds no more than what it waits with.
            serve(Box::pin(self.enter(listener, accepted, counts, shutdown)), is_excess)
        });
        async move {
            let Some(serving) = serving else { return };
            match telemetry::contain(pin!(serving)).await {
                Ok(()) => {}
                Err(panicked) => log_panic(&panicked),
            }
        }
    }
}

/// Serves a connection from its first byte to its end. `is_excess`: it is one too many, and whoever does not ask
/// within [`EXCESS_LIMIT`] is not told.
async fn serve(entering: Pin<Box<impl Future<Output = Option<Driven>>>>, is_excess: bool) {
    if is_excess {
        let served = async {
            if let Some(driven) = entering.await {
                driven.driver.await;
            }
        };
        return drop(Box::pin(timeout(EXCESS_LIMIT, served)).await);
    }
    let Some(Driven { driver, admitted, _open }) = entering.await else { return };
    match admitted.excess() {
        Some(_) => drop(Box::pin(timeout(EXCESS_LIMIT, driver)).await),
        None => driver.await,
    }
}

/// A client's connection whose protocol is known.
struct Driven {
    driver: Driver,
    /// Counts the connection until it is dropped.
    admitted: Admitted,
    /// The same for its listener.
    _open: OpenConnection,
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a client has to keep up.
fn pace(snapshot: &Snapshot) -> Pace {
    Pace { write_idle: snapshot.timeouts.write_idle, min_rate: snapshot.timeouts.min_rate }
}

fn log_panic(panicked: &Panicked) {
    match &panicked.request {
        Some(id) => log::error!("request {id}: {panicked}; its connection is closed"),
        None => log::error!("a client's connection is closed: {panicked}"),
    }
}
