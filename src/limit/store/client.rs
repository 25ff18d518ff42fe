//! A [`Store`]: one connection for the whole process, on which all requests are pipelined, and what
//! happens while there is none.
//!
//! A request asks only over a connection that is there. One that is not answered in time takes the
//! connection from all: those that come meanwhile decide for themselves at once, and
//! [`Store::run`], in the background, makes the next one.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connect::{Destination, Driver};
use super::script::{self, Taken};
use crate::config::{Password, PemFile, RateLimit, RequestRate, StoreAddress};
use crate::limit::quota::Quota;

/// For a connection with all that belongs to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts to connect: doubled from the one to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Store {
    identity: Identity,
    destination: Destination,
    /// `None` while the store is away.
    connection: ArcSwapOption<MultiplexedConnection>,
    lost: Notify,
    /// Whether the log says that it is away.
    is_told: AtomicBool,
}

/// What makes a store the same as another: routes share its connection then, and keep it over a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    address: StoreAddress,
    password: Option<Password>,
    ca: Option<PemFile>,
}

impl Store {
    /// The store of a limit, which nobody connects to yet; the same one for all that name it alike.
    ///
    /// # Errors
    /// In words, when its name or a certificate cannot be used.
    pub fn of(address: &StoreAddress, settings: &RateLimit) -> Result<Arc<Self>, String> {
        static KNOWN: LazyLock<Mutex<Vec<Weak<Store>>>> = LazyLock::new(Mutex::default);
        let identity = Identity {
            address: address.clone(),
            password: settings.store_password().cloned(),
            ca: settings.store_ca.clone(),
        };
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|store| store.strong_count() > 0);
        if let Some(store) = known.iter().filter_map(Weak::upgrade).find(|store| store.identity == identity) {
            return Ok(store);
        }
        let store = Arc::new(Self {
            destination: Destination::new(address, settings)?,
            identity,
            connection: ArcSwapOption::empty(),
            lost: Notify::new(),
            is_told: AtomicBool::new(false),
        });
        known.push(Arc::downgrade(&store));
        Ok(store)
    }

    /// What the store says of a request, within `longest`; `None` where it is away.
    pub async fn take(&self, key: &str, quota: &Quota, longest: Duration) -> Option<Taken> {
        let connection = self.connection.load_full()?;
        match timeout(longest, script::take((*connection).clone(), key, quota)).await {
            Ok(Ok(taken)) => return Some(taken),
            Ok(Err(e)) => self.lose(&connection, &e),
            Err(_) => self.lose(&connection, &format_args!("no answer within {longest:?}")),
        }
        None
    }

    /// Connects, and again whenever that is lost, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            match timeout(CONNECT_TIMEOUT, self.connect()).await {
                Ok(Ok((connection, driver))) => self.keep(connection, driver).await,
                Ok(Err(reason)) => self.tell_away(&reason),
                Err(_) => self.tell_away(&format_args!("no answer within {CONNECT_TIMEOUT:?}")),
            }
            if began.elapsed() > CONNECT_TIMEOUT + LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            // So that a fleet does not come back at once.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A connection on which a request was counted: the store can do all that is asked of it.
    async fn connect(&self) -> Result<(MultiplexedConnection, Driver), String> {
        let (connection, mut driver) = self.destination.connect().await?;
        let quota = Quota::new(RequestRate { count: 1_000_000, per: Duration::from_secs(1) }, 1_000_000);
        tokio::select! {
            taken = script::take(connection.clone(), "pingora-proxy:limit:probe", &quota) => {
                taken.map_err(|e| e.to_string())?;
            }
            () = &mut driver => return Err("the store closed the connection".to_owned()),
        }
        Ok((connection, driver))
    }

    /// Has requests use the connection until it is lost.
    async fn keep(&self, connection: MultiplexedConnection, driver: Driver) {
        let connection = Arc::new(connection);
        // What was lost before is not this one.
        let lost = self.lost.notified();
        self.connection.store(Some(Arc::clone(&connection)));
        if self.is_told.swap(false, Ordering::Relaxed) {
            log::info!("the store of limits at {} answers again: proxies count together", self.place());
        }
        tokio::select! {
            () = driver => self.lose(&connection, &"the store closed the connection"),
            () = lost => {}
        }
    }

    /// Takes the connection from the requests, unless there is another one by now.
    fn lose(&self, connection: &Arc<MultiplexedConnection>, reason: &dyn Display) {
        let before = self.connection.compare_and_swap(&Some(Arc::clone(connection)), None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, connection)) {
            self.tell_away(reason);
            self.lost.notify_waiters();
        }
    }

    fn tell_away(&self, reason: &dyn Display) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let (place, reason) = (self.place(), reason.to_string().escape_debug().to_string());
            log::warn!(
                "the store of limits at {place} is away: {reason}; each proxy counts by itself until it is back"
            );
        }
    }

    /// Whether limits are counted by this process alone meanwhile.
    pub fn is_away(&self) -> bool {
        self.connection.load().is_none()
    }

    pub fn place(&self) -> &impl Display {
        &self.identity.address.place
    }
}
