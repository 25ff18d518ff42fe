//! What goes on beside the requests: each server is checked, each name is looked up
//! again. Nothing here is ever waited for by a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::connectors::http::v1::Connector;
use tokio::task::{AbortHandle, JoinSet};

use super::pool::Pool;
use super::probe::probe;
use super::resolve::{Found, Resolver};
use super::roster::News;
use super::server::Server;
use crate::config::{ActiveCheck, Lookup, Named, ServerPlace};

/// First checks are spread over so long at most.
const SPREAD: Duration = Duration::from_secs(1);

impl Pool {
    /// Checks and looks up until it is dropped.
    pub async fn attend(self: Arc<Self>, resolver: Arc<Resolver>) {
        let mut lookups = JoinSet::new();
        for (entry, named) in self.names() {
            lookups.spawn(keep_looking_up(Arc::clone(&self), entry, named, Arc::clone(&resolver)));
        }
        let Some(check) = self.settings().health.active.clone() else {
            while lookups.join_next().await.is_some() {}
            return;
        };
        let connector = Arc::new(Connector::new(None));
        let mut checks = JoinSet::new();
        let mut checked: HashMap<usize, AbortHandle> = HashMap::new();
        loop {
            let changed = self.changed.notified();
            let servers = self.servers();
            checked.retain(|known, task| {
                let stays = servers.iter().any(|server| number(server) == *known);
                if !stays {
                    task.abort();
                }
                stays
            });
            for server in servers {
                checked.entry(number(&server)).or_insert_with(|| {
                    checks.spawn(keep_checking(Arc::clone(&self), server, check.clone(), Arc::clone(&connector)))
                });
            }
            changed.await;
            while checks.try_join_next().is_some() {}
        }
    }

    /// Looks every name up once, side by side, for those that have no address yet.
    pub async fn settle(self: Arc<Self>, resolver: Arc<Resolver>) {
        let mut lookups = JoinSet::new();
        for (entry, named) in self.names() {
            let (pool, resolver) = (Arc::clone(&self), Arc::clone(&resolver));
            lookups.spawn(async move { pool.found(entry, look_up(&named, &resolver).await) });
        }
        while lookups.join_next().await.is_some() {}
    }

    fn names(&self) -> Vec<(usize, Named)> {
        let place = |(entry, place): (usize, &ServerPlace)| match place {
            ServerPlace::Named(named) => Some((entry, named.clone())),
            ServerPlace::At(_) => None,
        };
        self.settings().servers.iter().map(|server| &server.address.place).enumerate().filter_map(place).collect()
    }

    fn found(self: &Arc<Self>, entry: usize, found: Result<Vec<Found>, String>) {
        let mut roster = self.roster();
        match roster.found(entry, found, self.settings()) {
            Ok(News::None) => return,
            Ok(News::Failed(text)) => return log::warn!("upstream {}: {text}", self.name),
            Ok(News::Changed(text)) => log::info!("upstream {}: {text}", self.name),
            Err(reason) => return log::error!("upstream {}: {reason}", self.name),
        }
        self.note_change(&roster);
        drop(roster);
        self.changed.notify_one();
        self.serve_queue();
    }

    fn checked(self: &Arc<Self>, server: &Server, check: &ActiveCheck, found: Result<(), String>) {
        let alone = self.members().servers.is_empty();
        let good = found.is_ok();
        let Some(change) = server.life.standing().checked(found, check, alone) else { return };
        let level = if good { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "upstream {}: server {} is {change}", self.name, server.label);
        if good {
            server.life.streak.store(0, std::sync::atomic::Ordering::Relaxed);
            self.warm(server);
        }
        self.note_change(&self.roster());
        if self.available() == 0 {
            log::error!("upstream {}: no server is left; requests get 503", self.name);
        }
        self.serve_queue();
    }
}

/// Tells servers apart for as long as they are held.
fn number(server: &Arc<Server>) -> usize {
    Arc::as_ptr(server).addr()
}

/// Looks up what has no address yet, on a thread of its own, for `longest` at most: whoever
/// begins to serve afterwards need not refuse the first requests.
pub fn settle(pools: &[Arc<Pool>], resolver: &Arc<Resolver>, longest: Duration) {
    let unknown = pools.iter().filter(|pool| pool.roster().lacks_addresses());
    let pools: Vec<Arc<Pool>> = unknown.map(Arc::clone).collect();
    if pools.is_empty() {
        return;
    }
    let resolver = Arc::clone(resolver);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut all: JoinSet<()> = pools.into_iter().map(|pool| pool.settle(Arc::clone(&resolver))).collect();
            let every = async { while all.join_next().await.is_some() {} };
            // Who is late is found by whoever attends to the pool.
            tokio::time::timeout(longest, every).await.ok();
        });
        Ok::<_, std::io::Error>(())
    });
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(e)) => log::error!("names could not be looked up: {e}"),
        Err(_) => log::error!("names could not be looked up"),
    }
}

async fn look_up(named: &Named, resolver: &Resolver) -> Result<Vec<Found>, String> {
    match named.kind {
        Lookup::One { port } | Lookup::Each { port } => resolver.addresses(&named.name, port).await,
        Lookup::Services => resolver.services(&named.name).await,
    }
}

async fn keep_looking_up(pool: Arc<Pool>, entry: usize, named: Named, resolver: Arc<Resolver>) {
    loop {
        pool.found(entry, look_up(&named, &resolver).await);
        for gone in pool.roster().take_retired() {
            tokio::spawn(gone.retire());
        }
        tokio::time::sleep(jittered(named.refresh)).await;
    }
}

async fn keep_checking(pool: Arc<Pool>, server: Arc<Server>, check: ActiveCheck, connector: Arc<Connector>) {
    tokio::time::sleep(check.interval.min(SPREAD).mul_f64(fastrand::f64() / 4.0)).await;
    loop {
        let found = probe(&connector, &server, &check).await;
        pool.checked(&server, &check, found);
        tokio::time::sleep(jittered(check.interval)).await;
    }
}

/// Give or take a tenth, so that many proxies do not ask at the same moment.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + fastrand::f64() / 5.0)
}
