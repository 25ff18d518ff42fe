//! The step that asks a service whether a request may pass. It is asked about each request, and
//! nothing of its answers is kept; without an answer nobody passes.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use pingora::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use pingora_timeout::timeout;

use super::context::RequestCtx;
use super::reply::proxy_status;
use super::waiting::while_client_stays;
use crate::auth::ServiceFault;
use crate::config::FieldName;
use crate::filter::loops::{self, CDN_LOOP};
use crate::filter::{Cause, Edited, Findings, RareFields, Reply, hop_by_hop};
use crate::http1::spelling::{self, SpelledName};
use crate::message::forwarded;
use crate::runtime::ForwardAuth;
use crate::upstream::http1::BadResponse;
use crate::upstream::{CallFailure, Connector, Question, call};

/// The largest body of an answer, in bytes.
const LARGEST: usize = 64 * 1024;
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// Fields that some upstreams take for the target or the method of a request (Symfony, IIS, Zend): on
/// these routes they are the proxy's to tell the service, and nobody's to tell the upstream.
const OTHER_TARGETS: [HeaderName; 4] = [
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-rewrite-url"),
];

/// The reply to who may not pass. `connector` is the worker's, for such questions.
pub async fn reply(connector: &Connector, session: &mut Session, ctx: &mut RequestCtx) -> Option<Reply> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let route = snapshot.routes.get(ctx.admission.route.ok()?)?;
    let rule = route.forward_auth.as_ref()?;
    if session.req_header().headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Some(Reply::Error(Cause::CredentialsTwice));
    }
    let question = match question(rule, session.req_header(), ctx) {
        Ok(question) => question,
        Err(e) => {
            log::debug!("request {}: it could not be asked about: {e}", ctx.request_id);
            return Some(Reply::Error(Cause::Internal));
        }
    };
    let asked = timeout(rule.timeout, call(connector, &rule.service.pool, Question::new(&question, LARGEST)));
    let fault = match while_client_stays(session, asked).await {
        Err(_) => return Some(Reply::Error(Cause::ClientGone)),
        Ok(Ok(Ok((head, _)))) if head.status.is_success() => {
            tell_same(session.req_header(), ctx);
            grant(rule, &head.headers, &mut ctx.findings);
            return None;
        }
        Ok(Ok(Ok((head, body)))) => match denial(head, body) {
            Ok(reply) => {
                ctx.failure = Some(Cause::ServiceDenied);
                return Some(reply);
            }
            Err(_) => ServiceFault::Invalid,
        },
        Ok(Ok(Err(failure))) => {
            if let CallFailure::Failed(error) = &failure {
                let what =
                    format_args!("route `{}`: no answer from the service of `auth.forward`: {error}", route.name);
                rule.unanswered.say(log::Level::Warn, module_path!(), &what);
            }
            fault_of(&failure)
        }
        Ok(Err(_)) => ServiceFault::TimedOut,
    };
    Some(Reply::Error(Cause::ServiceFailed(fault)))
}

/// What the service is asked: by GET, whatever the client's method, and without its body.
fn question(rule: &ForwardAuth, head: &RequestHeader, ctx: &RequestCtx) -> pingora::Result<RequestHeader> {
    let request = ctx.request(head);
    let mut question = RequestHeader::build("GET", rule.service.target.as_bytes(), Some(16))?;
    question.insert_header("Host", &rule.service.host)?;
    let seen = as_forwarded(head, ctx)?;
    for name in [header::COOKIE, header::AUTHORIZATION, CDN_LOOP].iter().chain(&rule.request_headers) {
        if let Some(value) = joined(&seen.headers, name) {
            question.insert_header(SpelledName::Usual(name).to_bytes(), value)?;
        }
    }
    let (host, target) = (request.known_as(), request.target());
    question.insert_header("X-Forwarded-Method", head.method.as_str())?;
    question.insert_header("X-Forwarded-Proto", request.scheme)?;
    question.insert_header("X-Forwarded-Host", host)?;
    question.insert_header("X-Forwarded-Uri", target)?;
    // Without it the service might take the proxy's own address for the client's.
    question.insert_header("X-Forwarded-For", forwarded::address(request.client_ip))?;
    question.insert_header("X-Original-Method", head.method.as_str())?;
    question.insert_header("X-Original-URL", format!("{}://{host}{target}", request.scheme))?;
    let mut edited = Edited::new(&mut question);
    loops::mark(&mut edited);
    match edited.outcome() {
        Ok(()) => Ok(question),
        Err(_) => Error::e_explain(ErrorType::InvalidHTTPHeader, "a field of it"),
    }
}

/// The client's fields without those that end here and those that are not believed: about what the
/// upstream does not get, the service is not asked.
fn as_forwarded(head: &RequestHeader, ctx: &RequestCtx) -> pingora::Result<RequestHeader> {
    let mut seen = head.clone();
    let mut edited = Edited::new(&mut seen);
    let (trusted, upgrade) = (ctx.admission.remote_trusted, ctx.admission.upgrade);
    hop_by_hop::strip_request(&mut edited, trusted, upgrade, false, ctx.snapshot.underscores);
    match edited.outcome() {
        Ok(()) => Ok(seen),
        Err(_) => Error::e_explain(ErrorType::InvalidHTTPHeader, "a field of the client's"),
    }
}

/// Has the upstream read what the service has read: several `Cookie` fields as one, and no other target
/// than that of the request.
fn tell_same(head: &RequestHeader, ctx: &mut RequestCtx) {
    if head.headers.get_all(header::COOKIE).iter().nth(1).is_some() {
        ctx.findings.tell_upstream(header::COOKIE, joined(&head.headers, &header::COOKIE));
    }
    if !ctx.admission.remote_trusted {
        OTHER_TARGETS.into_iter().for_each(|name| ctx.findings.tell_upstream(name, None));
    }
}

/// What the upstream and the client are told by the service's answer.
fn grant(rule: &ForwardAuth, answer: &HeaderMap, findings: &mut Findings) {
    for name in &rule.response_headers {
        findings.tell_upstream(name.clone(), joined(answer, name));
    }
    answer.get_all(header::SET_COOKIE).iter().for_each(|cookie| findings.set_cookie(cookie.clone()));
}

/// The fields of a name as one (RFC 9110 section 5.3; of cookies RFC 9113 section 8.2.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let mut rest = values.peekable();
    if rest.peek().is_none() {
        return Some(first.clone());
    }
    let all: Vec<&[u8]> = std::iter::once(first).chain(rest).map(HeaderValue::as_bytes).collect();
    let between = if name == header::COOKIE { &b"; "[..] } else { b", " };
    HeaderValue::from_bytes(&all.join(between)).ok()
}

/// The service's answer as the client's: a login page, a redirect to one, or a challenge.
///
/// # Errors
/// When its fields cannot be carried, or its status is none (RFC 9110 section 15).
fn denial(mut head: ResponseHeader, body: Bytes) -> Result<Reply, Cause> {
    if !(200..600).contains(&head.status.as_u16()) {
        return Err(Cause::Internal);
    }
    let rare = RareFields::in_fields(&head.headers);
    let mut edited = Edited::new(&mut head);
    hop_by_hop::strip_response(&mut edited, rare);
    edited.retain(|name, _| {
        ![header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::DATE]
            .contains(name)
            && *name != PROXY_STATUS
    });
    // It is this proxy that refuses the request, for a reason of its own.
    edited.set("Proxy-Status", proxy_status(Cause::ServiceDenied)?);
    edited.outcome()?;
    let fields = spelling::response_fields(&head).filter_map(|(spelled, value)| {
        let spelled = spelled.to_text();
        Some((FieldName { name: HeaderName::from_bytes(spelled.as_bytes()).ok()?, spelled }, value.clone()))
    });
    let headers = fields.collect();
    Ok(Reply::Respond { status: head.status, body, headers })
}

/// Why there is no answer of a service that was asked.
pub fn fault_of(failure: &CallFailure) -> ServiceFault {
    match failure {
        CallFailure::Unavailable(_) => ServiceFault::Down,
        CallFailure::TooLong => ServiceFault::TooLong,
        CallFailure::Failed(error) if error.root_cause().downcast_ref() == Some(&BadResponse::HeadTooLarge) => {
            ServiceFault::TooLong
        }
        CallFailure::Failed(error) => match error.etype() {
            ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
                ServiceFault::Invalid
            }
            ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::TLSHandshakeTimedout => {
                ServiceFault::TimedOut
            }
            // Pingora's list is long and may grow; whatever else it is, there is no answer.
            _ => ServiceFault::Unreachable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(status: u16, fields: &[(&'static str, &'static str)]) -> Option<Vec<String>> {
        let mut head = ResponseHeader::build(status, None).unwrap();
        fields.iter().for_each(|(name, value)| head.insert_header(*name, *value).unwrap());
        let Ok(Reply::Respond { headers, .. }) = denial(head, Bytes::new()) else { return None };
        let line = |(name, value): &(FieldName, HeaderValue)| format!("{}: {}", name.spelled, value.to_str().unwrap());
        Some(headers.iter().map(line).collect())
    }

    #[test]
    fn a_denial_is_the_proxys_own_and_says_so() {
        let ours = "pingora-proxy; error=http_request_denied; details=\"auth_forward_denied: ";
        let fields = [("Location", "/sign-in"), ("Proxy-Status", "\"x\"; details=\"evil\""), ("Connection", "close")];
        let lines = denied(302, &fields).unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "Location: /sign-in");
        assert!(lines[1].starts_with("Proxy-Status: ") && lines[1].contains(ours), "{lines:?}");
    }

    #[test]
    fn a_status_that_http_does_not_have_is_no_answer() {
        for status in [101, 199, 600, 999] {
            assert_eq!(denied(status, &[]), None, "{status}");
        }
        assert!(denied(304, &[]).is_some() && denied(599, &[]).is_some());
    }

    #[test]
    fn fields_of_a_name_are_one() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("cookie", "a=1"), ("cookie", "b=2; c"), ("x-key", "1"), ("x-key", "2")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(joined(&headers, &header::COOKIE).unwrap(), "a=1; b=2; c");
        assert_eq!(joined(&headers, &HeaderName::from_static("x-key")).unwrap(), "1, 2");
        assert_eq!(joined(&headers, &header::ACCEPT), None);
    }
}
