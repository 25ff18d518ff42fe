//! One health check of one endpoint: a connection, or a GET and the status of its response.

use pingora::{Error, ErrorType};
use pingora_core::connectors::http::v1::Connector;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::{HttpPeer, Scheme};
use pingora_http::RequestHeader;
use pingora_timeout::timeout;

use super::certificate::CertificateFault;
use super::duration::in_words;
use super::endpoint::Endpoint;
use crate::config::{ActiveCheck, CheckKind};
use crate::message::escaping::printable;

/// Checks once.
///
/// # Errors
/// What is wrong with the endpoint, in words.
pub async fn check_once(connector: &Connector, endpoint: &Endpoint, check: &ActiveCheck) -> Result<(), String> {
    let peer = peer(endpoint, check);
    match timeout(check.timeout, exchange(connector, &peer, endpoint, check)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {}", in_words(check.timeout))),
    }
}

fn peer(endpoint: &Endpoint, check: &ActiveCheck) -> HttpPeer {
    let mut peer = endpoint.unpooled_peer();
    if let (Some(port), SocketAddr::Inet(address)) = (check.port, &mut peer._address) {
        address.set_port(port);
    }
    if check.tls == Some(false) {
        (peer.scheme, peer.sni) = (Scheme::HTTP, String::new());
    }
    peer
}

async fn exchange(
    connector: &Connector,
    peer: &HttpPeer,
    endpoint: &Endpoint,
    check: &ActiveCheck,
) -> Result<(), String> {
    let (mut session, _) = connector.get_http_session(peer).await.map_err(|e| describe(&e))?;
    let CheckKind::Http { path, status: (from, to), host } = &check.kind else { return Ok(()) };
    let host = host.as_deref().or_else(|| endpoint.authorities().first().map(String::as_str)).unwrap_or("localhost");
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(3)).map_err(|e| describe(&e))?;
    for (name, value) in [("Host", host), ("User-Agent", "pingora-proxy health check"), ("Connection", "close")] {
        request.insert_header(name, value).map_err(|e| describe(&e))?;
    }
    session.write_request_header(Box::new(request)).await.map_err(|e| describe(&e))?;
    loop {
        session.read_response().await.map_err(|e| describe(&e))?;
        let status = session.resp_header().map_or(0, |head| head.status.as_u16());
        match status {
            // An interim response is passed over unless it is the status that is wanted.
            100..200 if !(*from..=*to).contains(&status) => {}
            status if (*from..=*to).contains(&status) => return Ok(()),
            status => return Err(format!("{path} answered {status}")),
        }
    }
}

fn describe(error: &Error) -> String {
    match error.etype() {
        ErrorType::ConnectRefused => "connection refused".to_owned(),
        ErrorType::ConnectTimedout => "no connection in time".to_owned(),
        ErrorType::ConnectNoRoute => "no route to it".to_owned(),
        ErrorType::ConnectionClosed | ErrorType::ReadError => "it closed the connection without an answer".to_owned(),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => {
            let fault = CertificateFault::of(error).map_or("the TLS handshake failed", CertificateFault::message);
            format!("{fault}: {}", root_cause(error))
        }
        ErrorType::InvalidHTTPHeader => "its answer is not valid HTTP".to_owned(),
        // Pingora's list of errors is long and may grow.
        _ => root_cause(error),
    }
}

/// The root cause: the rest of the chain is of no use to an operator. It may hold names that
/// the server's certificate chose.
fn root_cause(error: &Error) -> String {
    printable(&error.root_cause().to_string()).into_owned()
}
