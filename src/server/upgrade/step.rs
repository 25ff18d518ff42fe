//! How long the two processes of an upgrade wait for each other.

use std::time::Duration;

/// For each step. The longest is from the sockets to Ready: the newer process has read
/// its configuration by then and starts its services.
pub const ONE_STEP: Duration = Duration::from_secs(10);
