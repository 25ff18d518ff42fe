//! How a pool is, for people and programs: each server's state and the reason for it.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::pool::Pool;
use super::server::Server;
use super::standing::State;

/// Every upstream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reports {
    pub upstreams: Vec<Report>,
}

/// One upstream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub name: String,
    /// Servers that get requests now.
    pub available: usize,
    /// Requests that wait for a server with room.
    pub queued: usize,
    pub servers: Vec<ServerReport>,
    /// Names that could not be looked up, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<Unresolved>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Unresolved {
    pub name: String,
    pub reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ServerReport {
    pub address: String,
    pub state: State,
    /// Empty where it is up.
    pub reason: String,
    /// When the state began, in seconds since 1970.
    pub since: u64,
    pub weight: u32,
    /// Where it is not the one in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured_weight: Option<u32>,
    pub backup: bool,
    /// Requests at the moment.
    pub in_flight: u32,
    pub max_connections: Option<u32>,
    /// Attempts, and those of them that failed.
    pub requests: u64,
    pub failures: u64,
    pub ejections: u64,
    /// Of its share, in percent, while it grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warming: Option<u8>,
}

impl Pool {
    pub fn report(&self) -> Report {
        let roster = self.roster();
        let unresolved = |(name, reason): (&str, &str)| Unresolved { name: name.to_owned(), reason: reason.to_owned() };
        Report {
            name: self.name.to_string(),
            available: self.available(),
            queued: self.waiting(),
            servers: roster.servers().iter().map(|server| of_server(server)).collect(),
            unresolved: roster.troubles().map(unresolved).collect(),
        }
    }
}

fn of_server(server: &Server) -> ServerReport {
    let weight = server.weight();
    let standing = server.life.standing();
    let since = standing.since().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    ServerReport {
        address: server.label.to_string(),
        state: standing.state(),
        reason: standing.reason(),
        since,
        weight,
        configured_weight: Some(server.configured_weight()).filter(|configured| *configured != weight),
        backup: server.backup,
        in_flight: server.life.load.get(),
        max_connections: server.limit(),
        requests: server.life.served.load(Ordering::Relaxed),
        failures: server.life.failed.load(Ordering::Relaxed),
        ejections: server.life.ejections.load(Ordering::Relaxed),
        warming: server.warming(),
    }
}
