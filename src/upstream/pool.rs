//! The servers of one upstream, each as the `HttpPeer` that Pingora connects to,
//! made once and cloned per attempt.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};

use super::balance::RoundRobin;
use crate::config::{Address, Upstream, UpstreamServer, UpstreamTimeouts, UpstreamTls};

/// One upstream's servers.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    servers: Vec<Server>,
    balance: RoundRobin,
    /// What it was made from.
    upstream: Upstream,
}

#[derive(Debug)]
struct Server {
    peer: HttpPeer,
    /// As it is logged.
    label: Arc<str>,
    /// Authorities under which this server may call itself in a redirect.
    authorities: Vec<String>,
}

/// The server for one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Pick(usize);

impl Pool {
    /// # Errors
    /// In words, when a certificate or key cannot be used or a socket path is too long.
    pub fn new(upstream: &Upstream) -> Result<Self, String> {
        let servers =
            upstream.servers.iter().map(|server| Server::new(server, upstream)).collect::<Result<Vec<_>, _>>()?;
        let weights: Vec<u32> = upstream.servers.iter().map(|s| s.weight).collect();
        let (name, balance) = (upstream.name.as_str().into(), RoundRobin::new(&weights));
        Ok(Self { name, servers, balance, upstream: upstream.clone() })
    }

    /// Whether it would be made anew just as it is.
    pub fn serves(&self, upstream: &Upstream) -> bool {
        self.upstream == *upstream
    }

    /// How many servers there are; at least one.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whose turn it is; another than `failed` where there is another.
    pub fn pick(&self, failed: Option<Pick>) -> Pick {
        let turn = self.balance.pick();
        match failed {
            Some(Pick(index)) if index == turn => Pick((turn + 1) % self.servers.len()),
            Some(Pick(_)) | None => Pick(turn),
        }
    }

    /// The peer to connect to. It has no read timeout: Pingora's would run while the
    /// client still sends, and for head and body alike; [`Self::timeouts`] has ours.
    pub fn peer(&self, pick: Pick) -> HttpPeer {
        if self.upstream.pool.max_idle == 0 { self.unpooled_peer(pick) } else { self.servers[pick.0].peer.clone() }
    }

    /// The same, for a connection that is neither taken from the pool nor put into it.
    pub fn unpooled_peer(&self, pick: Pick) -> HttpPeer {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut peer = self.servers[pick.0].peer.clone();
        // Nobody asks for this key again, until the idle timeout ends the connection.
        peer.group_key ^= NEXT.fetch_add(1, Ordering::Relaxed);
        peer.options.idle_timeout = Some(Duration::ZERO);
        peer
    }

    pub fn timeouts(&self) -> &UpstreamTimeouts {
        &self.upstream.timeouts
    }

    pub fn label(&self, pick: Pick) -> &Arc<str> {
        &self.servers[pick.0].label
    }

    /// First what `host: upstream` sends, then other names of the same server.
    pub fn authorities(&self, pick: Pick) -> &[String] {
        &self.servers[pick.0].authorities
    }
}

impl Server {
    fn new(server: &UpstreamServer, upstream: &Upstream) -> Result<Self, String> {
        let tls = upstream.tls.as_ref();
        let address = match &server.address {
            Address::Tcp(address) => SocketAddr::Inet(*address),
            Address::Unix(path) => unix_address(path)?,
        };
        let mut peer = HttpPeer {
            _address: address,
            scheme: pingora_core::upstreams::peer::Scheme::from_tls_bool(tls.is_some()),
            sni: tls.map(|t| t.sni.clone()).unwrap_or_default(),
            proxy: None,
            client_cert_key: None,
            // Upstreams share no connections: each has its own pool settings, and
            // Pingora's key leaves out what they verify.
            group_key: group_key(upstream),
            options: pingora_core::upstreams::peer::PeerOptions::new(),
        };
        let options = &mut peer.options;
        options.connection_timeout = upstream.timeouts.connect;
        options.total_connection_timeout = upstream.timeouts.connect;
        // `filter::request` strips them in one pass and keeps the order of the others.
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        options.write_timeout = upstream.timeouts.write_idle;
        options.idle_timeout = upstream.timeouts.pool_idle;
        if let Some(tls) = tls {
            apply_tls(&mut peer, tls)?;
        }
        Ok(Self { peer, label: server.written.as_str().into(), authorities: authorities(server, tls) })
    }
}

fn unix_address(path: &Path) -> Result<SocketAddr, String> {
    std::os::unix::net::SocketAddr::from_pathname(path)
        .map(SocketAddr::Unix)
        .map_err(|e| format!("unix:{}: {e}", path.display()))
}

fn apply_tls(peer: &mut HttpPeer, tls: &UpstreamTls) -> Result<(), String> {
    peer.options.verify_cert = tls.verify;
    peer.options.verify_hostname = tls.verify;
    if let Some(ca) = &tls.ca {
        // Pingora's parser panics on what is no certificate: `config` has read each of them.
        let certificates: Vec<_> = ca.der.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect();
        peer.options.ca = Some(certificates.into());
    }
    if let Some((certificate, key)) = &tls.identity {
        let key = key.der.first().cloned().ok_or_else(|| format!("{}: no key", key.path.display()))?;
        peer.client_cert_key = Some(Arc::new(CertKey::new(certificate.der.clone(), key)));
    }
    Ok(())
}

fn group_key(upstream: &Upstream) -> u64 {
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    upstream.name.hash(&mut hasher);
    let Some(tls) = &upstream.tls else {
        return hasher.finish();
    };
    tls.verify.hash(&mut hasher);
    tls.ca.as_ref().map(|f| &f.der).hash(&mut hasher);
    tls.identity.as_ref().map(|(c, _)| &c.der).hash(&mut hasher);
    hasher.finish()
}

fn authorities(server: &UpstreamServer, tls: Option<&UpstreamTls>) -> Vec<String> {
    let mut names = Vec::new();
    match &server.address {
        Address::Tcp(address) => {
            if let Some(tls) = tls.filter(|t| t.sni.parse::<std::net::IpAddr>().is_err()) {
                names.push(match address.port() {
                    443 => tls.sni.clone(),
                    port => format!("{}:{port}", tls.sni),
                });
            }
            for name in [server.written.clone(), address.to_string()] {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Address::Unix(_) => names.push(tls.map_or_else(|| "localhost".to_owned(), |t| t.sni.clone())),
    }
    names
}
