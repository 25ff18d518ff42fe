//! How long the two processes of an upgrade wait for each other.

use std::time::Duration;

/// For each step: the check of the configuration, the start up to the question for the
/// sockets, and each message after that; and for a newer process after QUIT. The longest one is from the sockets to Ready: the newer process has read
/// its configuration before and starts its services in it.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(10);
