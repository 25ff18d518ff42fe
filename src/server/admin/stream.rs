//! `GET /requests` as a stream of events (`curl -N -H 'Accept: text/event-stream'`): each request as
//! it ends, until the caller leaves or the process does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::access::AccessInForce;
use super::caller::Caller;
use super::requests::{Wanted, numbered};
use super::resource::Resource;
use crate::telemetry::RecentRequests;

/// For a caller to take a piece. One that takes longer is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two signs of life: who has left is found out by one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Requests of less than this time go out together.
const GATHER: Duration = Duration::from_millis(20);

/// A stream that has its place among those at once.
#[derive(Debug)]
pub struct Stream {
    pub recent: Arc<RecentRequests>,
    pub wanted: Wanted,
    pub place: OwnedSemaphorePermit,
    pub right: Right,
}

/// By what its caller may see it, which the next reload or another token can take away.
#[derive(Debug)]
pub struct Right {
    pub access: Arc<AccessInForce>,
    pub target: Uri,
    pub fields: HeaderMap,
}

impl Right {
    fn holds(&self, caller: &Caller) -> bool {
        self.access.pin().check(Some(&Resource::Requests), (&self.target, &self.fields), caller).is_ok()
    }
}

/// Whether a caller asks for a stream.
pub fn is_wanted(fields: &HeaderMap) -> bool {
    let mut accepts = fields.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepts.any(|accept| accept.split([',', ';']).any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream")))
}

/// Where a caller goes on that had a stream before.
pub fn resume(fields: &HeaderMap) -> Option<u64> {
    let last = fields.get("last-event-id")?.to_str().ok()?;
    last.trim().parse::<u64>().ok().map(|last| last.saturating_add(1))
}

impl Stream {
    /// Sends events until there is nobody to send them to, or nobody who may see them.
    pub async fn send(self, session: &mut ServerSession, caller: &Caller) {
        let Self { recent, mut wanted, place: _place, right } = self;
        session.set_keepalive(None);
        // Without a number it begins with what comes next: after this, because who has seen the beginning may have
        // made a request already.
        wanted.after = Some(wanted.after.unwrap_or_else(|| recent.last(0).next));
        if let Err(e) = begin(session).await {
            return log::debug!("a stream of the admin endpoint did not begin: {e}");
        }
        while right.holds(caller) {
            let found = wanted.look(&recent);
            wanted.after = Some(found.next);
            let mut text = String::new();
            if found.lost > 0 {
                text.push_str(&format!("event: lost\ndata: {}\n\n", found.lost));
            }
            for (seq, line) in &found.lines {
                text.push_str(&format!("id: {seq}\ndata: {}\n\n", numbered(*seq, line)));
            }
            if !text.is_empty() && !write(session, text).await {
                return;
            }
            match timeout(SIGN_OF_LIFE, recent.wait_for(found.next)).await {
                Ok(()) => tokio::time::sleep(GATHER).await,
                Err(_) => {
                    if !write(session, ":\n\n".to_owned()).await {
                        return;
                    }
                }
            }
        }
    }
}

async fn begin(session: &mut ServerSession) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(StatusCode::OK, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    if session.req_header().version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    session.write_response_header(Box::new(head)).await?;
    // The caller sees at once that it has begun.
    session.write_response_body(Bytes::from_static(b":\n\n"), false).await
}

/// Whether the caller took it.
async fn write(session: &mut ServerSession, text: String) -> bool {
    matches!(timeout(WRITE_TIMEOUT, session.write_response_body(text.into(), false)).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_stream_is_asked_for_by_accept() {
        let of = |accept| is_wanted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]));
        assert!(of("text/event-stream") && of("*/*, Text/Event-Stream;q=0.9"));
        assert!(!of("*/*") && !of("application/json") && !is_wanted(&HeaderMap::new()));
    }
}
