//! The files that the process reads, keeps or looks at, beside its logs.

pub mod config_watch;
pub mod cookie_key;
pub mod own_file;
pub mod pid_file;
pub mod runtime_dir;
pub mod server_states;
pub mod ticket_keys;
