//! Fetches a document beside the requests: the keys of an issuer, or a provider's configuration.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora_http::RequestHeader;
use pingora_timeout::timeout;

use crate::runtime::AskedService;
use crate::upstream::{CallFailure, Connector, call};

/// How long a fetch may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest document, in bytes.
const LARGEST: usize = 1024 * 1024;

/// The document, of a type in `accept`.
///
/// # Errors
/// In words, when there is no whole one.
pub async fn fetched(connector: &Connector, service: &AskedService, accept: &str) -> Result<Bytes, String> {
    let request = request(service, accept).map_err(|e| e.to_string())?;
    let answer = timeout(DEADLINE, call(connector, &service.pool, &request, LARGEST)).await;
    let (head, body) = match answer {
        Err(_) => return Err(format!("no whole answer within {} s", DEADLINE.as_secs())),
        Ok(Err(CallFailure::Unavailable(_))) => return Err("no server of it is up, or its name has no address".into()),
        Ok(Err(CallFailure::TooLong)) => return Err("its answer is larger than 1 MiB".to_owned()),
        Ok(Err(CallFailure::Failed(e))) => return Err(e.to_string()),
        Ok(Ok(answer)) => answer,
    };
    if head.status == StatusCode::OK { Ok(body) } else { Err(format!("it answered {}", head.status.as_u16())) }
}

fn request(service: &AskedService, accept: &str) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", service.target.as_bytes(), Some(4))?;
    request.insert_header("Host", &service.host)?;
    request.insert_header("Accept", accept)?;
    request.insert_header("User-Agent", "pingora-proxy")?;
    Ok(request)
}
