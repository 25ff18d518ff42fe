//! `upstreams`: how the servers of the running process are, and changes of them.

use std::path::Path;

use clap::{Args, Subcommand};
use proxy_service::server;
use proxy_service::upstream::{Change, OperatorCommand, Reports};

#[derive(Args, Debug)]
pub struct Upstreams {
    #[command(subcommand)]
    change: Option<ServerAction>,
    /// Prints JSON, as the admin endpoint's /upstreams
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum ServerAction {
    /// Gives a server no new clients; those that stick to it go on
    Drain(ServerName),
    /// Gives a server no requests at all
    Disable(ServerName),
    /// Lets a server have requests again, whatever was learnt of it
    Enable(ServerName),
    /// Changes a server's share of the requests
    Weight {
        #[command(flatten)]
        name: ServerName,
        /// 1 to 1000; 0 is the configured one
        #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
        weight: u32,
    },
}

#[derive(Args, Debug)]
struct ServerName {
    upstream: String,
    /// Its address, as `upstreams` prints it
    server: String,
}

impl Upstreams {
    /// # Errors
    /// What the running process says, or that there is none.
    pub fn run(self, file: Option<&Path>) -> Result<(), String> {
        let change = self.change.map(ServerAction::command);
        let prints_report = change.is_none();
        let running = super::configuration::process(file)?;
        match server::upstreams(&running, change) {
            Ok((true, text)) if prints_report && !self.json => super::out::show(&table(&text)?),
            Ok((true, text)) => super::out::print(&format!("{}\n", text.trim_end())),
            Ok((false, reason)) | Err(reason) => Err(format!("error: {reason}")),
        }
    }
}

impl ServerAction {
    fn command(self) -> OperatorCommand {
        let (name, change) = match self {
            Self::Drain(name) => (name, Change::Drain),
            Self::Disable(name) => (name, Change::Disable),
            Self::Enable(name) => (name, Change::Enable),
            Self::Weight { name, weight } => (name, Change::Weight(weight)),
        };
        OperatorCommand { upstream: name.upstream, server: name.server, change }
    }
}

/// The report as a person reads it: a line for each server.
///
/// # Errors
/// When the process is of a version whose report is another.
fn table(report: &str) -> Result<String, String> {
    let report: Reports =
        serde_json::from_str(report).map_err(|e| format!("error: its report is not understood (try --json): {e}"))?;
    let mut out = String::new();
    for upstream in report.upstreams {
        let count = upstream.servers.len();
        out += &format!("{}: {} of {count} get requests", upstream.name, upstream.available);
        if upstream.queued > 0 {
            out += &format!(", {} wait", upstream.queued);
        }
        out.push('\n');
        for server in upstream.servers {
            let backup = if server.backup { " backup" } else { "" };
            let warming = server.warming.map(|share| format!(" warming {share}%")).unwrap_or_default();
            out += &format!(
                "  {:<32} {:<9} weight {}{backup}{warming}  in flight {}  requests {}  failures {}",
                server.address, server.state, server.weight, server.in_flight, server.requests, server.failures
            );
            if !server.reason.is_empty() {
                out += &format!("  ({})", server.reason);
            }
            out.push('\n');
        }
        for name in upstream.unresolved {
            out += &format!("  {} cannot be looked up: {}\n", name.name, name.reason);
        }
    }
    Ok(out)
}
