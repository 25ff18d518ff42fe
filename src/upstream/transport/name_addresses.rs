//! The addresses of one name, any of which is its server. A connection is made as RFC 8305
//! ("Happy Eyeballs") says: to the one that took the last connection, and then to the others,
//! each a moment after the one before it or as soon as that has failed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pingora::{Error, ErrorType, Result};
use tokio::net::TcpStream;

use super::socket::connect_tcp;
use crate::upstream::pool_key::next_key;

/// The Connection Attempt Delay of RFC 8305 section 5.
const DELAY: Duration = Duration::from_millis(250);
/// Attempts that are under way at the same time for one connection.
const MOST_AT_ONCE: usize = 8;

#[derive(Debug)]
pub struct NameAddresses {
    /// The upstream and the server in words.
    title: String,
    /// In the order in which they are tried; never empty.
    all: Vec<KnownAddress>,
    /// The place in `all` of the address that took the last connection.
    current: AtomicUsize,
    /// The part of the pool key of connections that were made since an address left the name
    /// that had taken some; `None` while there was none.
    pub renewed_key: Option<u64>,
}

#[derive(Debug)]
struct KnownAddress {
    address: SocketAddr,
    /// Whether it has ever taken a connection.
    used: AtomicBool,
}

impl NameAddresses {
    /// The addresses that a name has now, with what is known of those that it had before.
    /// `None` where it has none.
    pub fn new(found: &[SocketAddr], before: Option<&Arc<Self>>, title: String) -> Option<Arc<Self>> {
        if let Some(before) = before.filter(|before| before.has_all_of(found) && before.all.len() == found.len()) {
            return Some(Arc::clone(before));
        }
        let was_used = |address| before.is_some_and(|before| before.is_used(address));
        let known = |address: &SocketAddr| KnownAddress { address: *address, used: was_used(*address).into() };
        let at = |address: SocketAddr| found.iter().position(|one| *one == address);
        let current = before.and_then(|before| at(before.current())).unwrap_or(0);
        let lost = before.is_some_and(|before| before.all.iter().any(|one| one.is_used() && at(one.address).is_none()));
        let renewed_key = if lost { Some(next_key()) } else { before.and_then(|before| before.renewed_key) };
        let all: Vec<KnownAddress> = found.iter().map(known).collect();
        let addresses = Self { title, all, current: current.into(), renewed_key };
        (!found.is_empty()).then(|| Arc::new(addresses))
    }

    fn has_all_of(&self, found: &[SocketAddr]) -> bool {
        found.iter().all(|address| self.iter().any(|one| one == *address))
    }

    fn is_used(&self, address: SocketAddr) -> bool {
        self.all.iter().any(|one| one.address == address && one.is_used())
    }

    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().map(|one| one.address)
    }

    /// The address that took the last connection, or that gets the first one.
    pub fn current(&self) -> SocketAddr {
        let known = self.all.get(self.current.load(Ordering::Relaxed)).or(self.all.first());
        known.map_or_else(|| SocketAddr::from(([0; 4], 0)), |known| known.address)
    }

    /// Remembers which address took a connection.
    pub(super) fn note(&self, place: usize) {
        let Some(known) = self.all.get(place) else { return };
        if !known.is_used() {
            known.used.store(true, Ordering::Relaxed);
        }
        if self.current.load(Ordering::Relaxed) != place && self.current.swap(place, Ordering::Relaxed) != place {
            log::info!("{} is reached at {} now", self.title, known.address);
        }
    }

    async fn attempt(&self, place: usize, mut address: SocketAddr, port: Option<u16>) -> (usize, Result<TcpStream>) {
        address.set_port(port.unwrap_or(address.port()));
        let made = connect_tcp(address).await;
        if let Err(e) = &made {
            log::debug!("{}: {address}: {e}", self.title);
        }
        (place, made)
    }

    /// A connection, and the place of its address: one that is not in `failed`. The deadline is the
    /// caller's. `port`: another one than the addresses' own.
    pub(super) async fn connect(&self, port: Option<u16>, failed: &[usize]) -> Result<(usize, TcpStream)> {
        let current = self.current.load(Ordering::Relaxed);
        let others = (0..self.all.len()).filter(|place| *place != current);
        let mut places = std::iter::once(current).chain(others).filter(|place| !failed.contains(place)).peekable();
        let mut attempts = FuturesUnordered::new();
        let mut failure = None;
        loop {
            if attempts.len() < MOST_AT_ONCE
                && let Some(place) = places.next()
                && let Some(known) = self.all.get(place)
            {
                attempts.push(self.attempt(place, known.address, port));
            }
            let may_go_on = attempts.len() < MOST_AT_ONCE && places.peek().is_some();
            tokio::select! {
                done = attempts.next() => match done {
                    Some((place, Ok(stream))) => return Ok((place, stream)),
                    Some((_, Err(e))) => failure = Some(telling(failure, e)),
                    None if may_go_on => {}
                    None => return Err(failure.unwrap_or_else(|| Error::new(ErrorType::ConnectNoRoute))),
                },
                () = tokio::time::sleep(DELAY), if may_go_on => {}
            }
        }
    }
}

impl KnownAddress {
    fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

/// Of two failures the one that says more: a family of addresses that this machine has no
/// route to is seldom why a server cannot be reached.
fn telling(before: Option<Box<Error>>, now: Box<Error>) -> Box<Error> {
    let is_ours = matches!(now.etype(), ErrorType::ConnectNoRoute | ErrorType::BindError);
    before.filter(|_| is_ours).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(lasts: &[u8]) -> Vec<SocketAddr> {
        lasts.iter().map(|last| ([127, 0, 0, *last], 80).into()).collect()
    }

    fn known(lasts: &[u8], before: Option<&Arc<NameAddresses>>) -> Arc<NameAddresses> {
        NameAddresses::new(&addresses(lasts), before, "server".to_owned()).unwrap()
    }

    #[test]
    fn what_is_known_of_an_address_stays_while_the_name_has_it() {
        let first = known(&[1, 2], None);
        first.note(1);
        assert_eq!(first.current(), addresses(&[2])[0]);
        assert!(Arc::ptr_eq(&first, &known(&[2, 1], Some(&first))));
        let more = known(&[3, 1, 2], Some(&first));
        assert_eq!((more.current(), more.renewed_key), (addresses(&[2])[0], None));
        // No connection was ever made to .1, one may lie idle to .2.
        assert_eq!(known(&[2, 3], Some(&more)).renewed_key, None);
        let moved = known(&[1, 3], Some(&more));
        assert_eq!(moved.current(), addresses(&[1])[0]);
        assert!(moved.renewed_key.is_some());
        assert_eq!(known(&[1], Some(&moved)).renewed_key, moved.renewed_key);
        assert!(NameAddresses::new(&[], Some(&moved), String::new()).is_none());
    }

    #[test]
    fn a_refusal_tells_more_than_a_missing_route() {
        let told = |first: ErrorType, then: ErrorType| {
            let before = Some(Error::new(first));
            telling(before, Error::new(then)).etype().clone()
        };
        assert_eq!(told(ErrorType::ConnectRefused, ErrorType::ConnectNoRoute), ErrorType::ConnectRefused);
        assert_eq!(told(ErrorType::ConnectNoRoute, ErrorType::ConnectRefused), ErrorType::ConnectRefused);
        assert_eq!(telling(None, Error::new(ErrorType::BindError)).etype(), &ErrorType::BindError);
    }
}
