//! A connection that a session has for the time of one exchange. Pingora drops a session
//! when it is done with it, so that the connection comes back by way of a slot.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;

/// Where a connection comes back after a whole response.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<Mutex<Option<Box<Connection>>>>);

impl Slot {
    /// `None` when the connection has ended in the middle of an exchange.
    pub fn take(&self) -> Option<Box<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The connection, and where it comes back.
#[derive(Debug)]
pub(super) struct Lent {
    /// `None` only once it was given back.
    connection: Option<Box<Connection>>,
    slot: Slot,
}

impl Lent {
    pub fn new(connection: Box<Connection>, slot: Slot) -> Self {
        Self { connection: Some(connection), slot }
    }

    /// For who drops the session.
    pub fn give_back(&mut self) {
        *self.slot.0.lock().unwrap_or_else(PoisonError::into_inner) = self.connection.take();
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("a session that was dropped"),
        }
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("a session that was dropped"),
        }
    }
}
