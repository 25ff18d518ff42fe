//! Connections that last: server-sent events and the WebSocket echo.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use futures_util::stream;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::answer::now_ms;

/// A whole message is held to echo it, so it is bounded.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// One event per second, the first at once; numbering continues after the
/// `Last-Event-ID` of a reconnecting client.
pub(super) async fn events(headers: HeaderMap) -> Response {
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse::<u64>().ok())
        .unwrap_or(0);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let ticker = stream::unfold((ticks, last), |(mut ticks, last)| async move {
        ticks.tick().await;
        let number = last.saturating_add(1);
        let data = json!({ "number": number, "sent_ms": now_ms() });
        let event = Event::default().id(number.to_string()).data(data.to_string());
        Some((Ok::<_, Infallible>(event), (ticks, number)))
    });
    let no_buffering =
        [(header::CACHE_CONTROL, "no-cache, no-transform"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (no_buffering, Sse::new(ticker)).into_response()
}

pub(super) async fn websocket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(echo)
}

/// Text comes back as JSON `{"echo", "received_ms"}`; binary comes back after
/// eight bytes of big-endian arrival time. Pings and closes are answered by
/// the protocol layer while this keeps reading.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let reply = match message {
            Message::Text(text) => {
                let reply = json!({ "echo": text.as_str(), "received_ms": now_ms() });
                Message::text(reply.to_string())
            }
            Message::Binary(data) => {
                let mut reply = BytesMut::with_capacity(8 + data.len());
                reply.put_u64(now_ms());
                reply.put(data);
                Message::binary(reply.freeze())
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
        };
        if socket.send(reply).await.is_err() {
            return;
        }
    }
}
