//! One configuration, prepared to be asked about recorded requests.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::facts::{RouteFacts, without_unlogged};
use super::record::Record;
use crate::config::{Action, Config, Match};
use crate::downstream::{ClientConnection, Remote};
use crate::listener::ListenerIndex;
use crate::proxy::{Forecast, forecast};
use crate::route::RouteTable;
use crate::runtime::Snapshot;
use crate::transport::ClientTls;

/// What is supposed of conditions on what a log does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supposed<'s> {
    AllMet,
    NoneMet,
    /// Those of the routes with these conditions are met, and no others.
    Met(&'s str),
}

/// A configuration as it decides on recorded requests.
#[derive(Debug)]
pub struct Prepared {
    pub routes: Vec<RouteFacts>,
    /// By what is supposed: all, none, then each in the order in which it was prepared.
    snapshots: Vec<Arc<Snapshot>>,
    /// The servers of each upstream.
    pub servers: HashMap<String, BTreeSet<String>>,
    /// Whether a route matches on the query.
    pub asks_for_query: bool,
}

/// Every set of conditions on what a log does not hold.
pub fn conditions(config: &Config) -> BTreeSet<String> {
    let routes = config.routes.iter().enumerate();
    routes.filter_map(|(index, route)| RouteFacts::of(index, route, config).unlogged).map(|found| found.whole).collect()
}

impl Prepared {
    /// `supposed`: what is asked about beside all and none.
    ///
    /// # Errors
    /// In words, when the configuration cannot be put in force.
    pub fn new(mut config: Config, supposed: &[String]) -> Result<Self, String> {
        let routes: Vec<_> =
            config.routes.iter().enumerate().map(|(index, route)| RouteFacts::of(index, route, &config)).collect();
        let servers = config.upstreams.iter().map(|upstream| {
            let servers = upstream.servers.iter().map(|server| server.address.written.clone());
            (upstream.name.clone(), servers.collect())
        });
        let servers = servers.collect();
        for (route, facts) in config.routes.iter_mut().zip(&routes) {
            // What depends on more than the request.
            route.rate_limits.clear();
            route.concurrency = None;
            route.auth = None;
            if let (Action::Split(split), Some(_)) = (&route.action, &facts.shares)
                && let Some((first, _)) = split.shares.first()
            {
                route.action = Action::Upstream(first.clone());
            }
        }
        let mut snapshots: Vec<Arc<Snapshot>> = Vec::new();
        let each = supposed.iter().map(|conditions| Supposed::Met(conditions));
        for supposed in [Supposed::AllMet, Supposed::NoneMet].into_iter().chain(each) {
            let mut snapshot = Snapshot::compile_unserved(&config, snapshots.first().map(|snapshot| &**snapshot))?;
            let all = config.routes.iter().zip(&routes);
            snapshot.table = RouteTable::supposing(
                all.map(|(r, facts)| (r.matcher.clone(), r.priority, taken(&r.matcher, facts, supposed))),
            );
            snapshots.push(Arc::new(snapshot));
        }
        Ok(Self {
            asks_for_query: config.routes.iter().any(|route| !route.matcher.query.is_empty()),
            routes,
            snapshots,
            servers,
        })
    }

    /// What would become of a request that came in at this listener; `supposed`: an index of what is supposed.
    pub fn ask(&self, record: &Record, listener: usize, supposed: usize) -> Option<Forecast> {
        let snapshot = self.snapshots.get(supposed)?;
        Some(forecast(&record.head, &connection(record, listener, snapshot), snapshot))
    }
}

/// What a route takes, where this is supposed; `None` for nothing.
fn taken(matcher: &Match, facts: &RouteFacts, supposed: Supposed<'_>) -> Option<Match> {
    match (&facts.unlogged, supposed) {
        (None, _) => Some(matcher.clone()),
        (Some(_), Supposed::AllMet) => Some(without_unlogged(matcher)),
        (Some(unlogged), Supposed::Met(conditions)) if unlogged.whole == conditions => Some(without_unlogged(matcher)),
        (Some(_), Supposed::NoneMet | Supposed::Met(_)) => None,
    }
}

/// The connection on which it came, as far as the log tells. Whom a certificate named is not in the log.
fn connection(record: &Record, listener: usize, snapshot: &Snapshot) -> Arc<ClientConnection> {
    let mut remote = Remote::plain(record.remote_ip);
    remote.listener = listener;
    remote.tls = record.is_tls.then(|| {
        let name = record.sni.as_deref().unwrap_or("");
        let entrance = snapshot.entrances.get(ListenerIndex(listener));
        ClientTls {
            server_name: record.sni.as_deref().map(Box::from),
            client_auth: entrance.map(|entrance| entrance.client_auth_of(name)).unwrap_or_default(),
            ..ClientTls::default()
        }
    });
    Arc::new(ClientConnection::new(remote, Arc::default()))
}
