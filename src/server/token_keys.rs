//! Fetches the keys of an issuer of tokens, and fetches them again: in time, and when a token names
//! one that is not there. No request waits for it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use pingora_http::RequestHeader;
use pingora_timeout::timeout;

use crate::auth::Jwt;
use crate::config::hidden_in_urls;
use crate::message::escaping::printable;
use crate::runtime::{AskedService, Snapshot};
use crate::upstream::{CallFailure, Connector, call};

/// The time between two fetches.
const REFRESH: Duration = Duration::from_secs(300);
/// Tokens that name unknown keys have them fetched no more often.
const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// The time before the first new attempt; it doubles up to [`REFRESH`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// How long a fetch may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest set of keys, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Fetches the keys for a route of the snapshot until the future is dropped.
pub async fn keep_fetching(snapshot: Arc<Snapshot>, route: usize, connector: Arc<Connector>) {
    let Some(route) = snapshot.routes.get(route) else { return };
    let (Some(service), Some(jwt)) = (&route.token_keys, route.filters.jwt()) else { return };
    let mut retry = FIRST_RETRY;
    loop {
        let rest = match fetch(&connector, service, jwt).await {
            Ok(count) => {
                log::debug!("route `{}`: {count} keys came from {}", route.name, service.host);
                retry = FIRST_RETRY;
                REFRESH
            }
            Err(reason) => {
                let kept = if jwt.has_keys() { "the keys of before stay in force" } else { "requests get 503" };
                let reason = printable(&reason);
                let target = hidden_in_urls(&service.target);
                log::error!("route `{}`: no keys from {}{target}: {reason}; {kept}", route.name, service.host);
                let rest = retry;
                retry = (retry * 2).min(REFRESH);
                rest
            }
        };
        // Give or take a tenth, so that many proxies do not ask at the same moment.
        let rest = rest.mul_f64(0.9 + fastrand::f64() / 5.0);
        let wanted = async {
            tokio::time::sleep(LEAST_REFRESH).await;
            jwt.wanted.notified().await;
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = wanted => {}
        }
    }
}

async fn fetch(connector: &Connector, service: &AskedService, jwt: &Jwt) -> Result<usize, String> {
    let request = request(service).map_err(|e| e.to_string())?;
    let answer = timeout(DEADLINE, call(connector, &service.pool, &request, LARGEST)).await;
    let (head, body) = match answer {
        Err(_) => return Err(format!("no whole answer within {} s", DEADLINE.as_secs())),
        Ok(Err(CallFailure::Unavailable(_))) => return Err("no server of it is up, or its name has no address".into()),
        Ok(Err(CallFailure::TooLong)) => return Err("its answer is larger than 1 MiB".to_owned()),
        Ok(Err(CallFailure::Failed(e))) => return Err(e.to_string()),
        Ok(Ok(answer)) => answer,
    };
    if head.status != StatusCode::OK {
        return Err(format!("it answered {}", head.status.as_u16()));
    }
    jwt.replace_keys(&body)
}

fn request(service: &AskedService) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", service.target.as_bytes(), Some(3))?;
    request.insert_header("Host", &service.host)?;
    request.insert_header("Accept", "application/jwk-set+json, application/json")?;
    request.insert_header("User-Agent", "pingora-proxy")?;
    Ok(request)
}
