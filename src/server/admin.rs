//! The admin endpoint: what probes and people may ask of the process. It only tells;
//! orders go over the control socket, where the caller is known.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;

use super::service::Gate;
use super::status::{Phase, Status};
use crate::config::{Address, address_text};

pub struct Admin {
    pub address: Address,
    pub socket: Option<OwnedFd>,
    pub gate: Arc<Gate>,
    pub status: Arc<Status>,
}

#[async_trait]
impl Service for Admin {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _ends: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(socket) = self.socket.take() else { return };
        self.gate.opened().await;
        // It answers until the process ends, or another one has its socket.
        let gate = Arc::clone(&self.gate);
        let retired = async move { gate.retired().await };
        let routes = routes(Arc::clone(&self.status));
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

fn routes(status: Arc<Status>) -> Router {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(status)
}

fn json(code: StatusCode, text: &str, status: &Status) -> Response {
    let body = serde_json::json!({
        "status": text,
        "pid": std::process::id(),
        "generation": status.generation(),
        "uptime_s": status.started.elapsed().as_secs(),
    });
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (code, fields, format!("{body}\n")).into_response()
}

/// The process lives: nothing that a restart would mend is wrong.
async fn health(State(status): State<Arc<Status>>) -> Response {
    json(StatusCode::OK, "alive", &status)
}

/// New connections are welcome.
async fn ready(State(status): State<Arc<Status>>) -> Response {
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
    let answer = asked.map_err(|e| format!("{} does not answer: {e}", address_text(address)))?;
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
