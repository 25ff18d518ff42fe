//! A connection of the admin endpoint. Pingora reads the requests and writes the answers, so that the
//! process needs no second HTTP server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Response, StatusCode, Version};
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use tokio::time::timeout;

use super::api::{AdminApi, Reply};
use super::caller::Caller;

/// For the whole head of a request, the time before its first byte included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(KEEPALIVE + 10);
/// Between two pieces of a request, and for each write of an answer.
const IO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection stays open for the next request, in seconds.
const KEEPALIVE: u64 = 60;

pub struct AdminApp {
    pub api: Arc<AdminApi>,
    pub caller: Caller,
}

#[async_trait]
impl HttpServerApp for AdminApp {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        match timeout(HEAD_TIMEOUT, session.read_request()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return None,
            Ok(Err(e)) => {
                log::debug!("admin: a request did not come: {e}");
                return None;
            }
            Err(_) => {
                log::debug!("admin: the head of a request took too long");
                return None;
            }
        }
        // An HTTP/1.0 client reads to the end of the connection.
        let is_last = *shutdown.borrow() || session.req_header().version == Version::HTTP_10;
        session.set_keepalive((!is_last).then_some(KEEPALIVE));
        session.set_read_timeout(Some(IO_TIMEOUT));
        session.set_write_timeout(Some(IO_TIMEOUT));
        session.set_total_drain_timeout(Some(IO_TIMEOUT));
        match self.api.reply(&mut session, &self.caller).await {
            // A large one keeps its place until it is written.
            Reply::Response(response, _place) => {
                if response.status() == StatusCode::MISDIRECTED_REQUEST {
                    session.set_keepalive(None);
                }
                if let Err(e) = write(&mut session, *response).await {
                    log::debug!("admin: an answer was not taken: {e}");
                    return None;
                }
            }
            Reply::Stream(stream) => stream.send(&mut session, &self.caller).await,
        }
        let settings = HttpPersistentSettings::for_session(&session);
        match session.finish().await {
            Ok(stream) => stream.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings)),
            Err(e) => {
                log::debug!("admin: {e}");
                None
            }
        }
    }
}

async fn write(session: &mut ServerSession, response: Response<Vec<u8>>) -> pingora::Result<()> {
    let (parts, body) = response.into_parts();
    session.write_response_header(Box::new(parts.into())).await?;
    if body.is_empty() {
        return Ok(());
    }
    session.write_response_body(body.into(), true).await
}
