//! A compiled configuration.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::asked_service::AskedService;
use super::provider::Provider;
use super::traces::Traces;
use crate::config::{
    self, AmbiguousPaths, ClientTimeouts, Config, ErrorPages, KeySource, Limits, RequestIdField, Underscores,
};
use crate::filter::{self, Chain, FilterRequest, Redirect, Reply, Respond};
use crate::limit::Store;
use crate::listener::{Entrances, TicketKeys};
use crate::metrics::RouteMetrics;
use crate::route::RouteTable;
use crate::telemetry::AccessLogger;
use crate::transport::Complaints;
use crate::upstream::{Concurrency, CookieKey, Pool, Resolver, WeightedChoice};

/// Everything that a request needs of its configuration, made once.
#[derive(Debug)]
pub struct Snapshot {
    pub table: RouteTable,
    /// In the order of the file; `RouteTable` answers with an index into it.
    pub routes: Vec<Route>,
    /// What is counted of requests that no route took.
    pub unrouted: Arc<RouteMetrics>,
    pub trusted_proxies: Vec<IpNet>,
    pub timeouts: ClientTimeouts,
    pub limits: Limits,
    /// Whether a route minds by which reading of its path a request came to it.
    pub minds_readings: bool,
    pub underscores: Underscores,
    pub request_id: RequestIdField,
    pub errors: ErrorPages,
    pub access: Arc<AccessLogger>,
    /// `None` where nothing is traced.
    pub traces: Option<Arc<Traces>>,
    /// Where spans are sent: those too that a configuration before one without traces has left.
    pub exports: Option<Arc<Traces>>,
    /// In the order of the configuration.
    pub pools: Vec<Arc<Pool>>,
    pub resolver: Arc<Resolver>,
    /// The key that signs the cookies of upstreams without a secret.
    pub key: CookieKey,
    /// What stands before the first request of a connection, for each listener.
    pub entrances: Entrances,
    /// The keys of listeners whose `ticket_keys` are `auto`.
    pub ticket_keys: Arc<TicketKeys>,
}

#[derive(Debug)]
pub struct Route {
    pub name: String,
    pub line: usize,
    pub filters: Chain,
    pub ambiguous_paths: AmbiguousPaths,
    pub mirror: Option<Mirror>,
    /// Who is asked whether a request may pass.
    pub forward_auth: Option<ForwardAuth>,
    /// Where the keys are that verify tokens, if they are to be fetched.
    pub token_keys: Option<AskedService>,
    /// Where the provider of logins is.
    pub provider: Option<Provider>,
    /// The whole file's, with those of its own.
    pub limits: Limits,
    /// `None` where they are those of the whole file.
    pub timeouts: Option<Box<ClientTimeouts>>,
    /// How many of its requests may be at the upstream at once.
    pub concurrency: Option<Arc<Concurrency>>,
    /// Whether its requests and responses are quiet for long by nature.
    pub stream: bool,
    /// Whether clients are told where the time went.
    pub server_timing: bool,
    /// Whether calls of gRPC-Web become calls of gRPC.
    pub grpc_web: bool,
    pub action: Action,
    /// What is counted of its requests; that of the route of this name before a reload.
    pub metrics: Arc<RouteMetrics>,
}

/// What `auth.forward` of a route says.
#[derive(Debug)]
pub struct ForwardAuth {
    pub service: AskedService,
    pub request_headers: Vec<HeaderName>,
    pub response_headers: Vec<HeaderName>,
    pub timeout: Duration,
    /// What the log says of a service that gives no answer.
    pub unanswered: Complaints,
}

#[derive(Debug)]
pub enum Action {
    Upstream(Arc<Pool>),
    Split(Split),
    Redirect(Redirect),
    Respond(Respond),
}

impl Action {
    /// The answer of a route that needs no upstream.
    pub fn reply(&self, request: &FilterRequest<'_>) -> Option<Reply> {
        match self {
            Self::Upstream(_) | Self::Split(_) => None,
            Self::Redirect(redirect) => Some(redirect.reply(request)),
            Self::Respond(respond) => Some(respond.reply()),
        }
    }
}

/// Several pools, each with its share of the requests.
#[derive(Debug)]
pub struct Split {
    pub parts: Vec<Arc<Pool>>,
    shares: WeightedChoice,
    pub by: Option<KeySource>,
}

impl Split {
    /// The index of the pool that takes a request, by the hash of the key or at random.
    pub fn part(&self, hash: Option<u64>) -> usize {
        match hash {
            // The hash is rotated, because a pool's ring uses the same hash.
            Some(hash) => self.shares.by_number(hash.rotate_left(32)),
            None => self.shares.random(),
        }
    }
}

#[derive(Debug)]
pub struct Mirror {
    pub pool: Arc<Pool>,
    /// In percent.
    pub share: u8,
}

impl Snapshot {
    /// Compiles a configuration. An upstream that has not changed keeps its pool, with
    /// whatever that has learnt.
    ///
    /// # Errors
    /// In words, when a socket path cannot be used or a filter cannot be made.
    pub fn compile(
        config: &Config,
        access: Arc<AccessLogger>,
        previous: Option<&Self>,
        key: &CookieKey,
        ticket_keys: &Arc<TicketKeys>,
    ) -> Result<Self, String> {
        let known: HashMap<&str, &Arc<Pool>> =
            previous.into_iter().flat_map(|snapshot| &snapshot.pools).map(|pool| (&*pool.name, pool)).collect();
        let pool = |upstream: &config::Upstream| {
            let before = known.get(upstream.name.as_str()).map(|pool| Arc::clone(pool));
            match before {
                Some(pool) if pool.is_configured_as(upstream) => Ok(pool),
                before => Pool::new(upstream, before.as_deref(), key)
                    .map(Arc::new)
                    .map_err(|e| format!("upstream `{}`: {e}", upstream.name)),
            }
        };
        let pools = config.upstreams.iter().map(pool).collect::<Result<Vec<_>, _>>()?;
        let resolver = Resolver::new(&config.dns.nameservers, config.dns.timeout).map_err(|e| format!("dns: {e}"))?;
        let before: HashMap<&str, &Route> =
            previous.into_iter().flat_map(|snapshot| &snapshot.routes).map(|route| (&*route.name, route)).collect();
        let before = |route: &config::Route| before.get(route.name.as_str()).copied();
        let routes = config.routes.iter().map(|route| Route::compile(route, config, &pools, before(route)));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        let exports_before = previous.and_then(|before| before.exports.as_ref());
        let traces = config.traces.as_ref();
        let traces = traces.map(|traces| Traces::compile(traces, &pools, exports_before.map(|before| &**before)));
        let traces = traces.transpose()?.map(Arc::new);
        Ok(Self {
            table: RouteTable::new(config.routes.iter().map(|r| (r.matcher.clone(), r.priority))),
            minds_readings: routes.iter().any(|route| route.ambiguous_paths != AmbiguousPaths::AsSent),
            routes,
            unrouted: previous.map(|previous| Arc::clone(&previous.unrouted)).unwrap_or_default(),
            trusted_proxies: config.trusted_proxies.clone(),
            timeouts: config.timeouts.clone(),
            limits: config.limits.clone(),
            underscores: config.headers.underscores,
            request_id: config.headers.request_id,
            errors: config.errors.clone(),
            access,
            exports: traces.as_ref().or(exports_before).map(Arc::clone),
            traces,
            pools,
            resolver: Arc::new(resolver),
            key: key.clone(),
            entrances: Entrances::compile(
                &config.listeners,
                &config.timeouts,
                ticket_keys,
                previous.map(|previous| &previous.entrances),
            )?,
            ticket_keys: Arc::clone(ticket_keys),
        })
    }
}

impl Snapshot {
    /// Compiles a configuration by which nobody is served: to check it, or to ask what it would do. It has
    /// no access log and no keys.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_unserved(config: &Config, previous: Option<&Self>) -> Result<Self, String> {
        let (access, key) = (Arc::new(AccessLogger::off()), CookieKey::new(Vec::new()));
        Self::compile(config, access, previous, &key, &Arc::new(TicketKeys::new(&[])))
    }

    /// The stores in which routes count together with other proxies; one may come more than once.
    pub fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.routes.iter().flat_map(|route| route.filters.stores())
    }
}

impl Route {
    /// `previous`: the route of this name before a reload.
    fn compile(
        route: &config::Route,
        config: &Config,
        pools: &[Arc<Pool>],
        previous: Option<&Self>,
    ) -> Result<Self, String> {
        let filters = filter::compile(route, previous.map(|route| &route.filters))?;
        let pool = |upstream: &config::UpstreamRef| {
            pools.get(upstream.index).cloned().ok_or_else(|| format!("route `{}`: no such upstream", route.name))
        };
        let mirror = route.mirror.as_ref();
        let mirror =
            mirror.map(|mirror| Ok::<_, String>(Mirror { pool: pool(&mirror.upstream)?, share: mirror.share }));
        let asked = |url: &config::ServiceUrl| {
            let (pool, host, target) = (pool(&url.upstream)?, url.host.clone(), url.target.clone());
            Ok::<_, String>(AskedService { pool, host, target })
        };
        let jwt = route.auth.as_ref().and_then(|auth| auth.jwt.as_ref());
        let token_keys = jwt.and_then(|jwt| jwt.jwks_url.as_ref()).map(asked).transpose()?;
        let oidc = route.auth.as_ref().and_then(|auth| auth.oidc.as_ref());
        let provider = oidc.map(|oidc| {
            let url = oidc.discovery.as_ref().ok_or_else(|| format!("route `{}`: no provider", route.name))?;
            Ok::<_, String>(Provider::new(oidc, asked(url)?, previous.and_then(|before| before.provider.as_ref())))
        });
        let forward = route.auth.as_ref().and_then(|auth| auth.forward.as_ref());
        let forward_auth = forward.map(|forward| {
            Ok::<_, String>(ForwardAuth {
                service: asked(&forward.url)?,
                request_headers: forward.request_headers.clone(),
                response_headers: forward.response_headers.clone(),
                timeout: forward.timeout,
                unanswered: Complaints::default(),
            })
        });
        let action = match &route.action {
            config::Action::Upstream(upstream) => Action::Upstream(pool(upstream)?),
            config::Action::Split(split) => Action::Split(Split {
                parts: split.shares.iter().map(|(upstream, _)| pool(upstream)).collect::<Result<_, _>>()?,
                shares: WeightedChoice::new(split.shares.iter().map(|(_, share)| *share)),
                by: split.by.clone(),
            }),
            config::Action::Redirect(redirect) => Action::Redirect(Redirect::new(redirect.to.clone(), redirect.status)),
            config::Action::Respond(respond) => {
                Action::Respond(Respond::new(respond.status, respond.body.clone(), respond.headers.clone()))
            }
        };
        Ok(Self {
            name: route.name.clone(),
            line: route.line,
            filters,
            ambiguous_paths: route.paths.ambiguous.unwrap_or(config.paths.ambiguous),
            mirror: mirror.transpose()?,
            forward_auth: forward_auth.transpose()?,
            token_keys,
            provider: provider.transpose()?,
            limits: config.limits.for_route(&route.limits),
            timeouts: config.timeouts.for_route(&route.timeouts).map(Box::new),
            concurrency: route.concurrency.as_ref().map(|settings| {
                Concurrency::new(&route.name, settings, previous.and_then(|before| before.concurrency.as_deref()))
            }),
            stream: route.stream,
            server_timing: route.response.server_timing,
            grpc_web: route.grpc_web,
            action,
            metrics: previous.map(|before| Arc::clone(&before.metrics)).unwrap_or_default(),
        })
    }
}
