//! The upstreams' servers as an operator sees and changes them, over the admin endpoint
//! or the control socket.

use crate::runtime::Live;
use crate::upstream::{Change, HealthStatus, OperatorCommand, Reports};

/// Every upstream as JSON.
pub fn report(live: &Live) -> String {
    let snapshot = live.pin();
    let all = Reports { upstreams: snapshot.pools.iter().map(|pool| pool.report()).collect() };
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

/// # Errors
/// In words, when there is no such server.
pub fn change(live: &Live, command: &OperatorCommand) -> Result<String, String> {
    let snapshot = live.pin();
    let pool = snapshot.pools.iter().find(|pool| *pool.name == *command.upstream);
    let pool = pool.ok_or_else(|| {
        let known: Vec<&str> = snapshot.pools.iter().map(|pool| &*pool.name).collect();
        format!("there is no upstream `{}`; there are {}", command.upstream, known.join(", "))
    })?;
    pool.apply_change(&command.server, command.change)
}

/// Gives each server the state and the weight that the operator gave it in the older process,
/// which sent this `report`.
pub fn restore(live: &Live, report: &str) {
    let report: Reports = match serde_json::from_str(report) {
        Ok(report) => report,
        Err(e) => return log::info!("upgrade: the servers' states are not understood: {e}"),
    };
    for upstream in report.upstreams {
        for server in upstream.servers {
            let state = match server.state {
                HealthStatus::Draining => Some(Change::Drain),
                HealthStatus::Disabled => Some(Change::Disable),
                HealthStatus::Up | HealthStatus::Down | HealthStatus::Ejected => None,
            };
            let weight = server.configured_weight.map(|_| Change::Weight(server.weight));
            for change in state.into_iter().chain(weight) {
                let command =
                    OperatorCommand { upstream: upstream.name.clone(), server: server.address.clone(), change };
                if let Err(reason) = self::change(live, &command) {
                    log::info!("what the operator said of a server has no use any more: {reason}");
                }
            }
        }
    }
}
