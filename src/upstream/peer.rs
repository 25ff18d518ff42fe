//! What Pingora and our connector are told of an endpoint.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions, Scheme};

use super::endpoint_spec::EndpointSpec;
use super::transport::{Destination, Place, TlsClient};
use crate::config::{Address, Upstream};
use crate::metrics::UpstreamMetrics;

/// The peer of an endpoint, with what the configuration of `upstream` says of connections.
///
/// # Errors
/// In words, when a socket path is too long.
pub fn peer(spec: &EndpointSpec, upstream: &Upstream) -> Result<HttpPeer, String> {
    let tls = upstream.tls.as_ref();
    let address = match &spec.address {
        // `NameAddresses` says where the connection goes.
        Address::Tcp(address) if spec.addresses.is_some() => SocketAddr::Inet(([0; 4], address.port()).into()),
        Address::Tcp(address) => SocketAddr::Inet(*address),
        Address::Unix(path) => unix_address(path)?,
    };
    let mut peer = HttpPeer {
        _address: address,
        scheme: Scheme::from_tls_bool(tls.is_some()),
        sni: tls.map(|t| t.sni.clone()).unwrap_or_default(),
        proxy: None,
        client_cert_key: None,
        // Upstreams share no connections: each has its own pool settings and its own idea of
        // whom it accepts.
        group_key: group_key(upstream),
        options: PeerOptions::new(),
    };
    let options = &mut peer.options;
    options.total_connection_timeout = upstream.timeouts.connect;
    // `filter::hop_by_hop` strips them in one pass and keeps the order of the others.
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    options.write_timeout = upstream.timeouts.write_idle;
    options.idle_timeout = upstream.timeouts.pool_idle;
    Ok(peer)
}

fn unix_address(path: &Path) -> Result<SocketAddr, String> {
    std::os::unix::net::SocketAddr::from_pathname(path)
        .map(SocketAddr::Unix)
        .map_err(|e| format!("unix:{}: {e}", path.display()))
}

/// Where the connections of an endpoint go; `tls`: that of the upstream.
pub fn destination(
    spec: &EndpointSpec,
    upstream: &Upstream,
    tls: Option<&TlsClient>,
    metrics: &Arc<UpstreamMetrics>,
) -> Destination {
    let place = match (&spec.addresses, &spec.address) {
        (Some(addresses), _) => Place::Name(Arc::clone(addresses)),
        (None, Address::Tcp(address)) => Place::Tcp(*address),
        (None, Address::Unix(path)) => Place::Unix(path.clone()),
    };
    Destination {
        place,
        port: None,
        tls: tls.map(TlsClient::with_own_sessions),
        send_proxy: upstream.proxy_protocol,
        protocol: upstream.protocol,
        prefers_http1: Arc::default(),
        metrics: Arc::clone(metrics),
    }
}

fn group_key(upstream: &Upstream) -> u64 {
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    upstream.name.hash(&mut hasher);
    (upstream.proxy_protocol as u8, upstream.protocol as u8).hash(&mut hasher);
    let Some(tls) = &upstream.tls else {
        return hasher.finish();
    };
    tls.verify.hash(&mut hasher);
    tls.ca.as_ref().map(|f| &f.der).hash(&mut hasher);
    tls.identity().map(|(certificate, _)| &certificate.der).hash(&mut hasher);
    hasher.finish()
}
