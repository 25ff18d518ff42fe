//! What would become of a request, found by the very functions that serve one: for
//! whoever asks before sending it. Opens no connection.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, Version};
use pingora::{Error, ErrorType};
use pingora_http::RequestHeader;

use super::context::RequestCtx;
use super::{choose, forward, intake};
use crate::downstream::{Head, Peer, escaped};
use crate::filter::{Cause, Reply};
use crate::route::{Mismatch, Rank};
use crate::runtime::Snapshot;
use crate::upstream::Wish;

#[derive(Debug)]
pub struct Rehearsal {
    /// `None` where it was refused before anybody asked.
    pub client_ip: Option<IpAddr>,
    pub peer_trusted: bool,
    pub scheme: &'static str,
    /// The route that takes it, and by what.
    pub winner: Option<(Rank, usize)>,
    /// Why each route does not take it by itself; `None` for one that matches.
    pub mismatches: Vec<Option<Mismatch>>,
    pub end: End,
}

#[derive(Debug)]
pub enum End {
    Refused(Cause),
    /// The request line and fields as they came, and as they go up.
    Forwarded {
        upstream: Arc<str>,
        came: Vec<String>,
        sent: Vec<String>,
    },
    Redirected {
        status: StatusCode,
        location: String,
    },
    Answered {
        status: StatusCode,
    },
}

/// `head`: a whole request's, as it would come over the wire.
///
/// # Errors
/// When Pingora could not carry it, which `head` was asked about before.
pub fn rehearse(head: &[u8], peer: IpAddr, snapshot: &Arc<Snapshot>) -> pingora::Result<Rehearsal> {
    let refused = |cause| Rehearsal {
        client_ip: None,
        peer_trusted: false,
        scheme: "http",
        winner: None,
        mismatches: Vec::new(),
        end: End::Refused(cause),
    };
    let request = match Head::read(head, &snapshot.limits) {
        Ok(Some(read)) if read.escape => parse(&escaped(head))?,
        Ok(Some(_)) => parse(head)?,
        Ok(None) => return Ok(refused(Cause::RequestInvalid)),
        Err(malformed) => return Ok(refused(malformed.into())),
    };
    let admission = intake::decide(&request, Some(peer), snapshot);
    let seen = intake::look(&request, &admission, |seen| {
        let mismatch = |index| snapshot.table.mismatch(index, &seen.view);
        (snapshot.table.find_ranked(&seen.view), (0..snapshot.routes.len()).map(mismatch).collect())
    });
    // No route was asked about a request that was refused before.
    let asked = admission.route.is_ok() || admission.route == Err(Cause::NoRoute);
    let (winner, mismatches) = seen.ok().filter(|_| asked).unwrap_or_default();
    let (client_ip, peer_trusted, scheme) = (admission.client_ip, admission.peer_trusted, admission.scheme);
    let end = end(request, peer, admission, snapshot);
    Ok(Rehearsal { client_ip, peer_trusted, scheme, winner, mismatches, end })
}

fn end(request: RequestHeader, peer: IpAddr, admission: intake::Admission, snapshot: &Arc<Snapshot>) -> End {
    let mut ctx = RequestCtx::new(Arc::clone(snapshot));
    ctx.peer_ip = Some(peer);
    if let Err(cause) = intake::fill(&mut ctx, admission) {
        return End::Refused(cause);
    }
    match forward::local_reply(&request, &ctx) {
        Some(Reply::Error(cause)) => return End::Refused(cause),
        Some(Reply::Redirect { location, status }) => return End::Redirected { status, location },
        Some(Reply::Respond { status, .. }) => return End::Answered { status },
        None => {}
    }
    ctx.part = choose::part(&request, &ctx);
    let Some(pool) = ctx.pool().cloned() else { return End::Refused(Cause::Internal) };
    ctx.attempt.pick = match pool.try_pick(&Wish::default()) {
        Ok(pick) => Some(pick),
        Err(shortage) => return End::Refused(choose::cause_of(shortage)),
    };
    let mut upstream = request.clone();
    let peer = Peer::new(Some(peer), Arc::default());
    if let Err(cause) = forward::change_request(&request, &peer, &mut upstream, &ctx) {
        return End::Refused(cause);
    }
    End::Forwarded { upstream: Arc::clone(&pool.name), came: lines(&request), sent: lines(&upstream) }
}

/// As Pingora reads it.
fn parse(head: &[u8]) -> pingora::Result<RequestHeader> {
    let invalid = |e: &dyn std::fmt::Display| Error::explain(ErrorType::InvalidHTTPHeader, e.to_string());
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut read = httparse::Request::new(&mut fields);
    read.parse(head).map_err(|e| invalid(&e))?;
    let target = read.path.unwrap_or_default().as_bytes();
    let mut request = RequestHeader::build(read.method.unwrap_or_default(), target, Some(read.headers.len()))?;
    request.set_version(if read.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 });
    for field in read.headers.iter() {
        let value = HeaderValue::from_bytes(field.value).map_err(|e| invalid(&e))?;
        request.append_header(field.name.to_owned(), value)?;
    }
    Ok(request)
}

fn lines(request: &RequestHeader) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = format!("{} {}", request.method, text(request.raw_path()));
    let fields = request.case_header_iter();
    let fields = fields.map(|(name, value)| format!("{}: {}", text(name.as_slice()), text(value.as_bytes())));
    std::iter::once(line).chain(fields).collect()
}
