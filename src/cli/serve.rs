//! Serves, and turns what goes wrong into an error that a person reads.

use proxy_service::config::Config;
use proxy_service::server::{self, Ended, Start};

/// Serves until a signal or an order ends the process.
pub fn serve(config: &Config, start: Start) -> Result<Ended, String> {
    server::run(config, start).map_err(|e| format!("error: {e}"))
}
