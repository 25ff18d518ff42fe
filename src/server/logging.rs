//! The error log: where it goes, and which messages of Pingora it holds.

use crate::config::{Config, ErrorLog};
use crate::telemetry::ErrorFile;

/// Starts the error log and returns its file, where it goes to one.
///
/// # Errors
/// When the file cannot be opened.
pub fn start(config: &Config) -> Result<Option<ErrorFile>, String> {
    let mut logger = env_logger::Builder::new();
    // Pingora logs each connection that a client ends; the access log has those.
    logger.filter_level(config.log.level).filter_module("pingora", log::LevelFilter::Warn);
    for module in ["pingora_core", "pingora_proxy"] {
        logger.filter_module(module, config.log.level.min(log::LevelFilter::Error));
    }
    // Pingora calls each idle connection that an upstream closed an error.
    logger.filter_module("pingora_core::connectors", log::LevelFilter::Off);
    logger.parse_default_env();
    let file = match &config.server.error_log {
        ErrorLog::Stderr => None,
        ErrorLog::File(path) => {
            let open = |e| format!("cannot open the error log {}: {e}", path.display());
            Some(ErrorFile::open(path.clone()).map_err(open)?)
        }
    };
    if let Some(file) = file.clone() {
        logger.target(env_logger::Target::Pipe(Box::new(file)));
    }
    logger.try_init().map_err(|e| e.to_string())?;
    Ok(file)
}
