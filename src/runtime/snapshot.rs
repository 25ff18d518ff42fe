//! Compiling a checked configuration.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use ipnet::IpNet;

use crate::config::{
    self, ClientTimeouts, Config, ErrorPages, FieldName, HeadLimits, PathEdit, RequestEdits, ResponseEdits, Template,
};
use crate::observe::AccessLogger;
use crate::route::RouteTable;
use crate::upstream::Pool;

/// Everything a request needs to know, made once.
#[derive(Debug)]
pub struct Snapshot {
    pub table: RouteTable,
    /// In the order of the file; `RouteTable` answers with an index into it.
    pub routes: Vec<Route>,
    pub trusted_proxies: Vec<IpNet>,
    pub timeouts: ClientTimeouts,
    pub limits: HeadLimits,
    pub errors: ErrorPages,
    pub access: Arc<AccessLogger>,
    /// In the order of the configuration.
    pools: Vec<Arc<Pool>>,
}

#[derive(Debug)]
pub struct Route {
    pub name: String,
    pub line: usize,
    pub request: RequestEdits,
    pub response: ResponseEdits,
    /// What `strip_prefix` takes away, to be put back into redirects.
    pub stripped: Option<String>,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Upstream(Arc<Pool>),
    Redirect { to: Template, status: http::StatusCode },
    Respond { status: http::StatusCode, body: bytes::Bytes, headers: Vec<(FieldName, HeaderValue)> },
}

impl Snapshot {
    /// An upstream that is as it was keeps its pool, with whatever that has learnt.
    ///
    /// # Errors
    /// In words, when a socket path cannot be used.
    pub fn compile(config: &Config, access: Arc<AccessLogger>, previous: Option<&Self>) -> Result<Self, String> {
        let known: HashMap<&str, &Arc<Pool>> =
            previous.into_iter().flat_map(|snapshot| &snapshot.pools).map(|pool| (&*pool.name, pool)).collect();
        let kept = |upstream: &config::Upstream| {
            known.get(upstream.name.as_str()).filter(|pool| pool.serves(upstream)).map(|pool| Arc::clone(pool))
        };
        let made = |upstream: &config::Upstream| {
            Pool::new(upstream).map(Arc::new).map_err(|e| format!("upstream `{}`: {e}", upstream.name))
        };
        let pools =
            config.upstreams.iter().map(|u| kept(u).map_or_else(|| made(u), Ok)).collect::<Result<Vec<_>, _>>()?;
        let routes = config.routes.iter().map(|route| Route::compile(route, &pools)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            table: RouteTable::new(config.routes.iter().map(|r| (r.matcher.clone(), r.priority))),
            routes,
            trusted_proxies: config.trusted_proxies.clone(),
            timeouts: config.timeouts.clone(),
            limits: config.limits.clone(),
            errors: config.errors.clone(),
            access,
            pools,
        })
    }
}

impl Route {
    fn compile(route: &config::Route, pools: &[Arc<Pool>]) -> Result<Self, String> {
        let stripped = match &route.request.path {
            Some(PathEdit::StripPrefix(prefix)) => Some(prefix.trim_end_matches('/').to_owned()),
            Some(PathEdit::AddPrefix(_) | PathEdit::Replace(_) | PathEdit::Regex { .. }) | None => None,
        };
        let action = match &route.action {
            config::Action::Upstream(id) => Action::Upstream(
                pools.get(id.0).cloned().ok_or_else(|| format!("route `{}`: no such upstream", route.name))?,
            ),
            config::Action::Redirect { to, status } => Action::Redirect { to: to.clone(), status: *status },
            config::Action::Respond { status, body, headers } => Action::Respond {
                status: *status,
                body: bytes::Bytes::from(body.clone().into_bytes()),
                headers: headers.clone(),
            },
        };
        Ok(Self {
            name: route.name.clone(),
            line: route.line,
            request: route.request.clone(),
            response: route.response.clone(),
            stripped: stripped.filter(|s| !s.is_empty()),
            action,
        })
    }
}
