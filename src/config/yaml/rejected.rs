//! A configuration that was not accepted.

use std::fmt;

use super::problem::Problem;
use super::render::{Look, render};

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// The file's name as it is to be shown.
    pub file_name: String,
}

impl Rejected {
    /// Every problem and warning in the file's order.
    pub fn render(&self, look: Look) -> String {
        render(self.problems.iter().chain(&self.warnings), &self.file_name, look)
    }

    /// How many they are.
    pub fn summary(&self) -> String {
        format!("{}, {}", count(self.problems.len(), "error"), count(self.warnings.len(), "warning"))
    }
}

/// As it stands in a file or a pipe, with the summary.
impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.render(Look::PLAIN), self.summary())
    }
}

impl std::error::Error for Rejected {}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
