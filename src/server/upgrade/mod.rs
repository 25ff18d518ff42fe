//! An upgrade in two phases. The older process passes its listening sockets on and goes on
//! serving; the newer one starts, probes itself and says that it is ready; only then do
//! both commit, and only when the newer one accepts does the older one stop. Whatever fails
//! before that leaves the older process as it was.
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

pub mod offer;
pub mod respawn;
pub mod step;
pub mod takeover;
