//! `-c`, `-t` and `-T`: one way to read the file for all three.

use std::path::Path;
use std::sync::Arc;

use proxy_service::config::{self, Config};
use proxy_service::runtime::Snapshot;
use proxy_service::telemetry::AccessLogger;
use proxy_service::upstream::CookieKey;

/// The configuration, with its warnings printed.
///
/// # Errors
/// Every problem, rendered.
pub fn load(path: &Path) -> Result<Config, String> {
    let (config, warnings) = config::load(path).map_err(|rejected| rejected.render())?;
    super::out::tell(&config::render(&warnings, &path.display().to_string()));
    Ok(config)
}

/// As start-up does, without its log.
pub fn compile(config: &Config) -> Result<Snapshot, String> {
    Snapshot::compile(config, Arc::new(AccessLogger::off()), None, &CookieKey::new(Vec::new()))
        .map_err(|e| format!("error: {e}"))
}

pub fn test(path: &Path) -> Result<(), String> {
    compile(&load(path)?)?;
    super::out::print(&format!("{}: the configuration is fine\n", path.display()))
}

pub fn print(path: &Path) -> Result<(), String> {
    let config = load(path)?;
    compile(&config)?;
    super::out::print(&config::to_yaml(&config))
}
