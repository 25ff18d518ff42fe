//! What would become of a request, found by the very functions that serve one, for the
//! subcommand `explain`. Opens no connection.

use std::net::IpAddr;
use std::sync::Arc;

use super::admission::{self, Admission};
use super::https_redirect;
use super::outcome::{self, Outcome, Server};
use super::routing::Decision;
use crate::downstream::http1::Head;
use crate::downstream::{ClientConnection, Remote};
use crate::filter::Cause;
use crate::listener::ListenerIndex;
use crate::message::path::split_query;
use crate::message::readings::SentPath;
use crate::route::{Mismatch, Rank, RequestView};
use crate::runtime::Snapshot;
use crate::transport::ClientAuthRule;

#[derive(Debug)]
pub struct Explanation {
    /// `None` where the head is malformed, so that nobody looked for the client.
    pub client_ip: Option<IpAddr>,
    pub remote_trusted: bool,
    pub scheme: &'static str,
    /// Where the path has more than one reading, each with the index of the route that it leads to;
    /// as it was sent first.
    pub readings: Vec<(String, Option<usize>)>,
    /// Whose policy decides where they lead to different routes.
    pub decision: Option<Decision>,
    /// The index of the route that takes the request, and the rank by which it does.
    pub winner: Option<(Rank, usize)>,
    /// Why each route does not take it by itself; `None` for one that matches.
    pub mismatches: Vec<Option<Mismatch>>,
    pub outcome: Outcome,
    /// The listener that answers by itself, by its address; no route is asked then.
    pub redirecting: Option<String>,
    /// The listener asks for a certificate of the client for this host.
    pub asks_for_certificate: bool,
}

/// `head`: a whole request's, as it would come over the wire; `client`: the connection on which it would.
pub fn explain(head: &[u8], client: Remote, snapshot: &Arc<Snapshot>) -> Explanation {
    let tls = client.tls.as_ref();
    let asks_for_certificate = tls.is_some_and(|tls| tls.client_auth != ClientAuthRule::default());
    let refused = |cause| Explanation {
        client_ip: None,
        remote_trusted: false,
        scheme: "http",
        readings: Vec::new(),
        decision: None,
        winner: None,
        mismatches: Vec::new(),
        outcome: Outcome::Refused(cause),
        redirecting: None,
        asks_for_certificate,
    };
    let request = match Head::read(head, (&snapshot.limits).into()) {
        Ok(Some(read)) => *read.request,
        Ok(None) => return refused(Cause::RequestInvalid),
        Err(malformed) => return refused(malformed.into()),
    };
    let connection = ClientConnection::new(client, Arc::default());
    let admission = admission::decide(&request, &connection, snapshot);
    if let Some(reply) = https_redirect::on(&request, &connection, &admission, snapshot) {
        let entrance = snapshot.entrances.get(ListenerIndex(connection.listener));
        let redirecting = Some(entrance.map_or_else(String::new, |entrance| entrance.name().to_owned()));
        let (client_ip, remote_trusted, scheme) = (admission.client_ip, admission.remote_trusted, admission.scheme);
        let outcome = outcome::of_reply(reply);
        return Explanation { client_ip, remote_trusted, scheme, outcome, redirecting, ..refused(Cause::NoRoute) };
    }
    let matched = admission::with_view(&request, &connection, admission.host_name(), admission.client_ip, |view| {
        let readings = view.readings();
        let examined = readings.as_ref().filter(|_| view.is_examined(snapshot));
        let decision = examined.and_then(|readings| view.decision(readings, snapshot));
        let texts = readings.map(|readings| readings.texts).filter(|texts| texts.len() > 1).unwrap_or_default();
        let readings = texts.into_iter().map(|text| (view.route_for(&text, snapshot), text));
        let readings: Vec<_> = readings.map(|(route, text)| (text, route)).collect();
        let taken_as = taken_as(&admission);
        let route_view = RequestView { path: taken_as.as_deref().unwrap_or(view.route_view.path), ..view.route_view };
        let mismatch = |index| snapshot.table.mismatch(index, &route_view);
        let mismatches = (0..snapshot.routes.len()).map(mismatch).collect();
        (readings, decision, snapshot.table.find_ranked(&route_view), mismatches)
    });
    // No route was asked about a request that was refused before, and readings that differ say
    // themselves where they lead.
    let is_ambiguous = matches!(admission.route, Err(Cause::PathAmbiguous | Cause::PathLeavesRoot));
    let asked = is_ambiguous || matches!(admission.route, Ok(_) | Err(Cause::NoRoute));
    let (readings, decision, winner, mismatches) = matched.ok().filter(|_| asked).unwrap_or_default();
    let winner = winner.filter(|_| admission.route.is_ok());
    let mismatches = if is_ambiguous { Vec::new() } else { mismatches };
    let (client_ip, remote_trusted, scheme) = (admission.client_ip, admission.remote_trusted, admission.scheme);
    let outcome = outcome::of(&request, &connection, admission, snapshot, Server::Picked);
    Explanation {
        client_ip,
        remote_trusted,
        scheme,
        readings,
        decision,
        winner,
        mismatches,
        outcome,
        redirecting: None,
        asks_for_certificate,
    }
}

/// The path by which the route was found, where that is not the path as sent.
fn taken_as(admission: &Admission) -> Option<String> {
    let (path, _) = split_query(admission.normalized_target.as_deref()?);
    SentPath::of(path).map(|path| path.text.into_owned())
}
