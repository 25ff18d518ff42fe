//! Fetches a document beside the requests, and says when to fetch it again: the keys of an issuer, or a provider's
//! configuration.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora_timeout::timeout;
use tokio::sync::Notify;

use crate::runtime::AskedService;
use crate::upstream::{CallFailure, Connector, Question, call};

/// How long a fetch may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest document, in bytes.
const LARGEST: usize = 1024 * 1024;
/// The time between two fetches.
const REFRESH: Duration = Duration::from_secs(300);
/// What clients want is fetched no more often.
const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// The time before the first new attempt; it doubles up to [`REFRESH`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The document, of a type in `accept`.
///
/// # Errors
/// In words, when there is no whole one.
pub async fn fetched(connector: &Connector, service: &AskedService, accept: &str) -> Result<Bytes, String> {
    let request = service.request("GET", accept).map_err(|e| e.to_string())?;
    let answer = timeout(DEADLINE, call(connector, &service.pool, Question::new(&request, LARGEST))).await;
    let (head, body) = match answer {
        Err(_) => return Err(format!("no whole answer within {} s", DEADLINE.as_secs())),
        Ok(Err(CallFailure::Unavailable(_))) => return Err("no server of it is up, or its name has no address".into()),
        Ok(Err(CallFailure::TooLong)) => return Err("its answer is larger than 1 MiB".to_owned()),
        Ok(Err(CallFailure::Failed(e))) => return Err(e.to_string()),
        Ok(Ok(answer)) => answer,
    };
    if head.status == StatusCode::OK { Ok(body) } else { Err(format!("it answered {}", head.status.as_u16())) }
}

/// When a document is fetched again: in time, sooner where it could not be had, and when it is wanted.
#[derive(Debug)]
pub struct Refetching {
    /// The time before the next attempt, after one that failed.
    retry: Duration,
}

impl Default for Refetching {
    fn default() -> Self {
        Self { retry: FIRST_RETRY }
    }
}

impl Refetching {
    /// Waits for the next time; `is_fetched`: whether the document could be had now.
    pub async fn wait(&mut self, is_fetched: bool, wanted: &Notify) {
        let rest = if is_fetched { REFRESH } else { self.retry };
        self.retry = if is_fetched { FIRST_RETRY } else { (self.retry * 2).min(REFRESH) };
        // Give or take a tenth, so that many proxies do not ask at the same moment.
        let rest = rest.mul_f64(0.9 + fastrand::f64() / 5.0);
        let wanted = async {
            tokio::time::sleep(LEAST_REFRESH).await;
            wanted.notified().await;
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = wanted => {}
        }
    }
}
