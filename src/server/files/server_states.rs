//! What an operator said of servers, in a file beside the control socket, so that it holds after a
//! restart too.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::upstream::{EndpointReport, HealthStatus, Reports, UpstreamReport};

/// The content of the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStates {
    /// The configuration that the process runs with: another one says nothing of these servers.
    pub config: PathBuf,
    pub servers: Vec<KeptState>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    pub upstream: String,
    pub server: String,
    /// `Draining` or `Disabled`, if the operator said so.
    pub state: Option<HealthStatus>,
    /// The operator's weight.
    pub weight: Option<u32>,
    /// What the configuration says of the server. Where that changes, the operator's word is over.
    pub configured_weight: u32,
    pub backup: bool,
}

impl KeptStates {
    /// What differs from the configuration.
    pub fn of(config: &Path, reports: &Reports) -> Self {
        let kept = |upstream: &UpstreamReport, server: &EndpointReport| {
            let state = Some(server.state).filter(|state| state.is_by_operator());
            let weight = server.configured_weight.map(|_| server.weight);
            (state.is_some() || weight.is_some()).then(|| KeptState {
                upstream: upstream.name.clone(),
                server: server.address.clone(),
                state,
                weight,
                configured_weight: configured_weight(server),
                backup: server.backup,
            })
        };
        let of_upstream = |upstream| move |server| kept(upstream, server);
        let servers = reports.upstreams.iter().flat_map(|one| one.servers.iter().filter_map(of_upstream(one)));
        Self { config: config.to_owned(), servers: servers.collect() }
    }

    /// Those of a file that hold for these servers of this configuration.
    pub fn still_true(self, config: &Path, reports: &Reports) -> Vec<KeptState> {
        let holds = |kept: &KeptState| {
            let upstream = reports.upstreams.iter().find(|upstream| upstream.name == kept.upstream);
            let server = upstream.and_then(|one| one.servers.iter().find(|server| server.address == kept.server));
            server.is_some_and(|server| {
                (configured_weight(server), server.backup) == (kept.configured_weight, kept.backup)
            })
        };
        if self.config == config { self.servers.into_iter().filter(holds).collect() } else { Vec::new() }
    }

    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the file in one step; there is none where there is nothing to say.
    ///
    /// # Errors
    /// When it cannot be written; the old one stands then.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if self.servers.is_empty() {
            return match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&beside, path)
    }
}

fn configured_weight(server: &EndpointReport) -> u32 {
    server.configured_weight.unwrap_or(server.weight)
}

/// The place of the file for a process with this control socket.
pub fn place_for(control: &Path) -> PathBuf {
    let mut place = control.as_os_str().to_owned();
    place.push(".servers");
    PathBuf::from(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str, state: HealthStatus, weight: u32, configured: Option<u32>) -> EndpointReport {
        let (address, reason) = (address.to_owned(), String::new());
        let (backup, max_connections, warming) = (false, None, None);
        EndpointReport {
            address,
            state,
            reason,
            since: 0,
            weight,
            configured_weight: configured,
            backup,
            in_flight: 0,
            max_connections,
            requests: 0,
            failures: 0,
            ejections: 0,
            warming,
        }
    }

    fn reports(servers: Vec<EndpointReport>) -> Reports {
        let upstream =
            UpstreamReport { name: "api".to_owned(), available: 0, queued: 0, servers, unresolved: Vec::new() };
        Reports { upstreams: vec![upstream] }
    }

    #[test]
    fn what_the_operator_said_is_kept_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let (path, config) = (place_for(&folder.join("u.sock")), Path::new("/p.yaml"));
        assert_eq!(
            (path.file_name().unwrap().to_str(), KeptStates::read(&path).unwrap()),
            (Some("u.sock.servers"), None)
        );
        let (up, down) = (HealthStatus::Up, HealthStatus::Down);
        let now = reports(vec![
            server("a:1", HealthStatus::Disabled, 1, None),
            server("b:1", up, 7, Some(2)),
            server("c:1", down, 1, None),
        ]);
        let kept = KeptStates::of(config, &now);
        assert_eq!(kept.servers.iter().map(|one| one.server.as_str()).collect::<Vec<_>>(), ["a:1", "b:1"]);
        kept.write(&path).unwrap();
        let again = || KeptStates::read(&path).unwrap().unwrap();
        assert_eq!(again(), kept);
        // After a restart all servers are up and have their configured weights.
        let fresh = reports(vec![server("a:1", up, 1, None), server("b:1", up, 2, None)]);
        assert_eq!(again().still_true(config, &fresh), kept.servers);
        assert!(again().still_true(Path::new("/other.yaml"), &fresh).is_empty());
        let changed = reports(vec![server("b:1", up, 3, None)]);
        assert!(again().still_true(config, &changed).is_empty());
        KeptStates::of(config, &fresh).write(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "{").unwrap();
        assert!(KeptStates::read(&path).is_err());
        std::fs::remove_dir_all(folder).unwrap();
        assert!(kept.write(&path).is_err());
    }
}
