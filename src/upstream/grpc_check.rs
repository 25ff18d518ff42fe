//! gRPC's health check: a call of `grpc.health.v1.Health/Check`
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_http::RequestHeader;

use super::session::Session;
use crate::exchange::Exchange;
use crate::message::escaping::printable;

const METHOD: &[u8] = b"/grpc.health.v1.Health/Check";
/// A longer answer is none to this call.
const MOST_BYTES: usize = 1024;

/// What the server says of a service, empty for the whole server.
///
/// # Errors
/// Outside when the call failed; inside why the service is not well, in words.
pub async fn ask_grpc(session: &mut Session, service: &str, host: &str) -> Result<std::result::Result<(), String>> {
    let exchange: Arc<Exchange> = Arc::default();
    let mut request = RequestHeader::build("POST", METHOD, Some(5))?;
    for (name, value) in [
        ("Host", host),
        ("Content-Type", "application/grpc"),
        ("TE", "trailers"),
        ("User-Agent", "pingora-proxy health check"),
    ] {
        request.insert_header(name, value)?;
    }
    request.extensions_mut().insert(Arc::clone(&exchange));
    session.write_request_header(Box::new(request), false).await?;
    session.write_request_body(asked(service), true).await?;
    session.read_response_header().await?;
    let head = session.response_header().ok_or_else(|| Error::new(ErrorType::InvalidHTTPHeader))?;
    if head.status != StatusCode::OK {
        return Ok(Err(format!("the gRPC check answered {}", head.status.as_u16())));
    }
    // Without a message the status comes with the head.
    let at_once = failure(&head.headers);
    let mut answer = Vec::new();
    while let Some(piece) = session.read_response_body().await? {
        exchange.download.set_waiting(0, 1);
        answer.extend_from_slice(&piece);
        if answer.len() > MOST_BYTES {
            return Ok(Err("the gRPC check answered more than a status".to_owned()));
        }
    }
    let trailers = session.read_trailers().await?.unwrap_or_default();
    Ok(match at_once.or_else(|| failure(&trailers)) {
        Some(failure) => Err(failure),
        None => told(&answer),
    })
}

/// A message of gRPC with a `HealthCheckRequest`: `string service = 1`.
fn asked(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        write_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

fn write_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Why a call failed, by its `grpc-status`.
fn failure(fields: &HeaderMap) -> Option<String> {
    let status = fields.get("grpc-status").filter(|status| status.as_bytes() != b"0")?;
    let status = printable(&String::from_utf8_lossy(status.as_bytes())).into_owned();
    Some(match status.as_str() {
        "5" => "its gRPC server does not know the service".to_owned(),
        "12" => "its gRPC server has no health checks".to_owned(),
        _ => {
            let message = fields.get("grpc-message").map(|message| String::from_utf8_lossy(message.as_bytes()));
            let message = message.map(|message| format!(": {}", printable(&message))).unwrap_or_default();
            format!("the gRPC check failed with status {status}{message}")
        }
    })
}

/// What a `HealthCheckResponse` says: `ServingStatus status = 1`, of which 1 is SERVING.
fn told(framed: &[u8]) -> std::result::Result<(), String> {
    let invalid = || Err("the gRPC check has no valid answer".to_owned());
    let Some((head, message)) = framed.split_at_checked(5) else { return invalid() };
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if head[0] != 0 || usize::try_from(length) != Ok(message.len()) {
        return invalid();
    }
    match message {
        [0x08, 1] => Ok(()),
        // The default of a field is not sent.
        [] | [0x08, 0] => Err("its gRPC status is UNKNOWN".to_owned()),
        [0x08, 2] => Err("its gRPC status is NOT_SERVING".to_owned()),
        [0x08, 3] => Err("its gRPC server does not know the service".to_owned()),
        _ => invalid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_a_framed_message() {
        assert_eq!(asked(""), [0, 0, 0, 0, 0][..]);
        assert_eq!(asked("a.B"), [&[0, 0, 0, 0, 5, 0x0a, 3][..], b"a.B"].concat());
        let long = "x".repeat(300);
        assert_eq!(asked(&long)[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 2]);
    }

    #[test]
    fn only_serving_is_well() {
        assert_eq!(told(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        for (answer, expected) in [
            (&[0, 0, 0, 0, 2, 8, 2][..], "NOT_SERVING"),
            (&[0, 0, 0, 0, 0], "UNKNOWN"),
            (&[0, 0, 0, 0, 2, 8, 3], "does not know"),
            (&[0, 0, 0, 0, 2, 8], "no valid"),
            (&[1, 0, 0, 0, 2, 8, 1], "no valid"),
            (&[0, 0, 0, 0, 2, 16, 1], "no valid"),
            (&[], "no valid"),
        ] {
            assert!(told(answer).unwrap_err().contains(expected), "{answer:?}");
        }
    }

    #[test]
    fn a_failed_call_says_why() {
        let failed = |status: &'static str, message: Option<&'static str>| {
            let mut fields = HeaderMap::new();
            fields.insert("grpc-status", http::HeaderValue::from_static(status));
            message.map(|message| fields.insert("grpc-message", http::HeaderValue::from_static(message)));
            failure(&fields)
        };
        assert_eq!(failed("0", None), None);
        assert_eq!(failed("12", None).unwrap(), "its gRPC server has no health checks");
        assert_eq!(failed("14", Some("busy")).unwrap(), "the gRPC check failed with status 14: busy");
    }
}
