//! How much of a body may be under way.

/// How much of a body, in bytes, may be under way before no more of it is read, in each direction.
/// One piece is read at most on top of that.
pub(super) const WINDOW: usize = 32 * 1024;
/// With no more than this under way it is read again: each wait and each piece cost the kernel
/// more than they cost us, so that few large ones are better than many small ones.
pub(super) const REFILL: usize = 8 * 1024;
