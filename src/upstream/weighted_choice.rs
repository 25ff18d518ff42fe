//! A choice of one of several by their weights, at random or by a number.

/// Holds the cumulative sums of the weights.
#[derive(Debug)]
pub struct WeightedChoice(Vec<u64>);

impl WeightedChoice {
    /// Each weight is at least 1.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let sums = weights.into_iter().scan(0, |sum, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self(sums.collect())
    }

    pub fn random(&self) -> usize {
        self.at(fastrand::u64(..self.whole()))
    }

    /// Returns the same index for the same number.
    pub fn by_number(&self, number: u64) -> usize {
        self.at(number % self.whole())
    }

    fn at(&self, at: u64) -> usize {
        self.0.partition_point(|sum| *sum <= at)
    }

    fn whole(&self) -> u64 {
        self.0.last().copied().unwrap_or(1).max(1)
    }
}
