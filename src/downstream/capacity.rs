//! How many clients' connections there may be, of all and of one address. One that is too many is
//! still let in to be told so, up to a bound; beyond that it is closed at once.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::Level;

use super::connection::Excess;
use crate::transport::Complaints;

/// So many connections that are too many, by either limit, are told so at the same time.
const MOST_TOLD: usize = 256;
/// The addresses are in so many tables, so that workers seldom wait for each other.
const TABLES: usize = 16;

/// What a limit of addresses counts by: a network of IPv6 is handed out to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl Address {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6(u64::try_from(ip.to_bits() >> 64).unwrap_or_default()),
        }
    }

    fn table(self) -> usize {
        let bits = match self {
            Self::V4(bits) => u64::from(bits),
            Self::V6(bits) => bits,
        };
        usize::try_from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60).unwrap_or(0) % TABLES
    }
}

/// The connections of all listeners and workers.
#[derive(Debug, Default)]
pub struct Capacity {
    total: AtomicUsize,
    by_address: [Mutex<HashMap<Address, usize>>; TABLES],
    too_many: TooMany,
    of_address: TooMany,
}

/// The connections that are too many by one limit.
#[derive(Debug, Default)]
struct TooMany {
    /// Those that are let in to be told so.
    told: AtomicUsize,
    /// All since the process began.
    count: AtomicU64,
    complaints: Complaints,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    capacity: Arc<Capacity>,
    address: Option<Address>,
    is_counted: bool,
    excess: Option<Excess>,
}

impl Capacity {
    /// Counts a connection of any client, of which there may be `most`; `None` where it is to be
    /// closed at once.
    pub fn admit(self: &Arc<Self>, most: Option<usize>) -> Option<Admitted> {
        let before = self.total.fetch_add(1, Ordering::Relaxed);
        let mut admitted = Admitted { capacity: Arc::clone(self), address: None, is_counted: true, excess: None };
        let Some(most) = most.filter(|most| before >= *most) else { return Some(admitted) };
        self.total.fetch_sub(1, Ordering::Relaxed);
        admitted.is_counted = false;
        admitted.exceed(Excess::Connections, most).then_some(admitted)
    }

    /// The connections that were one too many by this limit, since the process began.
    pub fn refused(&self, excess: Excess) -> u64 {
        self.kind(excess).count.load(Ordering::Relaxed)
    }

    fn kind(&self, excess: Excess) -> &TooMany {
        match excess {
            Excess::Connections => &self.too_many,
            Excess::OfAddress => &self.of_address,
        }
    }

    fn table(&self, address: Address) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.by_address[address.table()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Counts the connection as one of this address, which may have `most`. Returns false where it is
    /// to be closed at once.
    pub fn count_address(&mut self, ip: IpAddr, most: Option<usize>) -> bool {
        if self.excess.is_some() {
            return true;
        }
        let address = Address::of(ip);
        let mut table = self.capacity.table(address);
        let count = table.entry(address).or_default();
        match most {
            Some(most) if *count >= most => {
                drop(table);
                self.exceed(Excess::OfAddress, most)
            }
            Some(_) | None => {
                *count += 1;
                drop(table);
                self.address = Some(address);
                true
            }
        }
    }

    /// By which limit it is one too many.
    pub fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Returns whether it is told so.
    fn exceed(&mut self, excess: Excess, most: usize) -> bool {
        let kind = self.capacity.kind(excess);
        kind.count.fetch_add(1, Ordering::Relaxed);
        let is_told = kind.told.fetch_add(1, Ordering::Relaxed) < MOST_TOLD;
        if is_told {
            self.excess = Some(excess);
        } else {
            kind.told.fetch_sub(1, Ordering::Relaxed);
        }
        self.capacity.kind(excess).complaints.say(Level::Warn, module_path!(), &Refused { excess, most, is_told });
        is_told
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(excess) = self.excess {
            self.capacity.kind(excess).told.fetch_sub(1, Ordering::Relaxed);
        }
        if self.is_counted {
            self.capacity.total.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(address) = self.address else { return };
        let mut table = self.capacity.table(address);
        if let Some(count) = table.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                table.remove(&address);
            }
        }
    }
}

/// A line of the log.
struct Refused {
    excess: Excess,
    most: usize,
    is_told: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.excess {
            Excess::Connections => "connections",
            Excess::OfAddress => "connections_per_ip",
        };
        let how = if self.is_told { "answered so and closed" } else { "closed without an answer" };
        write!(f, "a client's connection was {how}: there are {} already, see `limits.{key}`", self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_told_so_and_many_too_many_are_not() {
        let capacity = Arc::new(Capacity::default());
        let mut open: Vec<_> = (0..3).map(|_| capacity.admit(Some(3)).unwrap()).collect();
        assert!(open.iter().all(|admitted| admitted.excess().is_none()));
        let told: Vec<_> = (0..MOST_TOLD).map(|_| capacity.admit(Some(3)).unwrap()).collect();
        assert!(told.iter().all(|admitted| admitted.excess() == Some(Excess::Connections)));
        assert!(capacity.admit(Some(3)).is_none());
        // A wider limit holds at once.
        assert!(capacity.admit(Some(4)).unwrap().excess().is_none() && capacity.admit(None).is_some());
        drop(told);
        open.pop();
        assert!(capacity.admit(Some(3)).unwrap().excess().is_none());
        drop(open);
        assert_eq!(capacity.total.load(Ordering::Relaxed), 0);
        assert_eq!(capacity.too_many.told.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_address_has_its_own_and_an_ipv6_network_is_one() {
        let capacity = Arc::new(Capacity::default());
        let come = |ip: &str| {
            let mut admitted = capacity.admit(None).unwrap();
            assert!(admitted.count_address(ip.parse().unwrap(), Some(1)));
            admitted
        };
        let _others = ["10.0.0.2", "2001:db8:0:1::1"].map(come);
        let first = come("10.0.0.1");
        for (ip, excess) in [
            ("10.0.0.1", Some(Excess::OfAddress)),
            ("::ffff:10.0.0.1", Some(Excess::OfAddress)),
            ("10.0.0.3", None),
            ("2001:db8:0:1:ffff::2", Some(Excess::OfAddress)),
            ("2001:db8:0:2::1", None),
        ] {
            assert_eq!(come(ip).excess(), excess, "{ip}");
        }
        drop(first);
        assert!(come("10.0.0.1").excess().is_none());
        let tables = || capacity.by_address.iter().map(|table| table.lock().unwrap().len()).sum::<usize>();
        assert_eq!(tables(), 2, "what has left is forgotten");
    }
}
