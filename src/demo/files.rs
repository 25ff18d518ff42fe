//! The embedded page and its assets, with content types, entity tags and conditional
//! responses.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: Asset = Asset { kind: "text/html; charset=utf-8", text: include_str!("page/index.html") };
const SCRIPT: Asset = Asset { kind: "text/javascript; charset=utf-8", text: include_str!("page/app.js") };
const STYLE: Asset = Asset { kind: "text/css; charset=utf-8", text: include_str!("page/style.css") };
const ICON: Asset = Asset { kind: "image/svg+xml", text: include_str!("page/icon.svg") };

const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

struct Asset {
    kind: &'static str,
    text: &'static str,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", serve(&HTML))
        .route("/index.html", serve(&HTML))
        .route("/app.js", serve(&SCRIPT))
        .route("/style.css", serve(&STYLE))
        .route("/icon.svg", serve(&ICON))
}

fn serve<S: Clone + Send + Sync + 'static>(asset: &'static Asset) -> axum::routing::MethodRouter<S> {
    let tag = asset.tag();
    get(move |headers: HeaderMap| async move { asset.answer(&tag, &headers) })
}

impl Asset {
    fn tag(&self) -> String {
        format!("\"{:x}-{:08x}\"", self.text.len(), crc32fast::hash(self.text.as_bytes()))
    }

    fn answer(&self, tag: &str, headers: &HeaderMap) -> Response {
        let common = [
            (header::ETAG, tag),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        if is_current(headers, tag) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        ([(header::CONTENT_TYPE, self.kind)], common, self.text).into_response()
    }
}

/// Whether `If-None-Match` names this tag, by weak comparison.
fn is_current(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn compares_tags_weakly_and_in_lists() {
        let known = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(line));
            is_current(&headers, "\"a\"")
        };
        assert!(known("\"a\""));
        assert!(known("\"b\", W/\"a\""));
        assert!(known("*"));
        assert!(!known("\"b\""));
    }
}
