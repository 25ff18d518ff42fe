//! What an operator may tell a running pool about one of its endpoints.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::health::OperatorState;
use super::pool::Pool;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCommand {
    pub upstream: String,
    /// The endpoint's label, as the report has it.
    pub server: String,
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The endpoint gets no new clients; those that stick to it go on.
    Drain,
    /// The endpoint gets no requests at all.
    Disable,
    /// The endpoint gets requests again, whatever was said or learnt of it.
    Enable,
    /// 1 to 1000; 0 is the configured weight.
    Weight(u32),
}

impl Change {
    /// # Errors
    /// In words, when no endpoint can have the change.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::Weight(weight) if weight > 1000 => Err(format!("a weight goes from 1 to 1000, not {weight}")),
            Self::Drain | Self::Disable | Self::Enable | Self::Weight(_) => Ok(()),
        }
    }
}

impl Pool {
    /// Carries a change out and tells in words what it came to.
    ///
    /// # Errors
    /// In words, when there is no such endpoint, or it cannot have this.
    pub fn apply_change(self: &Arc<Self>, server: &str, change: Change) -> Result<String, String> {
        change.check()?;
        let endpoints = self.endpoints();
        let found = endpoints.find(server).ok_or_else(|| {
            let known: Vec<String> = endpoints.all().iter().map(|endpoint| endpoint.label.to_string()).collect();
            format!("the upstream `{}` has no server `{server}`; it has {}", self.name, known.join(", "))
        })?;
        let mut health = found.stats.health();
        let was_up = health.is_up();
        let done = match change {
            Change::Drain => {
                health.set_operator_state(OperatorState::Draining);
                "gets no new clients".to_owned()
            }
            Change::Disable => {
                health.set_operator_state(OperatorState::Disabled);
                "is disabled".to_owned()
            }
            Change::Enable => {
                health.set_operator_state(OperatorState::Enabled);
                "is enabled".to_owned()
            }
            Change::Weight(0) => {
                health.set_weight(None);
                format!("has its configured weight, {}", found.configured_weight())
            }
            Change::Weight(weight) => {
                health.set_weight(Some(weight));
                format!("has weight {weight}")
            }
        };
        drop(health);
        if change == Change::Enable && !was_up {
            self.begin_slow_start(found);
        }
        log::info!("upstream {}: server {server} {done}, by the operator", self.name);
        self.note_change(&endpoints);
        let left = self.available();
        let mut text =
            format!("upstream {}: server {server} {done}; {left} of {} get requests", self.name, endpoints.all().len());
        drop(endpoints);
        if left == 0 {
            text.push_str(": requests get 503");
        }
        self.serve_queue();
        Ok(text)
    }
}
