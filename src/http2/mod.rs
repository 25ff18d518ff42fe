//! Frames of HTTP/2, read along with the crate `h2`, the same in both directions.

mod frames;

#[cfg(test)]
pub use frames::tests::frame;
pub use frames::{Event, Frame, FrameReader, Kind};
