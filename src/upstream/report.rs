//! What a pool tells people and programs of itself: the status of each endpoint and the
//! reason for it. The JSON speaks of servers, as the configuration does.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::health::HealthStatus;
use super::pool::Pool;

/// Every upstream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reports {
    pub upstreams: Vec<UpstreamReport>,
}

/// One upstream.
#[derive(Debug, Serialize, Deserialize)]
pub struct UpstreamReport {
    pub name: String,
    /// The number of endpoints that get requests now.
    pub available: usize,
    /// The number of requests that wait for an endpoint with room.
    pub queued: usize,
    pub servers: Vec<EndpointReport>,
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
pub struct EndpointReport {
    pub address: String,
    pub state: HealthStatus,
    /// Empty where the endpoint is up.
    pub reason: String,
    /// When the status began, in seconds since 1970.
    pub since: u64,
    pub weight: u32,
    /// The configured weight, where it is not the one in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured_weight: Option<u32>,
    pub backup: bool,
    /// The number of requests at the moment.
    pub in_flight: u32,
    pub max_connections: Option<u32>,
    /// The number of attempts; `failures` are those of them that failed.
    pub requests: u64,
    pub failures: u64,
    pub ejections: u64,
    /// The endpoint's part of its share in percent, while slow start lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warming: Option<u8>,
}

impl Pool {
    pub fn report(&self) -> UpstreamReport {
        let endpoints = self.endpoints();
        let unresolved = |(name, reason): (&str, &str)| Unresolved { name: name.to_owned(), reason: reason.to_owned() };
        UpstreamReport {
            name: self.name.to_string(),
            available: self.available(),
            queued: self.waiting(),
            servers: endpoints.all().iter().map(|endpoint| of_endpoint(endpoint)).collect(),
            unresolved: endpoints.unresolved().map(unresolved).collect(),
        }
    }
}

fn of_endpoint(endpoint: &Endpoint) -> EndpointReport {
    let weight = endpoint.weight();
    let health = endpoint.stats.health();
    let since = health.since().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    EndpointReport {
        address: endpoint.label.to_string(),
        state: health.status(),
        reason: health.reason(),
        since,
        weight,
        configured_weight: Some(endpoint.configured_weight()).filter(|configured| *configured != weight),
        backup: endpoint.backup,
        in_flight: endpoint.stats.load.get(),
        max_connections: endpoint.max_connections(),
        requests: endpoint.stats.served.load(Ordering::Relaxed),
        failures: endpoint.stats.failed.load(Ordering::Relaxed),
        ejections: endpoint.stats.ejections.load(Ordering::Relaxed),
        warming: endpoint.slow_start_percent(),
    }
}
