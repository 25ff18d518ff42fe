//! Demo service "A": a small web application that shows, on one page, that
//! everything a modern site needs keeps working behind a reverse proxy.
//!
//! It shares no code with the proxy and does not read its configuration, so that it reports
//! what truly arrived over the network.

mod answer;
mod api;
mod files;
mod live;
mod notes;
mod session;
mod sessions;
mod state;
mod transfer;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use answer::failure;
use state::DemoState;

/// Largest JSON or form body the small endpoints accept.
const SMALL_BODY: usize = 64 * 1024;

/// Serves the demo on an already bound listener until the task is dropped.
///
/// # Errors
///
/// Returns an error when the accept loop ends because of the listener.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Small frames should not wait for Nagle; a failure only costs latency.
        stream.set_nodelay(true).ok();
    });
    let service = router().into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await
}

/// The whole demo as a router with fresh, empty state.
pub fn router() -> Router {
    let small = Router::new()
        .route("/api/notes", get(api::list).post(api::create))
        .route("/api/notes/{id}", get(api::read).put(api::replace).delete(api::remove))
        .route("/api/login", post(session::login))
        .route("/api/logout", post(session::logout))
        .route("/api/me", get(session::me))
        .layer(DefaultBodyLimit::max(SMALL_BODY));
    let streams = Router::new()
        .route("/api/echo", any(api::echo))
        .route("/api/upload", post(transfer::upload).put(transfer::upload))
        .route("/api/download", get(transfer::download))
        .route("/api/events", get(live::events))
        .route("/api/ws", any(live::websocket))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .merge(small)
        .merge(streams)
        .merge(files::routes())
        .fallback(not_found)
        .with_state(DemoState::default())
}

async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "no such page")
}
