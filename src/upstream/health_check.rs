//! One health check of one endpoint: a connection, a GET and the status of its response, or a call of
//! gRPC's own check.

use std::sync::Arc;

use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_http::RequestHeader;
use pingora_timeout::timeout;

use super::duration::in_words;
use super::endpoint::Endpoint;
use super::grpc_check::ask_grpc;
use super::http1;
use super::http2;
use super::session::Session;
use super::transport::{CertificateFault, Destination, Established, Selected};
use crate::config::{ActiveCheck, CheckKind, UpstreamProtocol};
use crate::exchange::Exchange;
use crate::message::escaping::printable;

/// Checks once.
///
/// # Errors
/// What is wrong with the endpoint, in words.
pub async fn check_once(endpoint: &Endpoint, check: &ActiveCheck) -> std::result::Result<(), String> {
    match timeout(check.timeout, ask(endpoint, check)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {}", in_words(check.timeout))),
    }
}

async fn ask(endpoint: &Endpoint, check: &ActiveCheck) -> std::result::Result<(), String> {
    let made = destination(endpoint, check).connect(None, false, None).await.map_err(|e| describe(&e))?;
    let name = |host: &'_ Option<String>| host.clone().or_else(|| endpoint.authorities().first().cloned());
    match &check.kind {
        CheckKind::Tcp => Ok(()),
        CheckKind::Http { path, status: (from, to), host } => {
            let host = name(host).unwrap_or_else(|| "localhost".to_owned());
            let mut session = session(made).await.map_err(|e| describe(&e))?;
            let status = status_of(&mut session, path, &host, |status| (*from..=*to).contains(&status)).await;
            match status.map_err(|e| describe(&e))? {
                status if (*from..=*to).contains(&status) => Ok(()),
                status => Err(format!("{path} answered {status}")),
            }
        }
        CheckKind::Grpc { service, host } => {
            let host = name(host).unwrap_or_else(|| "localhost".to_owned());
            let mut session = session(made).await.map_err(|e| describe(&e))?;
            ask_grpc(&mut session, service, &host).await.map_err(|e| describe(&e))?
        }
    }
}

fn destination(endpoint: &Endpoint, check: &ActiveCheck) -> Destination {
    let mut destination = endpoint.destination().clone();
    destination.port = check.port;
    if check.tls == Some(false) {
        destination.tls = None;
        // What the upstream's servers speak without TLS is not known.
        if destination.protocol != UpstreamProtocol::H2c {
            destination.protocol = UpstreamProtocol::Http1;
        }
    }
    destination
}

/// A connection for one request.
async fn session(made: Established) -> Result<Session> {
    match made.selected {
        Selected::Http1 => {
            let connection = Box::new(http1::Connection::new(made.transport, made.timing));
            Ok(Session::Http1(Box::new(http1::Session::new(connection, true))))
        }
        Selected::Http2 => {
            let connection = http2::begin(made.transport, None, None, None, None).await?;
            let slot = connection.slot().ok_or_else(|| Error::new(ErrorType::ConnectionClosed))?;
            Ok(Session::Http2(Box::new(http2::Session::new(slot))))
        }
    }
}

/// The status of the response. An interim one is passed over unless it is the status that
/// `is_wanted`.
async fn status_of(session: &mut Session, path: &str, host: &str, is_wanted: impl Fn(u16) -> bool) -> Result<u16> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(3))?;
    for (name, value) in [("Host", host), ("User-Agent", "pingora-proxy health check"), ("Connection", "close")] {
        request.insert_header(name, value)?;
    }
    request.extensions_mut().insert(Arc::new(Exchange::default()));
    session.write_request_header(Box::new(request), true).await?;
    loop {
        session.read_response_header().await?;
        let status = session.response_header().map_or(0, |head| head.status.as_u16());
        if !(100..200).contains(&status) || is_wanted(status) {
            return Ok(status);
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
        ErrorType::H2Error => "it reset the request".to_owned(),
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
