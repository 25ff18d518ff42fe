//! The admin endpoint: what probes and people may ask of the process, and what they may
//! change of an upstream's servers. Orders to the process itself go over the control
//! socket, where the caller is known.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use axum::{Json, Router};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use serde::Deserialize;

use super::service::Gate;
use super::status::{Phase, Status};
use crate::config::Address;
use crate::runtime::Live;
use crate::upstream::{Change, Command, Reports, State as ServerState};

pub struct Admin {
    pub address: Address,
    pub socket: Option<OwnedFd>,
    pub gate: Arc<Gate>,
    pub asked: Asked,
}

/// What answers are made from.
#[derive(Clone)]
pub struct Asked {
    pub status: Arc<Status>,
    pub live: Arc<Live>,
}

#[async_trait]
impl Service for Admin {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _ends: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(socket) = self.socket.take() else { return };
        self.gate.opened().await;
        // It answers until the process ends, or another one has its socket.
        let gate = Arc::clone(&self.gate);
        let retired = async move { gate.retired().await };
        let routes = routes(self.asked.clone());
        let served = match &self.address {
            Address::Tcp(_) => match tokio::net::TcpListener::from_std(TcpListener::from(socket)) {
                Ok(listener) => axum::serve(listener, routes).with_graceful_shutdown(retired).await,
                Err(e) => Err(e),
            },
            Address::Unix(_) => match tokio::net::UnixListener::from_std(UnixListener::from(socket)) {
                Ok(listener) => axum::serve(listener, routes).with_graceful_shutdown(retired).await,
                Err(e) => Err(e),
            },
        };
        if let Err(e) = served {
            log::error!("the admin endpoint ended: {e}");
        }
    }

    fn name(&self) -> &str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

fn routes(asked: Asked) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/upstreams", get(upstreams))
        .route("/upstreams/{upstream}/servers/{*server}", patch(change_server))
        .with_state(asked)
}

/// Every upstream as JSON.
pub fn report(live: &Live) -> String {
    let snapshot = live.pin();
    let all = Reports { upstreams: snapshot.pools.iter().map(|pool| pool.report()).collect() };
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

/// # Errors
/// In words, when there is no such server.
pub fn change(live: &Live, command: &Command) -> Result<String, String> {
    let snapshot = live.pin();
    let pool = snapshot.pools.iter().find(|pool| *pool.name == *command.upstream);
    let pool = pool.ok_or_else(|| {
        let known: Vec<&str> = snapshot.pools.iter().map(|pool| &*pool.name).collect();
        format!("there is no upstream `{}`; there are {}", command.upstream, known.join(", "))
    })?;
    pool.obey(&command.server, command.change)
}

/// Says of each server what the operator said of it to an older process, whose report
/// this is.
pub fn repeat(live: &Live, report: &str) {
    let report: Reports = match serde_json::from_str(report) {
        Ok(report) => report,
        Err(e) => return log::info!("upgrade: the servers' states are not understood: {e}"),
    };
    for upstream in report.upstreams {
        for server in upstream.servers {
            let state = match server.state {
                ServerState::Draining => Some(Change::Drain),
                ServerState::Disabled => Some(Change::Disable),
                ServerState::Up | ServerState::Down | ServerState::Ejected => None,
            };
            let weight = server.configured_weight.map(|_| Change::Weight(server.weight));
            for change in state.into_iter().chain(weight) {
                let command = Command { upstream: upstream.name.clone(), server: server.address.clone(), change };
                if let Err(reason) = self::change(live, &command) {
                    log::info!("what the operator said of a server has no use any more: {reason}");
                }
            }
        }
    }
}

async fn upstreams(State(asked): State<Asked>) -> Response {
    told(StatusCode::OK, &report(&asked.live))
}

/// What may be changed of a server: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: Option<Wish>,
    /// 0 is the configured one.
    weight: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Enabled,
    Draining,
    Disabled,
}

async fn change_server(
    State(asked): State<Asked>,
    Path((upstream, server)): Path<(String, String)>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Response {
    let answer = |code: StatusCode, ok: bool, text: String| {
        (code, Json(serde_json::json!({ "ok": ok, "message": text }))).into_response()
    };
    if let Err(reason) = from_this_machine(&headers) {
        return answer(StatusCode::FORBIDDEN, false, reason);
    }
    let state = wanted.state.map(|state| match state {
        Wish::Enabled => Change::Enable,
        Wish::Draining => Change::Drain,
        Wish::Disabled => Change::Disable,
    });
    let changes: Vec<Change> = state.into_iter().chain(wanted.weight.map(Change::Weight)).collect();
    // All of them before any: half a change is none.
    if let Some(reason) = changes.iter().find_map(|change| change.check().err()) {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, false, reason);
    }
    let mut done = Vec::new();
    for change in changes {
        let command = Command { upstream: upstream.clone(), server: server.clone(), change };
        match self::change(&asked.live, &command) {
            Ok(text) => done.push(text),
            Err(reason) => return answer(StatusCode::NOT_FOUND, false, reason),
        }
    }
    match done.as_slice() {
        [] => answer(StatusCode::BAD_REQUEST, false, "`state` or `weight` is missing".to_owned()),
        done => answer(StatusCode::OK, true, done.join("; ")),
    }
}

/// A page in somebody's browser must not change anything, whatever name it has found for
/// this machine.
fn from_this_machine(headers: &HeaderMap) -> Result<(), String> {
    if headers.contains_key(header::ORIGIN) {
        return Err("a page may not do that".to_owned());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = crate::message::host::split(host).map_or("", |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if name == "localhost" || bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("`{host}` is not this machine: ask with its IP address or `localhost`"))
}

fn json(code: StatusCode, text: &str, status: &Status) -> Response {
    let body = serde_json::json!({
        "status": text,
        "pid": std::process::id(),
        "generation": status.generation(),
        "uptime_s": status.started.elapsed().as_secs(),
    });
    told(code, &body.to_string())
}

/// `text` is JSON.
fn told(code: StatusCode, text: &str) -> Response {
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (code, fields, format!("{text}\n")).into_response()
}

/// The process lives: nothing that a restart would mend is wrong.
async fn health(State(Asked { status, .. }): State<Asked>) -> Response {
    json(StatusCode::OK, "alive", &status)
}

/// New connections are welcome.
async fn ready(State(Asked { status, .. }): State<Asked>) -> Response {
    match status.phase() {
        Phase::Serving => json(StatusCode::OK, "ready", &status),
        phase @ (Phase::Starting | Phase::Draining | Phase::HandedOver) => {
            json(StatusCode::SERVICE_UNAVAILABLE, phase.describe(), &status)
        }
    }
}

/// Asks a process for `what`, as a probe would.
///
/// # Errors
/// When the answer is not 200, or there is none.
pub fn ask(address: &Address, what: &str) -> Result<(), String> {
    const WAIT: Duration = Duration::from_secs(5);
    let asked = match address {
        Address::Tcp(address) => TcpStream::connect_timeout(address, WAIT)
            .and_then(|stream| stream.set_read_timeout(Some(WAIT)).and_then(|()| exchange(stream, what))),
        Address::Unix(path) => UnixStream::connect(path)
            .and_then(|stream| stream.set_read_timeout(Some(WAIT)).and_then(|()| exchange(stream, what))),
    };
    let answer = asked.map_err(|e| format!("{} does not answer: {e}", address))?;
    if answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 ") {
        return Ok(());
    }
    Err(format!("not ready: {}", answer.lines().last().unwrap_or("no answer")))
}

fn exchange(mut stream: impl Read + Write, what: &str) -> io::Result<String> {
    stream.write_all(format!("GET {what} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
