//! What the admin endpoint answers. Pingora reads the requests and writes the answers, so
//! that the process needs no second HTTP server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use percent_encoding::percent_decode_str;
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;
use serde::Deserialize;

use super::caller::Reach;
use super::figures::Figures;
use super::servers::Servers;
use super::{metrics, stats};
use crate::metrics::Format;
use crate::server::lifecycle::status::{Phase, Status};
use crate::telemetry::{contained_panics, lost_error_lines, lost_lines};
use crate::upstream::{Change, OperatorCommand, OperatorState};

/// Between two pieces of a request, and for each write of an answer.
const IO_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a request's body.
const MAX_BODY: usize = 64 * 1024;

/// Answers from the state of the process.
pub struct AdminApi {
    pub reach: Reach,
    pub status: Arc<Status>,
    pub servers: Arc<Servers>,
    pub figures: Figures,
}

/// Status and JSON.
type Answer = (StatusCode, String);

#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Health,
    Ready,
    Metrics,
    Stats,
    Upstreams,
    Server { upstream: String, server: String },
}

impl Resource {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/health" => Some(Self::Health),
            "/ready" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            "/stats" => Some(Self::Stats),
            "/upstreams" => Some(Self::Upstreams),
            _ => {
                // A server's name may hold slashes: `unix:/run/app.sock`.
                let (upstream, server) = path.strip_prefix("/upstreams/")?.split_once("/servers/")?;
                let decoded = |text| percent_decode_str(text).decode_utf8().ok().filter(|text| !text.is_empty());
                Some(Self::Server { upstream: decoded(upstream)?.into_owned(), server: decoded(server)?.into_owned() })
            }
        }
    }

    fn allowed(&self) -> &'static str {
        match self {
            Self::Health | Self::Ready | Self::Metrics | Self::Stats | Self::Upstreams => "GET, HEAD",
            Self::Server { .. } => "PATCH",
        }
    }
}

#[async_trait]
impl ServeHttp for AdminApi {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        session.set_read_timeout(Some(IO_TIMEOUT));
        session.set_write_timeout(Some(IO_TIMEOUT));
        session.set_total_drain_timeout(Some(IO_TIMEOUT));
        if session.req_header().version == Version::HTTP_10 {
            // An HTTP/1.0 client reads to the end of the connection.
            session.set_keepalive(None);
        }
        let method = session.req_header().method.clone();
        let resource = Resource::at(session.req_header().uri.path());
        let answer = self.answer(session, resource.as_ref()).await.unwrap_or_else(|refused| refused);
        let mut response = response(answer, &method);
        if resource == Some(Resource::Metrics) && response.status().is_success() {
            let kind = HeaderValue::from_static(wanted_format(session).content_type());
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        if let Some(resource) = resource.filter(|_| response.status() == StatusCode::METHOD_NOT_ALLOWED) {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(resource.allowed()));
        }
        response
    }
}

impl AdminApi {
    /// The answer, or the refusal.
    async fn answer(&self, session: &mut ServerSession, resource: Option<&Resource>) -> Result<Answer, Answer> {
        let forbidden = |reason: String| message(StatusCode::FORBIDDEN, &reason);
        let head = session.req_header();
        self.reach.check(&head.uri, &head.headers).map_err(forbidden)?;
        let resource = resource.ok_or_else(|| message(StatusCode::NOT_FOUND, "there is nothing of this name"))?;
        if let Resource::Server { .. } = resource {
            self.reach.may_change().map_err(forbidden)?;
        }
        if !resource.allowed().split(", ").any(|allowed| allowed == head.method.as_str()) {
            return Err(message(StatusCode::METHOD_NOT_ALLOWED, &format!("use {}", resource.allowed())));
        }
        Ok(match resource {
            Resource::Health => self.process(StatusCode::OK, "alive"),
            Resource::Ready => self.ready(),
            Resource::Metrics => (StatusCode::OK, metrics::exposition(&self.figures, wanted_format(session))),
            Resource::Stats => stats::report(&self.figures).map_or_else(
                |e| message(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
                |report| (StatusCode::OK, report),
            ),
            Resource::Upstreams => (StatusCode::OK, self.servers.report()),
            Resource::Server { upstream, server } => {
                let patch = read_patch(session).await?;
                self.change_server(upstream, server, &patch)
            }
        })
    }

    /// Whether new connections are welcome.
    fn ready(&self) -> Answer {
        match self.status.phase() {
            Phase::Serving => self.process(StatusCode::OK, "ready"),
            phase @ (Phase::Starting | Phase::Draining | Phase::HandedOver) => {
                self.process(StatusCode::SERVICE_UNAVAILABLE, phase.describe())
            }
        }
    }

    fn process(&self, code: StatusCode, text: &str) -> Answer {
        let body = serde_json::json!({
            "status": text,
            "pid": std::process::id(),
            "generation": self.status.generation(),
            "uptime_s": self.status.started.elapsed().as_secs(),
            "panics": contained_panics(),
            "lost_log_lines": lost_lines(),
            "lost_error_log_lines": lost_error_lines(),
        });
        (code, body.to_string())
    }

    fn change_server(&self, upstream: &str, server: &str, patch: &ServerPatch) -> Answer {
        let changes = patch.changes();
        // All changes are checked before any is made.
        if let Some(reason) = changes.iter().find_map(|change| change.check().err()) {
            return message(StatusCode::UNPROCESSABLE_ENTITY, &reason);
        }
        let mut done = Vec::new();
        for change in changes {
            let command = OperatorCommand { upstream: upstream.to_owned(), server: server.to_owned(), change };
            match self.servers.change(&command) {
                Ok(text) => done.push(text),
                Err(reason) => return message(StatusCode::NOT_FOUND, &reason),
            }
        }
        match done.as_slice() {
            [] => message(StatusCode::BAD_REQUEST, "`state` or `weight` is missing"),
            done => message(StatusCode::OK, &done.join("; ")),
        }
    }
}

/// A change of a server: of its state, its weight, or both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerPatch {
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
}

/// The body of a request that may change something, or why it may not.
async fn read_patch(session: &mut ServerSession) -> Result<ServerPatch, Answer> {
    let headers = &session.req_header().headers;
    if !is_json(headers) {
        return Err(message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`"));
    }
    let broken = |e: pingora::BError| message(StatusCode::BAD_REQUEST, &format!("the body did not come: {e}"));
    if headers.contains_key(header::EXPECT) {
        session.write_continue_response().await.map_err(broken)?;
    }
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.map_err(broken)? {
        if body.len() + piece.len() > MAX_BODY {
            return Err(message(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|e| {
        let code = if e.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        message(code, &format!("the body is not understood: {e}"))
    })
}

/// What a scrape asks for; of several fields the first counts.
fn wanted_format(session: &ServerSession) -> Format {
    let accept = session.req_header().headers.get(header::ACCEPT);
    Format::wanted(accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn message(code: StatusCode, text: &str) -> Answer {
    (code, serde_json::json!({ "ok": code.is_success(), "message": text }).to_string())
}

fn response((code, json): Answer, method: &Method) -> Response<Vec<u8>> {
    let body = format!("{json}\n").into_bytes();
    let length = body.len();
    let mut response = Response::new(if method == Method::HEAD { Vec::new() } else { body });
    *response.status_mut() = code;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::CONTENT_LENGTH, length.into());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_path() {
        let server = |upstream: &str, server: &str| {
            Some(Resource::Server { upstream: upstream.to_owned(), server: server.to_owned() })
        };
        assert_eq!(Resource::at("/upstreams/api/servers/127.0.0.1:80"), server("api", "127.0.0.1:80"));
        assert_eq!(Resource::at("/upstreams/a%20b/servers/unix:/run/a.sock"), server("a b", "unix:/run/a.sock"));
        assert_eq!(Resource::at("/upstreams/api/servers/%5B::1%5D:80"), server("api", "[::1]:80"));
        for nothing in ["/", "/upstreams/", "/upstreams/api", "/upstreams/api/servers/", "/upstreams/x/servers/%ff"] {
            assert_eq!(Resource::at(nothing), None, "{nothing}");
        }
    }
}
