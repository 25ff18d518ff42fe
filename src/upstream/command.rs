//! What an operator may tell a running pool about one of its servers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pool::Pool;
use super::standing::Admin;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub upstream: String,
    /// As the report names it.
    pub server: String,
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// No new clients; those that stick to it go on.
    Drain,
    /// No requests at all.
    Disable,
    /// As if nothing had been said or learnt.
    Enable,
    /// 1 to 1000; 0 is the configured one.
    Weight(u32),
}

impl Change {
    /// # Errors
    /// In words, when no server can have it.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::Weight(weight) if weight > 1000 => Err(format!("a weight goes from 1 to 1000, not {weight}")),
            Self::Drain | Self::Disable | Self::Enable | Self::Weight(_) => Ok(()),
        }
    }
}

impl Pool {
    /// Carries it out and tells what it came to.
    ///
    /// # Errors
    /// In words, when there is no such server, or it cannot have this.
    pub fn obey(self: &Arc<Self>, server: &str, change: Change) -> Result<String, String> {
        change.check()?;
        let roster = self.roster();
        let found = roster.find(server).ok_or_else(|| {
            let known: Vec<String> = roster.servers().iter().map(|server| server.label.to_string()).collect();
            format!("the upstream `{}` has no server `{server}`; it has {}", self.name, known.join(", "))
        })?;
        let mut standing = found.life.standing();
        let was_up = standing.is_up();
        let done = match change {
            Change::Drain => {
                standing.set_admin(Admin::Draining);
                "gets no new clients".to_owned()
            }
            Change::Disable => {
                standing.set_admin(Admin::Disabled);
                "is disabled".to_owned()
            }
            Change::Enable => {
                standing.set_admin(Admin::Enabled);
                "is enabled".to_owned()
            }
            Change::Weight(0) => {
                standing.set_weight(None);
                format!("has its configured weight, {}", found.configured_weight())
            }
            Change::Weight(weight) => {
                standing.set_weight(Some(weight));
                format!("has weight {weight}")
            }
        };
        drop(standing);
        if change == Change::Enable && !was_up {
            self.warm(found);
        }
        log::info!("upstream {}: server {server} {done}, by the operator", self.name);
        self.note_change(&roster);
        let left = self.available();
        let mut text = format!(
            "upstream {}: server {server} {done}; {left} of {} get requests",
            self.name,
            roster.servers().len()
        );
        drop(roster);
        if left == 0 {
            text.push_str(": requests get 503");
        }
        self.serve_queue();
        Ok(text)
    }
}
