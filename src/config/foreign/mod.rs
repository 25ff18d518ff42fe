//! The words of nginx, Caddy, HAProxy and Traefik for what has a key here, so that whoever
//! types one is told ours. A test reads every piece of YAML in it.

macro_rules! words {
    ($($word:literal)*) => { &[$($word),*] };
}

mod edits;
mod entry;
mod process;
mod routes;
mod translate;
mod upstreams;

pub use translate::{balance, short};

use super::section::Foreign;

pub const FOREIGN: &[&[Foreign]] = &[process::PROCESS, routes::ROUTES, edits::EDITS, upstreams::UPSTREAMS];

#[cfg(test)]
mod tests;
