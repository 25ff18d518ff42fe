//! The attempts to send a request to its upstream: the present one, and what is remembered of
//! those before.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::protocols::Digest;

use crate::upstream::{Endpoint, Pick};

#[derive(Debug, Default)]
pub struct Attempts {
    pub pick: Option<Pick>,
    /// The server's name, once nothing is asked of it any more.
    pub released_server: Option<Arc<str>>,
    /// Where it failed before.
    pub tried: Vec<Arc<Endpoint>>,
    /// The server that the client's cookie names.
    pub sticky: Option<Arc<Endpoint>>,
    /// How many there were.
    pub count: u32,
    /// How many of them reached a server.
    pub sent: u32,
    /// The next one goes over a new connection.
    pub needs_new_connection: bool,
    /// The server says that it has not looked at the request.
    pub unprocessed: bool,
    /// One attempt that cost the server nothing was not counted in `sent`.
    pub free_retry_used: bool,
    /// The upstream's answer is not wanted; it is tried again.
    pub retry_for_status: bool,
    /// When a server was last asked for. From the first time on Pingora closes the client's
    /// connection when the request fails.
    pub began: Option<Instant>,
    /// How long it waited for a place at the upstream and for a server with room, if it had to.
    pub queue: Option<Duration>,
    /// How long the present attempt took to reach the server, if the connection is new.
    pub connect: Option<Duration>,
    /// How long the TLS handshake with it took, if there was one.
    pub tls: Option<Duration>,
    pub reused: bool,
    pub ttfb: Option<Duration>,
    pub status: Option<u16>,
}

impl Attempts {
    /// The server is reached, over a new connection or one that was `reused`.
    pub fn connected(&mut self, reused: bool, fd: RawFd, digest: Option<&Digest>) {
        self.reused = reused;
        self.sent += 1;
        if let Some(pick) = self.pick.as_ref().filter(|_| !reused) {
            pick.endpoint.note_connection(fd, digest.and_then(|digest| digest.socket_digest.as_ref()));
        }
        let mut layers =
            digest.filter(|_| !reused).into_iter().flat_map(|digest| digest.timing_digest.iter().flatten());
        let mut took = || layers.next().and_then(|layer| layer.establishment_duration);
        (self.connect, self.tls) = (took(), took());
        let whole = self.connect.map(|connect| connect + self.tls.unwrap_or_default());
        self.pick.iter().for_each(|pick| pick.metrics().connected(reused, whole, self.tls));
    }

    /// It waited since then.
    pub fn waited(&mut self, since: Instant) {
        self.queue = Some(self.queue.unwrap_or_default() + since.elapsed());
    }

    /// The server has its room back.
    pub fn release(&mut self) {
        self.released_server = self.pick.take().map(|pick| Arc::clone(&pick.endpoint.label));
    }

    /// The server's name for the log.
    pub fn server(&self) -> Option<&str> {
        self.pick.as_ref().map(|pick| &*pick.endpoint.label).or(self.released_server.as_deref())
    }
}
