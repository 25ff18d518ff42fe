//! An endpoint as balancing sees it.

use crate::upstream::load::Load;

/// A server as balancing sees it.
#[derive(Debug)]
pub struct WeightedEndpoint<'s> {
    /// At least 1.
    pub weight: u32,
    pub load: &'s Load,
    /// What its place on the ring follows from.
    pub name: &'s str,
}
