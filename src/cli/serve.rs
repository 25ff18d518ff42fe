//! Serving from the command line: what goes wrong is an error that a person reads.

use proxy_service::config::Config;
use proxy_service::server::{self, Ended, Start};

/// Serves until it is told to end.
pub fn serve(config: &Config, start: Start) -> Result<Ended, String> {
    server::run(config, start).map_err(|e| format!("error: {e}"))
}
