//! The configuration, read in one way for starting, `-t` and `-T`.

use proxy_service::config::{self, Config, Problem, Source};
use proxy_service::runtime::Snapshot;
use proxy_service::server;

/// Reads the configuration and prints its problems and warnings.
///
/// # Errors
/// How many problems there are.
pub fn load(source: &Source) -> Result<Config, String> {
    accept(&source.title(), config::load(source))
}

/// The configuration, when it was accepted; its problems and warnings are printed.
///
/// # Errors
/// How many problems there are.
pub fn accept(name: &str, read: Result<(Config, Vec<Problem>), config::Rejected>) -> Result<Config, String> {
    let look = super::out::look();
    match read {
        Ok((config, warnings)) => {
            super::out::tell_rendered(&config::render(&warnings, name, look));
            Ok(config)
        }
        Err(rejected) => {
            super::out::tell_rendered(&rejected.render(look));
            Err(rejected.summary())
        }
    }
}

/// Compiles the configuration as start-up does, without an access log.
pub fn compile(config: &Config) -> Result<Snapshot, String> {
    Snapshot::compile_unserved(config, None).map_err(|e| format!("error: {e}"))
}

pub fn test(source: &Source) -> Result<(), String> {
    let config = load(source)?;
    compile(&config)?;
    server::check_listening(&config).map_err(|reasons| format!("error: {}", reasons.replace('\n', "\nerror: ")))?;
    super::out::show(&format!("{}: the configuration is fine\n", source.title()))
}

pub fn print(source: &Source) -> Result<(), String> {
    let config = load(source)?;
    compile(&config)?;
    super::out::print(&config::to_yaml(&config))
}
