//! One upstream: its servers, whose turn it is, and what is learnt of them from the
//! requests that they get.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::budget::Budget;
use super::members::{Members, is_new};
use super::queue::Queue;
use super::roster::Roster;
use super::server::Server;
use super::sticky::CookieKey;
use crate::config::{Balance, KeySource, Retry, Sticky, Upstream, UpstreamTimeouts};

/// One upstream's servers.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    pub budget: Budget,
    members: ArcSwap<Members>,
    roster: Mutex<Roster>,
    commons: Arc<Commons>,
    /// What it was made from.
    upstream: Upstream,
    /// Told when the servers are others.
    pub(super) changed: Notify,
}

/// What the pools of one upstream share, that of a configuration and that of the next.
#[derive(Debug, Default)]
struct Commons {
    queue: Queue<(Arc<Pool>, Wish), Pick>,
    /// How often the standing of a server has changed.
    version: AtomicU64,
}

/// What a request wants of its server.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Of what tells the client apart, where that balances.
    pub hash: Option<u64>,
    /// Whose client it is.
    pub sticky: Option<Arc<Server>>,
    /// Where it has been already.
    pub tried: Vec<Arc<Server>>,
}

/// The server of one attempt, which counts it until this is dropped.
#[derive(Debug)]
pub struct Pick {
    pub server: Arc<Server>,
    pool: Arc<Pool>,
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.server.life.load.remove();
        self.pool.serve_queue();
    }
}

/// Why there is no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// All are down, ejected or switched off; in how many seconds one may be back.
    AllDown(u64),
    /// No name of a server has an address.
    NoAddress,
    /// All are at their `max_connections`, and so is the queue.
    Full,
    /// It waited in the queue for too long.
    Waited,
}

impl Pool {
    /// `previous`: the one it takes the place of. `key`: what signs cookies.
    ///
    /// # Errors
    /// In words, when a certificate or key cannot be used or a socket path is too long.
    pub fn new(upstream: &Upstream, previous: Option<&Self>, key: &CookieKey) -> Result<Self, String> {
        let roster = {
            let before = previous.map(Self::roster);
            Roster::new(upstream, before.as_deref(), key)?
        };
        let commons = previous.map(|pool| Arc::clone(&pool.commons)).unwrap_or_default();
        let version = commons.version.load(Ordering::Acquire);
        let members = Members::new(&roster.servers(), &upstream.balance, 0, version);
        Ok(Self {
            name: upstream.name.as_str().into(),
            budget: Budget::new(upstream.retry.budget),
            members: ArcSwap::from_pointee(members),
            roster: Mutex::new(roster),
            commons,
            upstream: upstream.clone(),
            changed: Notify::new(),
        })
    }

    /// Whether it would be made anew just as it is.
    pub fn serves(&self, upstream: &Upstream) -> bool {
        self.upstream == *upstream
    }

    pub fn settings(&self) -> &Upstream {
        &self.upstream
    }

    pub fn timeouts(&self) -> &UpstreamTimeouts {
        &self.upstream.timeouts
    }

    pub fn retry(&self) -> &Retry {
        &self.upstream.retry
    }

    pub fn sticky(&self) -> Option<&Sticky> {
        self.upstream.sticky.as_ref()
    }

    /// What of a request tells its server.
    pub fn hashed(&self) -> Option<&KeySource> {
        match &self.upstream.balance {
            Balance::Hash(source) => Some(source),
            Balance::RoundRobin | Balance::LeastConn | Balance::P2c | Balance::Random => None,
        }
    }

    /// Whether connections are kept for later requests.
    pub fn keeps_connections(&self) -> bool {
        self.upstream.max_idle() > 0
    }

    /// Every server, whatever its state.
    pub fn servers(&self) -> Vec<Arc<Server>> {
        self.roster().servers()
    }

    /// Those that get requests now.
    pub fn available(&self) -> usize {
        self.members.load().servers.len()
    }

    pub fn waiting(&self) -> usize {
        self.commons.queue.len()
    }

    /// Whose client holds this cookie.
    pub fn of_cookie(&self, value: &[u8]) -> Option<Arc<Server>> {
        self.members().of_cookie(value).map(Arc::clone)
    }

    /// A server for a request, without waiting.
    ///
    /// # Errors
    /// Why there is none; [`Shortage::Full`] also where others wait already.
    pub fn pick(self: &Arc<Self>, wish: &Wish) -> Result<Pick, Shortage> {
        let nobody_waits = self.upstream.pool.queue == 0 || self.commons.queue.is_empty();
        if nobody_waits { self.try_pick(wish) } else { Err(Shortage::Full) }
    }

    /// A server once there is one with room, waiting in the queue until `deadline` at most.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait(self: &Arc<Self>, wish: Wish, deadline: Option<Instant>) -> Result<Pick, Shortage> {
        let rules = &self.upstream.pool;
        let longest = deadline
            .map_or(rules.queue_timeout, |at| rules.queue_timeout.min(at.saturating_duration_since(Instant::now())));
        let anywhere = Wish { sticky: None, ..wish.clone() };
        let Some((place, counted)) = self.commons.queue.join((Arc::clone(self), wish), rules.queue) else {
            // Who stands in the way may wait for another server than this one would get.
            return self.try_pick(&anywhere);
        };
        // Room may have been made before we stood there.
        self.serve_queue();
        let waited = pingora_timeout::timeout(longest, place).await;
        drop(counted);
        match waited {
            Ok(Ok(pick)) => Ok(pick),
            Ok(Err(_)) | Err(_) => self.try_pick(&anywhere).map_err(|_| Shortage::Waited),
        }
    }

    /// Whatever the queue.
    ///
    /// # Errors
    /// Why there is none.
    pub fn try_pick(self: &Arc<Self>, wish: &Wish) -> Result<Pick, Shortage> {
        let members = self.members();
        let sticky = wish.sticky.as_ref().filter(|own| members.keeps(own) && is_new(own, &wish.tried));
        match sticky.map(|own| self.enter(own)) {
            Some(Some(pick)) => return Ok(pick),
            // It is worth waiting for.
            Some(None) if self.upstream.pool.queue > 0 => return Err(Shortage::Full),
            Some(None) | None => {}
        }
        // Where all were tried, one more round is for whoever wants that.
        let tried = if members.has_another(&wish.tried) { wish.tried.as_slice() } else { &[] };
        while let Some(server) = members.choose(wish.hash, tried) {
            if let Some(pick) = self.enter(server) {
                return Ok(pick);
            }
        }
        Err(if members.has_another(&[]) { Shortage::Full } else { self.shortage(&members) })
    }

    /// Whether there is a server that was not tried.
    pub fn has_another(&self, tried: &[Arc<Server>]) -> bool {
        self.members().has_another(tried)
    }

    fn enter(self: &Arc<Self>, server: &Arc<Server>) -> Option<Pick> {
        server.enter().then(|| Pick { server: Arc::clone(server), pool: Arc::clone(self) })
    }

    /// For those that wait, once there may be room: each by the configuration that it came with.
    pub(super) fn serve_queue(&self) {
        let choose = |(pool, wish): &(Arc<Self>, Wish)| pool.try_pick(wish).ok();
        self.commons.queue.serve(choose, |(_, wish)| wish.sticky.is_some());
    }

    pub(super) fn members(&self) -> arc_swap::Guard<Arc<Members>> {
        let members = self.members.load();
        if self.is_current(&members) {
            return members;
        }
        drop(members);
        self.end_ejections();
        self.members.load()
    }

    fn is_current(&self, members: &Members) -> bool {
        members.version == self.commons.version.load(Ordering::Acquire)
            && members.due.is_none_or(|due| due > Instant::now())
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a change of the roster or of a server's standing, which other pools may have.
    pub(super) fn note_change(&self, roster: &Roster) {
        self.commons.version.fetch_add(1, Ordering::AcqRel);
        self.refresh(roster);
    }

    fn refresh(&self, roster: &Roster) {
        // Before it is looked at: what changes meanwhile is seen the next time.
        let version = self.commons.version.load(Ordering::Acquire);
        let turn = self.members.load().turn();
        self.members.store(Arc::new(Members::new(&roster.servers(), &self.upstream.balance, turn, version)));
    }

    fn shortage(&self, members: &Members) -> Shortage {
        if members.known == 0 {
            return Shortage::NoAddress;
        }
        let due = members.due.map(|due| due.saturating_duration_since(Instant::now()));
        let check = self.upstream.health.active.as_ref().map(|check| check.interval);
        let next = due.into_iter().chain(check).min().unwrap_or(Duration::from_secs(1));
        Shortage::AllDown(next.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(1))
    }

    /// Whether an answer with this status counts as a failure.
    pub fn is_failure(&self, status: u16) -> bool {
        let passive = self.upstream.health.passive.as_ref();
        passive.is_some_and(|rules| rules.statuses.iter().any(|bad| bad.as_u16() == status))
    }

    /// A server answered as it should.
    pub fn succeeded(&self, server: &Server) {
        if server.life.streak.load(Ordering::Relaxed) > 0 {
            server.life.streak.store(0, Ordering::Relaxed);
        }
    }

    /// A server failed a request; `reason` in words.
    pub fn failed(&self, server: &Server, reason: &str) {
        server.life.failed.fetch_add(1, Ordering::Relaxed);
        let Some(rules) = &self.upstream.health.passive else { return };
        if server.life.streak.fetch_add(1, Ordering::Relaxed) + 1 < rules.failures {
            return;
        }
        server.life.streak.store(0, Ordering::Relaxed);
        let roster = self.roster();
        if !roster.may_lose(server, rules.max_ejected) {
            return;
        }
        let count = if rules.failures == 1 { String::new() } else { format!("{} failures in a row, ", rules.failures) };
        let reason = format!("{count}the last: {reason}");
        let time = server.life.standing().eject(&reason, Instant::now(), rules);
        server.life.ejections.fetch_add(1, Ordering::Relaxed);
        log::warn!(
            "upstream {}: server {} gets no requests for {} s: {reason}",
            self.name,
            server.label,
            time.as_secs_f64()
        );
        self.note_change(&roster);
    }

    fn end_ejections(&self) {
        let roster = self.roster();
        if self.is_current(&self.members.load()) {
            // Another thread was here first.
            return;
        }
        let now = Instant::now();
        let rules = self.upstream.health.passive.as_ref();
        let mut changed = false;
        for server in roster.servers() {
            if !server.life.standing().come_back(now) {
                continue;
            }
            changed = true;
            // One more failure is enough: this is a trial.
            let streak = rules.map_or(0, |rules| rules.failures - 1);
            server.life.streak.store(streak, Ordering::Relaxed);
            self.warm(&server);
            log::info!("upstream {}: server {} gets requests again, on trial", self.name, server.label);
        }
        if changed {
            self.note_change(&roster);
        } else {
            self.refresh(&roster);
        }
    }

    /// A server that came back gets its share little by little.
    pub(super) fn warm(&self, server: &Server) {
        if !self.upstream.slow_start.is_zero() {
            server.life.begin_warm();
        }
    }
}
