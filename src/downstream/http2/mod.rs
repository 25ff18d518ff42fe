//! HTTP/2 (RFC 9113): many exchanges of one client at once. The crate `h2` frames them; what a
//! client may cost, how long it has, and what a request may look like is decided here.

mod cancellations;
mod connection;
mod cut_off;
mod flood;
mod frame_faults;
mod frame_watch;
mod guarded;
mod output;
mod request_head;
mod response_head;
mod seat;
mod stream;
mod unread_body;

pub use connection::{Arrival, Connection, RefusedStream, Timeouts};
pub use cut_off::counts as cut_off_counts;
pub use frame_watch::FrameWatch;
pub use stream::StreamDriver;
