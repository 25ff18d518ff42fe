//! The place of a stream on its connection: what the hooks find its exchange by, and what it
//! waits for. A stream that ends leaves its seat to the next one, so that later requests cost no
//! allocation for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use pingora_core::protocols::Digest;

use super::cancellations::Cancellations;
use crate::downstream::connection::{Activity, ClientConnection, RequestSource};
use crate::downstream::registry::Registration;
use crate::downstream::waits::Waits;
use crate::exchange::Pace;

/// As many seats without a stream are kept.
const MOST_FREE: usize = 8;

/// Where one stream after the other sits.
#[derive(Debug)]
pub(super) struct Seat {
    source: Arc<RequestSource>,
    pub digest: Digest,
    pub waits: Waits,
    /// The final response to the present request has begun.
    pub is_answered: Arc<AtomicBool>,
}

/// A seat is moved into its stream and back, and stays where it is in memory.
#[allow(clippy::vec_box)]
type FreeSeats = Vec<Box<Seat>>;

/// The seats of a connection, and how many are taken.
#[derive(Debug)]
pub(super) struct Seats {
    pub client: Arc<ClientConnection>,
    registration: Arc<Registration>,
    free: Mutex<FreeSeats>,
    open: AtomicUsize,
    tunnels: AtomicUsize,
    /// The connection ends, and its last frames are on their way.
    ends: AtomicBool,
    pub cancellations: Cancellations,
    /// The task of the connection.
    driver: AtomicWaker,
}

impl Seats {
    pub fn new(client: Arc<ClientConnection>, registration: Registration) -> Arc<Self> {
        Arc::new(Self {
            client,
            registration: Arc::new(registration),
            free: Mutex::default(),
            open: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
            cancellations: Cancellations::default(),
            driver: AtomicWaker::new(),
        })
    }

    fn free(&self) -> MutexGuard<'_, FreeSeats> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an exchange. `pace`: of the client in it.
    pub fn take(self: &Arc<Self>, pace: Pace) -> Taken {
        let mut seat = self.free().pop().unwrap_or_else(|| {
            let source = RequestSource::new(Arc::clone(&self.client));
            let digest = source.digest();
            let waits = Waits::new(Arc::default(), Arc::clone(&self.registration));
            Box::new(Seat { source, digest, waits, is_answered: Arc::default() })
        });
        seat.waits.renew(pace);
        seat.waits.expects_head = true;
        seat.is_answered.store(false, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.note_activity();
        Taken { seat: Some(seat), seats: Arc::clone(self), is_tunnel: false }
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Wakes the task once a stream has ended.
    pub fn register_driver(&self, cx: &Context<'_>) {
        self.driver.register(cx.waker());
    }

    pub fn wake_driver(&self) {
        self.driver.wake();
    }

    /// The process waits for the connection to end: what was written of its last responses has
    /// still to be sent, though no stream is left.
    pub fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
        self.note_activity();
    }

    fn note_activity(&self) {
        let (open, tunnels) = (self.open.load(Ordering::Relaxed), self.tunnels.load(Ordering::Relaxed));
        self.client.set_activity(match (open, tunnels) {
            (0, _) if self.ends.load(Ordering::Relaxed) => Activity::Request,
            (0, _) => Activity::Idle,
            (open, tunnels) if open <= tunnels => Activity::Tunnel,
            _ => Activity::Request,
        });
    }
}

/// A seat that a stream has until it drops it.
#[derive(Debug)]
pub(super) struct Taken {
    /// `None` only while it is dropped.
    seat: Option<Box<Seat>>,
    pub seats: Arc<Seats>,
    is_tunnel: bool,
}

impl Taken {
    /// Has the hooks find the exchange of the request that they are about to get.
    pub fn begin_exchange(&self) {
        self.source.begin_exchange(Arc::clone(&self.waits.exchange));
    }

    /// The stream is a tunnel or an event stream from now on.
    pub fn become_tunnel(&mut self) {
        if !std::mem::replace(&mut self.is_tunnel, true) {
            self.seats.tunnels.fetch_add(1, Ordering::Relaxed);
            self.seats.note_activity();
        }
    }
}

impl std::ops::Deref for Taken {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        match &self.seat {
            Some(seat) => seat,
            None => unreachable!("a seat that was dropped"),
        }
    }
}

impl std::ops::DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut Seat {
        match &mut self.seat {
            Some(seat) => seat,
            None => unreachable!("a seat that was dropped"),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut free = self.seats.free();
        if free.len() < MOST_FREE {
            free.extend(self.seat.take());
        }
        drop(free);
        if self.is_tunnel {
            self.seats.tunnels.fetch_sub(1, Ordering::Relaxed);
        }
        self.seats.open.fetch_sub(1, Ordering::Relaxed);
        self.seats.note_activity();
        self.seats.wake_driver();
    }
}
