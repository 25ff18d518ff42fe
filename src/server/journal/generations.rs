//! The configurations that were in force, and those that were refused.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::Serialize;

use super::who::Who;
use crate::telemetry::timestamp;

/// So many are kept.
const MOST: usize = 50;

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    InForce,
    Replaced,
    Refused,
}

/// One start or reload.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    /// `None` where it was refused.
    pub generation: Option<u64>,
    pub at: String,
    pub by: String,
    pub outcome: Outcome,
    /// What it changed, in words.
    pub changes: Vec<String>,
    /// Why it was refused, or its warnings.
    pub message: String,
}

impl Generation {
    pub fn started() -> Self {
        Self::in_force(1, &Who::Start, Vec::new(), "")
    }

    pub fn in_force(generation: u64, by: &Who, changes: Vec<String>, warnings: &str) -> Self {
        let generation = Some(generation);
        Self { generation, changes, ..Self::new(by, Outcome::InForce, warnings) }
    }

    pub fn refused(by: &Who, reason: &str) -> Self {
        Self::new(by, Outcome::Refused, reason)
    }

    fn new(by: &Who, outcome: Outcome, message: &str) -> Self {
        Self {
            generation: None,
            at: timestamp(SystemTime::now()),
            by: by.to_string(),
            outcome,
            changes: Vec::new(),
            message: message.trim_end().to_owned(),
        }
    }
}

/// The one in force stays however many are refused after it.
pub fn add(list: &mut VecDeque<Generation>, new: Generation) {
    if new.outcome == Outcome::InForce {
        let before = list.iter_mut().filter(|one| one.outcome == Outcome::InForce);
        before.for_each(|one| one.outcome = Outcome::Replaced);
    }
    list.push_front(new);
    if list.len() > MOST
        && let Some(oldest) = list.iter().rposition(|one| one.outcome != Outcome::InForce)
    {
        drop(list.remove(oldest));
    }
}
