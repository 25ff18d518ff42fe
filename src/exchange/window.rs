//! How much of a body may be under way.

/// How much of a body, in bytes, may be under way before no more of it is read, in each direction.
/// It is read again once nothing is: a piece that is sent in part still holds all of its memory, and
/// what the kernel has taken by then keeps the other side busy.
pub(super) const WINDOW: usize = 32 * 1024;
