//! The life of the process from its start to its end: what signals and orders set off.

pub mod daemon;
mod drain;
pub mod notify;
mod orders;
pub mod process;
pub mod reload;
pub mod signals;
pub mod stage;
pub mod status;
pub mod supervisor;
mod take_back;
