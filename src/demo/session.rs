//! The login by cookie. It is a demonstration: the one password is published.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, IntoResponseParts, Response};
use serde_json::{Value, json};

use super::answer::failure;
use super::state::{DemoState, lock};

const COOKIE: &str = "demo_session";
/// A second, script-readable cookie: two `Set-Cookie` lines must both survive.
const MARKER: &str = "demo_signed_in";
const PASSWORD: &str = "demo";
const MAX_NAME: usize = 60;
const MAX_AGE_SECONDS: u32 = 3_600;

fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// `; Secure` when the visitor came over TLS, as the forwarding header says.
fn secure(headers: &HeaderMap) -> &'static str {
    let proto = headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
    if proto == Some(b"https") { "; Secure" } else { "" }
}

fn cookies(headers: &HeaderMap, token: &str, age: u32) -> impl IntoResponseParts {
    let secure = secure(headers);
    let marker = if age == 0 { "" } else { "yes" };
    let rest = format!("Path=/; Max-Age={age}; SameSite=Lax{secure}");
    (
        AppendHeaders([
            (header::SET_COOKIE, format!("{COOKIE}={token}; HttpOnly; {rest}")),
            (header::SET_COOKIE, format!("{MARKER}={marker}; {rest}")),
        ]),
        [(header::CACHE_CONTROL, "no-store")],
    )
}

pub(super) async fn login(
    State(state): State<DemoState>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Response {
    let value = match body {
        Ok(Json(value)) => value,
        Err(rejected) => return failure(rejected.status(), &rejected.body_text()),
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let user = field("user").trim();
    if user.is_empty() || user.chars().count() > MAX_NAME {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "give a name of 1 to 60 characters");
    }
    if field("password") != PASSWORD {
        return failure(StatusCode::UNAUTHORIZED, "wrong password");
    }
    let token = lock(&state.sessions).open(user.to_owned());
    (cookies(&headers, &token, MAX_AGE_SECONDS), Json(json!({ "user": user }))).into_response()
}

/// Who is signed in; `null` for nobody, which is no error: a browser would show it as one.
pub(super) async fn me(State(state): State<DemoState>, headers: HeaderMap) -> Response {
    let user = token(&headers).and_then(|token| lock(&state.sessions).user(token));
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "user": user }))).into_response()
}

pub(super) async fn logout(State(state): State<DemoState>, headers: HeaderMap) -> Response {
    if let Some(token) = token(&headers) {
        lock(&state.sessions).close(token);
    }
    (StatusCode::NO_CONTENT, cookies(&headers, "", 0), ()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_token_among_other_cookies_and_lines() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; b=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=3; demo_session=t0"));
        assert_eq!(token(&headers), Some("t0"));
    }
}
