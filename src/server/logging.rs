//! The error log of the process: where it goes, and which messages of the libraries it holds.

use env_filter::Builder;
use log::LevelFilter;

use super::log_targets::word;
use crate::config::{Config, ErrorLog};
use crate::telemetry::ErrorLogger;

/// Starts the error log.
///
/// # Errors
/// When its file cannot be opened.
pub fn start(config: &Config) -> Result<ErrorLogger, String> {
    let server = &config.server;
    ErrorLogger::start(&server.error_log, config.log.format, filter(config.log.level), word).map_err(|e| match &server
        .error_log
    {
        ErrorLog::File(path) => format!("cannot open the error log {}: {e}", path.display()),
        ErrorLog::Stderr => format!("cannot start the error log: {e}"),
    })
}

/// `RUST_LOG` has the last word.
fn filter(level: LevelFilter) -> env_filter::Filter {
    let mut filter = Builder::new();
    // Pingora logs each connection that a client ends; the access log has those.
    filter.filter_level(level).filter_module("pingora", LevelFilter::Warn);
    for module in ["pingora_core", "pingora_proxy"] {
        filter.filter_module(module, level.min(LevelFilter::Error));
    }
    // rustls warns of what any client can send, as often as it likes. Why a client was not let in
    // is in the log of the listener.
    filter.filter_module("rustls", level.min(LevelFilter::Error));
    // Pingora calls each idle connection that an upstream closed an error.
    filter.filter_module("pingora_core::connectors", LevelFilter::Off);
    if let Ok(wanted) = std::env::var("RUST_LOG") {
        filter.parse(&wanted);
    }
    filter.build()
}
