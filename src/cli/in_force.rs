//! The configuration that others are compared with: that of the running process, or without one
//! that of the file.

use std::path::PathBuf;

use proxy_service::config::{self, Config};
use proxy_service::server::{self, Running};

/// What is compared with.
pub struct InForce {
    pub config: Config,
    /// Where it is from, for a person.
    pub title: String,
}

/// The configuration of the running process of this file, which `-s` would find. Where there is none, it is said,
/// and the file is read.
///
/// # Errors
/// When there is neither, or the configuration is refused.
pub fn find(file: Option<PathBuf>) -> Result<InForce, String> {
    match super::configuration::process(file.as_deref()).and_then(|running| ask(&running)) {
        Ok(found) => Ok(found),
        Err(reason) => {
            let file = super::configuration::file(file).map_err(|reason| format!("error: {reason}"))?;
            let reason = reason.trim_end().trim_start_matches("error: ");
            super::out::tell(&format!("{reason}; the file {} is compared\n", file.display()));
            let source = super::configuration::source(&file)?;
            Ok(InForce { config: super::check::load(&source)?, title: source.title() })
        }
    }
}

fn ask(running: &Running) -> Result<InForce, String> {
    let found = server::in_force(running)?;
    let name = format!("configuration {} of process {}", found.generation, found.pid);
    let source = found.source.map_or_else(String::new, |source| format!(" ({})", source.display()));
    let read = config::parse(&name, &found.yaml, &|_| None);
    // Its warnings were told when it was put in force.
    let mut config = super::check::accept(&name, read.map(|(config, _)| (config, Vec::new())))?;
    // They are lines of what the process has said, which nobody has seen.
    config.routes.iter_mut().for_each(|route| route.line = 0);
    Ok(InForce { config, title: format!("{name}{source}") })
}
