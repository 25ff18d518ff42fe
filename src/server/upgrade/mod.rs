//! An upgrade in two phases. The older process passes its listening sockets on and goes on
//! serving; the newer one starts, probes itself and says that it is ready; only then do
//! both commit, and only when the newer one accepts does the older one stop. Whatever fails
//! before that leaves the older process as it was. After that it holds its sockets for the
//! probation, with the connection open: where that ends without a word, the newer process is dead
//! and the older one accepts again.
//!
//! ```text
//!   newer                       older
//!     TakeOver  ------------->          another upgrade, a drain: Refused
//!               <-------------  Sockets
//!   starts, probes itself
//!     Unclaimed ------------->
//!     Ready     ------------->
//!               <-------------  Commit
//!   accepts
//!     Started   ------------->          stops accepting
//!               <-------------  Done
//!   takes pid file and control socket
//!     Released  ------------->          lets go of the sockets
//! ```
//!
//! A program of before does without the probation, `Unclaimed` and `Released`; either side asks the
//! other for it in `TakeOver` and `Sockets`.

pub mod offer;
pub mod probation;
pub mod respawn;
pub mod step;
pub mod takeover;
