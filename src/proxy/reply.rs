//! Answers that the proxy writes itself; the only place that makes one. Each
//! passes through the response filters of its route, as an upstream's would.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::error::Refusal;
use super::grpc;
use super::keepalive::{close_if_body_is_withheld, discard_body, give_up_rest_of_body, is_unanswered};
use super::request_id;
use super::response::add_hsts;
use super::retry::note_end;
use super::server_timing;
use crate::config::{ErrorPages, StatusSet};
use crate::filter::{Cause, Edited, Origin, Reply, ResponseContext, WayOut};
use crate::http1::spelling;
use crate::message::html;
use crate::message::request_id::RequestId;

/// Writes the reply whole. An error is not written: it becomes a refusal, so that each goes
/// the same way, through [`fail`].
///
/// # Errors
/// When the client is gone, and for [`Reply::Error`].
pub async fn send(session: &mut Session, ctx: &RequestCtx, reply: Reply) -> pingora::Result<()> {
    let (head, body) = match reply {
        Reply::Error(cause) => return Err(Refusal::of(cause).into()),
        // The step before has the answer to it.
        Reply::ExchangeCode(_) => return Err(Refusal::of(Cause::Internal).into()),
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
    write(session, ctx, head, body).await
}

/// Tells the client what went wrong, where it can still be told. Whether the connection can
/// go on: after a request for which no server was asked.
pub async fn fail(session: &mut Session, ctx: &mut RequestCtx, refusal: Refusal) -> bool {
    let cause = refusal.cause;
    if cause == Cause::BodyWithheld {
        // The server has answered and is not waited for.
        note_end(ctx, false);
        ctx.attempts.release();
        ctx.failure = give_up_rest_of_body(session).await.then_some(cause);
        return false;
    }
    ctx.failure = Some(cause);
    if !is_unanswered(session) || cause.is_lost_client() {
        return false;
    }
    let goes_on = ctx.attempts.began.is_none() && !ends_connection(cause);
    if !goes_on {
        ctx.close_connection();
    }
    if let Some(exchange) = ctx.exchange() {
        // The request's deadline does not limit the reply; that of writing does.
        exchange.deadlines.set_request(None);
    }
    if let Err(e) = send_error(session, ctx, refusal).await {
        log::debug!("request {}: the client did not take the reply: {e}", ctx.request_id);
        return false;
    }
    ctx.attempts.release();
    ctx.place = None;
    discard_body(session, cause).await;
    goes_on
}

/// Whether the connection is not worth keeping: it is one too many, or what is left of a body that is
/// too large would have to be read first.
fn ends_connection(cause: Cause) -> bool {
    matches!(cause, Cause::BodyTooLarge | Cause::ConnectionLimit | Cause::ConnectionsOfAddress)
}

async fn send_error(session: &mut Session, ctx: &RequestCtx, refusal: Refusal) -> pingora::Result<()> {
    let (mut head, body) = match grpc::content_type(session.req_header()) {
        Some(kind) => (grpc::error_reply(refusal.cause, kind, &ctx.request_id)?, Bytes::new()),
        None => {
            let accept = session.get_header(header::ACCEPT).map(HeaderValue::as_bytes);
            error_reply(refusal.cause, accept, &ctx.snapshot.errors, &ctx.request_id, ctx.findings.way_out())?
        }
    };
    if let Some(seconds) = refusal.retry_after {
        head.insert_header("Retry-After", seconds)?;
    }
    write(session, ctx, head, body).await
}

async fn write(session: &mut Session, ctx: &RequestCtx, mut head: ResponseHeader, body: Bytes) -> pingora::Result<()> {
    let bodyless = matches!(head.status.as_u16(), 204 | 304);
    if !bodyless {
        head.insert_header("Content-Length", body.len())?;
    }
    let mut told = Edited::new(&mut head);
    request_id::tell_client(&mut told, ctx);
    server_timing::tell(&mut told, ctx);
    told.outcome().map_err(Refusal::of)?;
    if let Some(route) = ctx.route() {
        let (request, mut response) = (ctx.request(session.req_header()), Edited::new(&mut head));
        ctx.findings.edit_response(&mut response);
        let edited = route.filters.on_response(ResponseContext { request, response, origin: Origin::Local });
        edited.map_err(Refusal::of)?;
        let mut response = Edited::new(&mut head);
        ctx.findings.set_cookies(&mut response);
        response.outcome().map_err(Refusal::of)?;
    }
    add_hsts(&mut head, ctx)?;
    close_if_body_is_withheld(session, ctx);
    let silent = bodyless || body.is_empty() || session.req_header().method == Method::HEAD;
    // Pingora does not say whose failure it is that a reply was not taken.
    session.write_response_header(Box::new(head), silent).await.map_err(|e| e.into_down())?;
    if !silent {
        session.write_response_body(Some(body), true).await.map_err(|e| e.into_down())?;
    }
    Ok(())
}

/// The reply to bytes that are no request, as bytes: there is no session to send it.
///
/// # Errors
/// Never: each of its fields is made here.
pub fn to_malformed(
    cause: Cause,
    accept: Option<&[u8]>,
    pages: &ErrorPages,
    id: &RequestId,
) -> pingora::Result<Vec<u8>> {
    let (mut head, body) = error_reply(cause, accept, pages, id, None)?;
    let reason = head.status.canonical_reason().unwrap_or("Error");
    let mut out = Vec::with_capacity(512 + body.len());
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).as_bytes());
    head.insert_header(header::DATE, get_cached_date())?;
    spelling::response_fields(&head).for_each(|(name, value)| name.push_line(value, &mut out));
    out.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(&body);
    Ok(out)
}

/// The reply to what is no request on a stream of HTTP/2.
///
/// # Errors
/// Never: each of its fields is made here.
pub fn to_refused_stream(
    cause: Cause,
    accept: Option<&[u8]>,
    pages: &ErrorPages,
    id: &RequestId,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let (mut head, body) = error_reply(cause, accept, pages, id, None)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    Ok((head, body))
}

fn error_reply(
    cause: Cause,
    accept: Option<&[u8]>,
    pages: &ErrorPages,
    id: &RequestId,
    way_out: Option<&WayOut>,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let status = cause.status();
    let mut head = ResponseHeader::build(status, Some(8))?;
    let id = id.to_string();
    let (content_type, body) = match page(pages, status) {
        Some((content_type, body)) => (content_type, body),
        None => generated(accepted(accept.unwrap_or_default()), cause, &id, way_out),
    };
    head.insert_header("Content-Type", content_type)?;
    head.insert_header("Cache-Control", "no-store")?;
    head.insert_header("Proxy-Status", proxy_status(cause).map_err(Refusal::of)?)?;
    head.insert_header("X-Request-Id", id)?;
    if cause == Cause::MethodRefused {
        head.insert_header("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    Ok((head, body))
}

/// Why the proxy refuses a request, as RFC 9209 has it.
///
/// # Errors
/// Never: the words of a cause are plain text.
pub fn proxy_status(cause: Cause) -> Result<HeaderValue, Cause> {
    let (error, reason, message) = (cause.proxy_status(), cause.reason(), cause.message());
    HeaderValue::try_from(format!("pingora-proxy; error={error}; details=\"{reason}: {message}\""))
        .map_err(|_| Cause::Internal)
}

/// What an error page says more, and where it leads.
fn offered(way_out: &WayOut) -> String {
    let (href, label) = (html::escaped(&way_out.href), way_out.label);
    let detail =
        way_out.detail.as_deref().map(|detail| format!("<p>{}</p>", html::escaped(detail))).unwrap_or_default();
    format!("{detail}<p><a href=\"{href}\">{label}</a></p>")
}

fn page(pages: &ErrorPages, status: u16) -> Option<(&'static str, Bytes)> {
    let fits = |set: &StatusSet| match set {
        StatusSet::One(one) => one.as_u16() == status,
        StatusSet::Class(class) => u16::from(*class) == status / 100,
    };
    let exact = |set: &StatusSet| matches!(set, StatusSet::One(_));
    let found = pages.pages.iter().find(|(set, _)| exact(set) && fits(set));
    let (_, page) = found.or_else(|| pages.pages.iter().find(|(set, _)| fits(set)))?;
    Some((page.content_type, page.body.clone()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorFormat {
    Html,
    Json,
    Text,
}

/// The first of our three formats that Accept names; text for a client that takes anything.
fn accepted(accept: &[u8]) -> ErrorFormat {
    accept
        .split(|b| *b == b',')
        .find_map(|range| {
            let kind = range.split(|b| *b == b';').next().unwrap_or(range).trim_ascii().to_ascii_lowercase();
            match kind.as_slice() {
                b"text/html" | b"application/xhtml+xml" => Some(ErrorFormat::Html),
                b"application/json" | b"application/*" => Some(ErrorFormat::Json),
                b"text/plain" | b"text/*" => Some(ErrorFormat::Text),
                json if json.ends_with(b"+json") => Some(ErrorFormat::Json),
                _ => None,
            }
        })
        .unwrap_or(ErrorFormat::Text)
}

fn generated(format: ErrorFormat, cause: Cause, id: &str, way_out: Option<&WayOut>) -> (&'static str, Bytes) {
    let status = cause.status();
    let title = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    let (message, reason) = (cause.message(), cause.reason());
    match format {
        ErrorFormat::Html => (
            "text/html; charset=utf-8",
            html::page(
                &format!("{status} {title}"),
                &format!(
                    "<p>{message}.</p>{}<p><small>reason <code>{reason}</code>, request <code>{id}</code></small></p>",
                    way_out.map(offered).unwrap_or_default()
                ),
            )
            .into(),
        ),
        ErrorFormat::Json => (
            "application/json",
            format!(
                "{{\"status\":{status},\"error\":\"{title}\",\"message\":\"{message}\",\"reason\":\"{reason}\",\"request_id\":\"{id}\"}}\n"
            )
            .into(),
        ),
        ErrorFormat::Text => (
            "text/plain; charset=utf-8",
            format!("{status} {title}: {message}\nreason: {reason}\nrequest: {id}\n").into(),
        ),
    }
}
