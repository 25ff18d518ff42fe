//! `GET /generations` and `GET /audit`: what was done to the process.

use serde::Serialize;

use super::answer::Answer;
use crate::server::journal::{Entry, Generation, Journal};

#[derive(Serialize)]
struct Generations {
    generations: Vec<Generation>,
}

#[derive(Serialize)]
struct Audit {
    entries: Vec<Entry>,
}

pub fn generations(journal: &Journal) -> Answer {
    Answer::json(&Generations { generations: journal.generations() })
}

pub fn audit(journal: &Journal) -> Answer {
    Answer::json(&Audit { entries: journal.audit() })
}
