//! An endpoint as balancing sees it.

use crate::upstream::load::Load;

/// An endpoint with its weight and its load.
#[derive(Debug)]
pub struct WeightedEndpoint<'s> {
    /// The weight in force, at least 1.
    pub weight: u32,
    pub load: &'s Load,
    /// The label, from which the endpoint's points on the ring follow.
    pub name: &'s str,
}
