//! `-s`: gives the running process an order and reports the outcome.

use std::path::Path;

use clap::ValueEnum;
use proxy_service::server::{self, Order};

/// The orders that `-s` may give.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Signal {
    /// Reads the configuration again; a bad one changes nothing
    Reload,
    /// Starts the program anew and hands the listeners over, without losing a request
    Upgrade,
    /// Ends when the requests in flight are done, within `server.drain`
    Quit,
    /// Ends now
    Stop,
    /// Opens the log files anew, after they were moved away
    Reopen,
    /// Tells how the process is, and which older ones are not done yet
    Status,
}

/// # Errors
/// What the running process says, or that there is none.
pub fn send(signal: Signal, file: Option<&Path>) -> Result<(), String> {
    let order = match signal {
        Signal::Reload => Order::Reload,
        Signal::Upgrade => Order::Upgrade,
        Signal::Quit => Order::Quit,
        Signal::Stop => Order::Stop,
        Signal::Reopen => Order::Reopen,
        Signal::Status => Order::Status,
    };
    let running = super::configuration::process(file)?;
    match server::order(&running, order) {
        Ok((true, text)) => {
            super::out::show(&format!("{}\n", text.trim_end()))?;
            let older = if order == Order::Status { server::older_processes(&running) } else { Vec::new() };
            older.iter().try_for_each(|text| super::out::show(&format!("{}\n", text.trim_end())))
        }
        Ok((false, text)) if text.starts_with("error") || text.starts_with("warning") => Err(text),
        Ok((false, reason)) | Err(reason) => Err(format!("error: {reason}")),
    }
}
