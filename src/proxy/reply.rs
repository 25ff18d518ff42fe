//! Answers that the proxy writes itself; the only place that sends one. Each
//! passes through the response filters of its route, as an upstream's would.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::fail;
use crate::config::{ErrorPages, StatusSet};
use crate::downstream::Peer;
use crate::filter::{Cause, Edited, Origin, Reply, ResponseContext};

/// Writes the reply whole.
///
/// # Errors
/// When the client is gone.
pub async fn send(session: &mut Session, ctx: &mut RequestCtx, reply: Reply) -> pingora::Result<()> {
    let (mut head, body) = match reply {
        Reply::Error(cause) => {
            ctx.failure = Some(cause);
            let accept = session.get_header(header::ACCEPT).map(HeaderValue::as_bytes);
            let (mut head, body) = error_reply(cause, accept, &ctx.snapshot.errors, ctx.request_id)?;
            if let Some(seconds) = ctx.retry_after.filter(|_| cause.status() == 503) {
                head.insert_header("Retry-After", seconds)?;
            }
            (head, body)
        }
        Reply::Redirect { location, status } => {
            let mut head = ResponseHeader::build(status, Some(4))?;
            head.insert_header("Location", location)?;
            (head, Bytes::new())
        }
        Reply::Respond { status, body, headers } => {
            let mut head = ResponseHeader::build(status, Some(headers.len() + 4))?;
            for (name, value) in headers {
                head.append_header(name.spelled, value)?;
            }
            if !body.is_empty() && !head.headers.contains_key(header::CONTENT_TYPE) {
                head.insert_header("Content-Type", "text/plain; charset=utf-8")?;
            }
            (head, body)
        }
    };
    let bodyless = matches!(head.status.as_u16(), 204 | 304);
    if !bodyless {
        head.insert_header("Content-Length", body.len())?;
    }
    if let Some(route) = ctx.route() {
        let (request, response) = (ctx.request(session.req_header()), Edited::new(&mut head));
        let edited = route.filters.on_response(ResponseContext { request, response, origin: Origin::Local });
        edited.map_err(fail::internal)?;
    }
    settle_unread_body(session);
    end_if_closing(session);
    let silent = bodyless || body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), silent).await?;
    if !silent {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// What is left of a body after a final answer is read within the drain limit, so
/// that a close does not destroy the answer on its way. But a client that waits for
/// 100 will not send its body any more (RFC 9110 section 10.1.1): the next bytes could
/// be either, so the connection ends.
pub fn settle_unread_body(session: &mut Session) {
    if !session.as_mut().is_body_done() && session.req_header().headers.contains_key(header::EXPECT) {
        session.set_keepalive(None);
    }
}

/// A response that begins while the process is about to end says so, and ends its
/// connection: the client's next request goes elsewhere.
pub fn end_if_closing(session: &mut Session) {
    if Peer::of(session.digest()).is_none_or(Peer::ends_after_answer) {
        session.set_keepalive(None);
    }
}

/// The reply to what is no request, as bytes: there is no session to send it.
///
/// # Errors
/// Never: each of its fields is made here.
pub fn refusal(cause: Cause, accept: Option<&[u8]>, pages: &ErrorPages, id: u64) -> pingora::Result<Vec<u8>> {
    let (mut head, body) = error_reply(cause, accept, pages, id)?;
    let reason = head.status.canonical_reason().unwrap_or("Error");
    let mut out = Vec::with_capacity(512 + body.len());
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).as_bytes());
    head.insert_header(header::DATE, get_cached_date())?;
    for (name, value) in head.case_header_iter() {
        [name.as_slice(), b": ", value.as_bytes(), b"\r\n"].iter().for_each(|part| out.extend_from_slice(part));
    }
    out.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(&body);
    Ok(out)
}

fn error_reply(
    cause: Cause,
    accept: Option<&[u8]>,
    pages: &ErrorPages,
    id: u64,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let status = cause.status();
    let mut head = ResponseHeader::build(status, Some(8))?;
    let id = format!("{id:016x}");
    let (content_type, body) = match page(pages, status) {
        Some((content_type, body)) => (content_type, body),
        None => generated(accepted(accept.unwrap_or_default()), cause, &id),
    };
    head.insert_header("Content-Type", content_type)?;
    head.insert_header("Cache-Control", "no-store")?;
    head.insert_header(
        "Proxy-Status",
        format!("pingora-proxy; error={}; details=\"{}\"", cause.proxy_status(), cause.message()),
    )?;
    head.insert_header("X-Request-Id", id)?;
    if cause == Cause::MethodRefused {
        head.insert_header("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    Ok((head, body))
}

fn page(pages: &ErrorPages, status: u16) -> Option<(&'static str, Bytes)> {
    let fits = |set: &StatusSet| match set {
        StatusSet::One(one) => one.as_u16() == status,
        StatusSet::Class(class) => u16::from(*class) == status / 100,
    };
    let exact = |set: &StatusSet| matches!(set, StatusSet::One(_));
    let found = pages.pages.iter().find(|(set, _)| exact(set) && fits(set));
    let (_, page) = found.or_else(|| pages.pages.iter().find(|(set, _)| fits(set)))?;
    Some((page.content_type, Bytes::copy_from_slice(&page.body)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

/// The first of our three forms that Accept names; text for a client that takes anything.
fn accepted(accept: &[u8]) -> Form {
    accept
        .split(|b| *b == b',')
        .find_map(|range| {
            let kind = range.split(|b| *b == b';').next().unwrap_or(range).trim_ascii().to_ascii_lowercase();
            match kind.as_slice() {
                b"text/html" | b"application/xhtml+xml" => Some(Form::Html),
                b"application/json" | b"application/*" => Some(Form::Json),
                b"text/plain" | b"text/*" => Some(Form::Text),
                json if json.ends_with(b"+json") => Some(Form::Json),
                _ => None,
            }
        })
        .unwrap_or(Form::Text)
}

fn generated(form: Form, cause: Cause, id: &str) -> (&'static str, Bytes) {
    let status = cause.status();
    let title = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    let (message, reason) = (cause.message(), cause.proxy_status());
    match form {
        Form::Html => (
            "text/html; charset=utf-8",
            format!(
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
                 content=\"width=device-width\"><title>{status} {title}</title><style>body{{font:16px/1.5 \
                 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1.5rem;color:#222;background:#fff}}\
                 h1{{font-size:1.4rem}}code,small{{color:#666}}@media(prefers-color-scheme:dark){{body{{color:#ddd;\
                 background:#16181d}}}}</style><h1>{status} {title}</h1><p>{message}.</p><p><small>reason \
                 <code>{reason}</code>, request <code>{id}</code></small></p></html>\n"
            )
            .into(),
        ),
        Form::Json => (
            "application/json",
            format!(
                "{{\"status\":{status},\"error\":\"{title}\",\"message\":\"{message}\",\"reason\":\"{reason}\",\"request_id\":\"{id}\"}}\n"
            )
            .into(),
        ),
        Form::Text => (
            "text/plain; charset=utf-8",
            format!("{status} {title}: {message}\nreason: {reason}\nrequest: {id}\n").into(),
        ),
    }
}
