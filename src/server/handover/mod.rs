//! An upgrade in two phases. The older process gives its listening sockets away and
//! goes on serving; the newer one starts, probes itself and says that it is ready;
//! only then do both commit, and only when the newer one accepts does the older one
//! stop. Whatever fails before that leaves the older process as it was.
//!
//! ```text
//!   newer                       older
//!     TakeOver  ------------->          another upgrade, a drain: Refused
//!               <-------------  Sockets
//!   starts, probes itself
//!     Ready     ------------->
//!               <-------------  Commit
//!   accepts
//!     Started   ------------->          stops accepting
//!               <-------------  Done
//!   takes pid file and control socket
//! ```

mod offer;
mod takeover;
mod wire;

pub use offer::offer;
pub use takeover::Takeover;
pub use wire::{Channel, Message, Order};

use std::time::Duration;

/// For each step. The longest is from the sockets to Ready: the newer process has read
/// its configuration by then and starts its services.
const ONE_STEP: Duration = Duration::from_secs(10);
