//! The body of a request that changes a server.

use http::{HeaderMap, StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use serde::Deserialize;

use super::answer::Answer;
use super::servers::Servers;
use crate::server::journal::{Journal, Who};
use crate::upstream::{Change, OperatorCommand, OperatorState};

/// Of a request's body.
const MAX_BODY: usize = 64 * 1024;

/// A change of a server: of its state, its weight, or both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPatch {
    state: Option<OperatorState>,
    /// 0 is the configured weight.
    weight: Option<u32>,
}

impl ServerPatch {
    fn changes(&self) -> Vec<Change> {
        let state = self.state.map(|state| match state {
            OperatorState::Enabled => Change::Enable,
            OperatorState::Draining => Change::Drain,
            OperatorState::Disabled => Change::Disable,
        });
        state.into_iter().chain(self.weight.map(Change::Weight)).collect()
    }

    pub fn apply(
        &self,
        (upstream, server): (&str, &str),
        servers: &Servers,
        (who, journal): (&Who, &Journal),
    ) -> Answer {
        let changes = self.changes();
        // All changes are checked before any is made.
        if let Some(reason) = changes.iter().find_map(|change| change.check().err()) {
            return Answer::message(StatusCode::UNPROCESSABLE_ENTITY, &reason);
        }
        let mut done = Vec::new();
        for change in changes {
            let command = OperatorCommand { upstream: upstream.to_owned(), server: server.to_owned(), change };
            match servers.change(&command, who, journal) {
                Ok(text) => done.push(text),
                Err(reason) => return Answer::message(StatusCode::NOT_FOUND, &reason),
            }
        }
        match done.as_slice() {
            [] => Answer::message(StatusCode::BAD_REQUEST, "`state` or `weight` is missing"),
            done => Answer::message(StatusCode::OK, &done.join("; ")),
        }
    }
}

/// # Errors
/// Why the body is of no use.
pub async fn read(session: &mut ServerSession) -> Result<ServerPatch, Answer> {
    let headers = &session.req_header().headers;
    if !is_json(headers) {
        return Err(Answer::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`"));
    }
    let broken = |e: pingora::BError| Answer::message(StatusCode::BAD_REQUEST, &format!("the body did not come: {e}"));
    if headers.contains_key(header::EXPECT) {
        session.write_continue_response().await.map_err(broken)?;
    }
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.map_err(broken)? {
        if body.len() + piece.len() > MAX_BODY {
            return Err(Answer::message(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|e| {
        let code = if e.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Answer::message(code, &format!("the body is not understood: {e}"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
