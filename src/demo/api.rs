//! The REST interface of the notes, and the request echo.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::answer::{failure, now_ms};
use super::notes::MAX_NOTES;
use super::state::{DemoState, lock};

const MAX_TEXT: usize = 2_000;

type Body = Result<Json<Value>, JsonRejection>;

/// The note text from a JSON body `{"text": "…"}`.
fn text_of(body: Body) -> Result<String, Box<Response>> {
    let Json(value) = body.map_err(|rejected| Box::new(failure(rejected.status(), &rejected.body_text())))?;
    let text = value.get("text").and_then(Value::as_str).map(str::trim);
    match text {
        None | Some("") => Err("send {\"text\": \"…\"}"),
        Some(text) if text.chars().count() > MAX_TEXT => Err("a note has at most 2000 characters"),
        Some(text) => Ok(text.to_owned()),
    }
    .map_err(|reason| Box::new(failure(StatusCode::UNPROCESSABLE_ENTITY, reason)))
}

fn missing() -> Response {
    failure(StatusCode::NOT_FOUND, "no such note")
}

pub(super) async fn list(State(state): State<DemoState>) -> Json<Value> {
    let notes = lock(&state.notes);
    let shown: Vec<Value> = notes.by_id.iter().rev().map(|(id, note)| note.show(*id)).collect();
    Json(json!({ "notes": shown, "limit": MAX_NOTES }))
}

pub(super) async fn create(State(state): State<DemoState>, body: Body) -> Response {
    match text_of(body) {
        Err(refused) => *refused,
        Ok(text) => {
            let (id, note) = lock(&state.notes).add(text);
            let location = [(header::LOCATION, format!("/api/notes/{id}"))];
            (StatusCode::CREATED, location, Json(note)).into_response()
        }
    }
}

pub(super) async fn read(State(state): State<DemoState>, Path(id): Path<u64>) -> Response {
    match lock(&state.notes).by_id.get(&id) {
        Some(note) => Json(note.show(id)).into_response(),
        None => missing(),
    }
}

pub(super) async fn replace(State(state): State<DemoState>, Path(id): Path<u64>, body: Body) -> Response {
    let text = match text_of(body) {
        Err(refused) => return *refused,
        Ok(text) => text,
    };
    match lock(&state.notes).by_id.get_mut(&id) {
        Some(note) => {
            note.text = text;
            note.updated_ms = now_ms();
            Json(note.show(id)).into_response()
        }
        None => missing(),
    }
}

pub(super) async fn remove(State(state): State<DemoState>, Path(id): Path<u64>) -> Response {
    match lock(&state.notes).by_id.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => missing(),
    }
}

/// Reports the request exactly as it arrived; the body is counted, not kept.
pub(super) async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body_bytes: u64 = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => body_bytes += chunk.len() as u64,
            Err(_) => return failure(StatusCode::BAD_REQUEST, "the body ended early"),
        }
    }
    let headers: Vec<Value> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.to_string());
    let answer = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "version": format!("{:?}", parts.version),
        "headers": headers,
        "body_bytes": body_bytes,
        "peer": peer,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_empty_and_long_texts() {
        assert!(text_of(Ok(Json(json!({ "text": "  " })))).is_err());
        assert!(text_of(Ok(Json(json!({ "text": "x".repeat(MAX_TEXT + 1) })))).is_err());
        assert_eq!(text_of(Ok(Json(json!({ "text": " a " })))).ok(), Some("a".to_owned()));
    }
}
