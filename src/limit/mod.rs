//! Rate limits: how many requests of one key pass in a time ([`Quota`]), what is remembered of each
//! key ([`Limiter`]), and the store in which a fleet of proxies counts together ([`Store`]).

mod key;
mod limiter;
mod quota;
mod store;
mod table;

pub use key::Key;
pub use limiter::Limiter;
pub use quota::{Decision, Quota};
pub use store::{Store, StoreTasks};
pub use table::Counted;
