//! Changes of the process by people and programs, each with who made it.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::Serialize;

use super::who::Who;
use crate::telemetry::timestamp;

/// So many are kept.
const MOST: usize = 200;

/// One change.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub at: String,
    pub who: String,
    pub what: String,
    pub outcome: String,
}

impl Entry {
    pub fn new(who: &Who, what: &str, outcome: &str) -> Self {
        Self {
            at: timestamp(SystemTime::now()),
            who: who.to_string(),
            what: what.to_owned(),
            outcome: outcome.to_owned(),
        }
    }
}

pub fn add(list: &mut VecDeque<Entry>, entry: Entry) {
    list.push_front(entry);
    list.truncate(MOST);
}
