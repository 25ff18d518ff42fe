//! The endpoints of a pool in the order of the configuration, whatever their state, and
//! what the names in the configuration stand for at the moment.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::endpoint::{Endpoint, EndpointStats};
use super::endpoint_spec::EndpointSpec;
use super::health::OperatorState;
use super::load::LoadCounters;
use super::resolve::ResolvedAddress;
use super::sticky::CookieKey;
use super::transport::{NameAddresses, TlsClient};
use crate::config::{Address, Lookup, ServerPlace, Upstream, UpstreamServer};
use crate::metrics::UpstreamMetrics;

#[derive(Debug)]
pub struct Endpoints {
    entries: Vec<ServerEntry>,
    fresh: FreshStats,
    key: CookieKey,
    tls: Option<TlsClient>,
    /// Endpoints that are in no entry any more, kept until their connections are closed.
    removed: Vec<Arc<Endpoint>>,
}

/// One entry of `servers` in the configuration.
#[derive(Debug)]
struct ServerEntry {
    configured: UpstreamServer,
    specs: Vec<EndpointSpec>,
    endpoints: Vec<Arc<Endpoint>>,
    /// Why the last lookup of the entry's name failed; empty where it did not.
    lookup_error: String,
}

/// What a lookup changed, in words.
#[derive(Debug, PartialEq, Eq)]
pub enum LookupOutcome {
    Unchanged,
    Changed(String),
    Failed(String),
}

impl Endpoints {
    /// # Errors
    /// In words, when a certificate or key cannot be used or a socket path is too long.
    pub fn new(
        upstream: &Upstream,
        before: Option<&Self>,
        key: &CookieKey,
        metrics: &Arc<UpstreamMetrics>,
    ) -> Result<Self, String> {
        let mut all = Self {
            entries: Vec::new(),
            fresh: FreshStats { counters: LoadCounters::default(), metrics: Arc::clone(metrics) },
            key: key.clone(),
            tls: upstream.tls.as_ref().map(TlsClient::new).transpose()?,
            removed: Vec::new(),
        };
        let mut known_stats = KnownStats::of(before);
        for configured in &upstream.servers {
            let same = |entry: &&ServerEntry| entry.configured.address.place == configured.address.place;
            let known = before.and_then(|endpoints| endpoints.entries.iter().find(same));
            let specs = match &configured.address.place {
                ServerPlace::At(address) => vec![spec_at(configured, address)],
                ServerPlace::Named(_) => known.map(|entry| specs_before(entry, configured)).unwrap_or_default(),
            };
            let mut endpoints = Vec::new();
            for spec in &specs {
                let stats = known_stats.take(spec, configured).unwrap_or_else(|| all.fresh.make());
                if upstream.health.active.is_none() {
                    stats.health().forget_checks();
                }
                endpoints.push(Arc::new(Endpoint::new(spec, upstream, all.tls.as_ref(), stats, key.bytes())?));
            }
            let lookup_error = known.map(|entry| entry.lookup_error.clone()).unwrap_or_default();
            all.entries.push(ServerEntry { configured: configured.clone(), specs, endpoints, lookup_error });
        }
        Ok(all)
    }

    pub fn all(&self) -> Vec<Arc<Endpoint>> {
        self.entries.iter().flat_map(|entry| &entry.endpoints).map(Arc::clone).collect()
    }

    /// Whether a name has no address yet.
    pub fn lacks_addresses(&self) -> bool {
        self.entries.iter().any(|entry| entry.endpoints.is_empty())
    }

    /// The entries that could not be looked up, as they are written, each with the reason.
    pub fn unresolved(&self) -> impl Iterator<Item = (&str, &str)> {
        let failed = self.entries.iter().filter(|entry| !entry.lookup_error.is_empty());
        failed.map(|entry| (entry.configured.address.written.as_str(), entry.lookup_error.as_str()))
    }

    pub fn find(&self, label: &str) -> Option<&Arc<Endpoint>> {
        self.entries.iter().flat_map(|entry| &entry.endpoints).find(|endpoint| &*endpoint.label == label)
    }

    /// Whether this endpoint may be ejected: at most `most` percent of its group, the primaries
    /// or the backups, may be out, and the last endpoint of the pool that is up stays.
    pub fn may_lose(&self, endpoint: &Endpoint, most: u8) -> bool {
        let (mut count, mut up, mut others) = (0, 0, 0);
        let mut is_up = false;
        for one in self.entries.iter().flat_map(|entry| &entry.endpoints) {
            let is_healthy = one.stats.health().is_up();
            others += usize::from(is_healthy);
            if one.backup == endpoint.backup {
                count += 1;
                up += usize::from(is_healthy);
                is_up |= is_healthy && std::ptr::eq(&*one.stats, &*endpoint.stats);
            }
        }
        let allowed = (count * usize::from(most) / 100).max(1);
        is_up && others > 1 && count - up < allowed
    }

    /// Replaces the endpoints of an entry by those that its name stands for now.
    ///
    /// # Errors
    /// As [`Endpoint::new`]; nothing is changed then.
    pub fn apply_lookup(
        &mut self,
        entry: usize,
        found: Result<Vec<ResolvedAddress>, String>,
        upstream: &Upstream,
    ) -> Result<LookupOutcome, String> {
        let Some(entry) = self.entries.get_mut(entry) else { return Ok(LookupOutcome::Unchanged) };
        let found = match found {
            Ok(found) => found,
            Err(reason) => return Ok(entry.lookup_failed(reason)),
        };
        let recovered = !std::mem::take(&mut entry.lookup_error).is_empty();
        let specs = specs_of(upstream, &entry.configured, &entry.specs, &found);
        let endpoints = entry.endpoints_for(&specs, upstream, self.tls.as_ref(), &mut self.fresh, self.key.bytes())?;
        let weights = |specs: &[EndpointSpec]| specs.iter().map(|spec| spec.weight).collect::<Vec<_>>();
        let reweighed = weights(&entry.specs) != weights(&specs);
        let (before, now) = (addresses_of(&entry.specs), addresses_of(&specs));
        let stays = |one: &Arc<Endpoint>| endpoints.iter().any(|other| other.pool_key() == one.pool_key());
        self.removed.extend(entry.endpoints.iter().filter(|one| !stays(one)).cloned());
        (entry.specs, entry.endpoints) = (specs, endpoints);
        if before == now && !recovered && !reweighed {
            return Ok(LookupOutcome::Unchanged);
        }
        Ok(LookupOutcome::Changed(describe_change(&entry.configured.address.written, &before, &now)))
    }

    /// The endpoints that were removed since the last call.
    pub fn take_removed(&mut self) -> Vec<Arc<Endpoint>> {
        std::mem::take(&mut self.removed)
    }
}

impl ServerEntry {
    /// Notes why a lookup failed. The endpoints stay as they are.
    fn lookup_failed(&mut self, reason: String) -> LookupOutcome {
        if self.lookup_error == reason {
            return LookupOutcome::Unchanged;
        }
        let kept = match self.endpoints.len() {
            0 => "it has no address".to_owned(),
            count => format!("the last good answer stands ({count})"),
        };
        let text = format!("cannot look up {}: {reason}; {kept}", self.configured.address.written);
        self.lookup_error = reason;
        LookupOutcome::Failed(text)
    }

    /// The endpoints of `specs`: those that the entry has already, and new ones.
    fn endpoints_for(
        &self,
        specs: &[EndpointSpec],
        upstream: &Upstream,
        tls: Option<&TlsClient>,
        fresh: &mut FreshStats,
        key: &[u8],
    ) -> Result<Vec<Arc<Endpoint>>, String> {
        let endpoint = |spec: &EndpointSpec| {
            let is_same = |(before, _): &(&EndpointSpec, &Arc<Endpoint>)| before.address == spec.address;
            let stats = match self.specs.iter().zip(&self.endpoints).find(is_same) {
                Some((before, endpoint)) if is_unchanged(before, spec) => return Ok(Arc::clone(endpoint)),
                // The same endpoint with another weight, or a name that has other addresses, too.
                Some((_, endpoint)) => Arc::clone(&endpoint.stats),
                None => fresh.make(),
            };
            Endpoint::new(spec, upstream, tls, stats, key).map(Arc::new)
        };
        specs.iter().map(endpoint).collect()
    }
}

/// What was learnt of endpoints before a reload, by their addresses.
struct KnownStats<'b>(HashMap<&'b Address, Vec<KnownEndpoint<'b>>>);

type KnownEndpoint<'b> = (&'b ServerEntry, &'b EndpointSpec, &'b Arc<EndpointStats>);

impl<'b> KnownStats<'b> {
    fn of(before: Option<&'b Endpoints>) -> Self {
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for entry in before.into_iter().flat_map(|endpoints| &endpoints.entries) {
            for (spec, endpoint) in entry.specs.iter().zip(&entry.endpoints) {
                known.entry(&spec.address).or_default().push((entry, spec, &endpoint.stats));
            }
        }
        Self(known)
    }

    /// Returns the stats of each endpoint once, because two entries may have one address. What
    /// the operator said at run time stands until the configuration says something else of
    /// the server.
    fn take(&mut self, spec: &EndpointSpec, configured: &UpstreamServer) -> Option<Arc<EndpointStats>> {
        let known = self.0.get_mut(&spec.address).filter(|known| !known.is_empty())?;
        let same = known.iter().position(|(entry, _, _)| entry.configured.address.place == configured.address.place);
        let (_, before, stats) = known.swap_remove(same.unwrap_or(0));
        if before.weight != spec.weight || before.backup != spec.backup {
            let mut health = stats.health();
            health.set_weight(None);
            health.set_operator_state(OperatorState::Enabled);
        }
        Some(Arc::clone(stats))
    }
}

/// Makes what is learnt of endpoints that were not there before.
#[derive(Debug)]
struct FreshStats {
    counters: LoadCounters,
    metrics: Arc<UpstreamMetrics>,
}

impl FreshStats {
    fn make(&mut self) -> Arc<EndpointStats> {
        Arc::new(EndpointStats::new(self.counters.counter(), &self.metrics))
    }
}

/// Whether the endpoint of the one can be that of the other, which is at the same address.
fn is_unchanged(before: &EndpointSpec, now: &EndpointSpec) -> bool {
    let list = |spec: &EndpointSpec| spec.addresses.as_ref().map(Arc::as_ptr);
    before.weight == now.weight && list(before) == list(now)
}

/// Every address at which an entry is reached, sorted.
fn addresses_of(specs: &[EndpointSpec]) -> Vec<SocketAddr> {
    let each = |spec: &EndpointSpec| match (&spec.addresses, &spec.address) {
        (Some(addresses), _) => addresses.iter().collect(),
        (None, Address::Tcp(address)) => vec![*address],
        (None, Address::Unix(_)) => Vec::new(),
    };
    let mut all: Vec<SocketAddr> = specs.iter().flat_map(each).collect();
    all.sort_unstable();
    all
}

fn describe_change(written: &str, before: &[SocketAddr], now: &[SocketAddr]) -> String {
    let list = |sign: char, of: &[SocketAddr], without: &[SocketAddr]| -> String {
        of.iter().filter(|one| !without.contains(one)).map(|one| format!(" {sign}{one}")).collect()
    };
    let addresses = if now.len() == 1 { "1 address" } else { &format!("{} addresses", now.len()) };
    let (come, gone) = (list('+', now, before), list('-', before, now));
    format!("{written} has {addresses} now:{come}{gone}").trim_end_matches(':').to_owned()
}

/// What the name of an entry stood for before a reload.
fn specs_before(entry: &ServerEntry, configured: &UpstreamServer) -> Vec<EndpointSpec> {
    let weight = |spec: &EndpointSpec| spec.weight / entry.configured.weight.max(1) * configured.weight;
    let spec = |spec: &EndpointSpec| EndpointSpec {
        weight: weight(spec).clamp(1, 1000),
        backup: configured.backup,
        ..spec.clone()
    };
    entry.specs.iter().map(spec).collect()
}

fn spec_at(configured: &UpstreamServer, address: &Address) -> EndpointSpec {
    EndpointSpec {
        address: address.clone(),
        addresses: None,
        label: configured.address.written.clone(),
        name: None,
        weight: configured.weight,
        backup: configured.backup,
    }
}

fn specs_of(
    upstream: &Upstream,
    configured: &UpstreamServer,
    before: &[EndpointSpec],
    found: &[ResolvedAddress],
) -> Vec<EndpointSpec> {
    let ServerPlace::Named(named) = &configured.address.place else { return before.to_vec() };
    let spec = |found: &ResolvedAddress| {
        let address = Address::Tcp(found.address);
        let host = match named.kind {
            Lookup::One { port } | Lookup::Each { port } => {
                Some(format!("{}:{port}", named.name.trim_end_matches('.')))
            }
            Lookup::Services => None,
        };
        EndpointSpec {
            label: address.to_string(),
            address,
            addresses: None,
            name: host,
            weight: found.weight * configured.weight,
            backup: configured.backup,
        }
    };
    // A record's weight times the configured one may exceed 1000. All are scaled alike then,
    // so that the shares stay.
    let largest = found.iter().map(|found| found.weight * configured.weight).max().unwrap_or(1).max(1000);
    let spec =
        |found: &ResolvedAddress| EndpointSpec { weight: (spec(found).weight * 1000 / largest).max(1), ..spec(found) };
    match named.kind {
        Lookup::Each { .. } | Lookup::Services => found.iter().map(spec).collect(),
        Lookup::One { .. } => {
            let label = configured.address.written.clone();
            let one = found.first().map(|first| EndpointSpec { label, ..spec(first) });
            one.and_then(|one| with_all(one, upstream, before.first(), found)).into_iter().collect()
        }
    }
}

/// The server of a name with all of its addresses. It stays the server that it was for as long
/// as the name has the address at which that was reached.
fn with_all(
    one: EndpointSpec,
    upstream: &Upstream,
    before: Option<&EndpointSpec>,
    found: &[ResolvedAddress],
) -> Option<EndpointSpec> {
    let found: Vec<SocketAddr> = found.iter().map(|found| found.address).collect();
    let known = before.and_then(|before| before.addresses.as_ref());
    let stays = before.filter(|_| known.is_some_and(|known| found.contains(&known.current())));
    let title = format!("upstream {}: server {}", upstream.name, one.label);
    let addresses = NameAddresses::new(&found, known, title)?;
    let address = stays.map_or(one.address, |before| before.address.clone());
    Some(EndpointSpec { address, addresses: Some(addresses), ..one })
}
