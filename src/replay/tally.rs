//! The count of many recorded requests: how many move, grouped by how, with examples. Its memory
//! is bounded, however long the log is.

use std::collections::HashMap;

use super::difference::Difference;
use super::record::{NotUnderstood, Record};
use super::verdict::{Replay, Verdict};

/// Verdicts that are remembered, for requests that come again.
const REMEMBERED: usize = 65_536;
/// Groups beyond these are counted together.
const MOST_GROUPS: usize = 1_000;

/// A request of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub method: String,
    pub host: String,
    pub path: String,
    pub details: Vec<String>,
}

/// Requests that move in the same way.
#[derive(Clone, Debug)]
pub struct Group {
    pub from: String,
    pub to: String,
    pub what: Vec<&'static str>,
    pub count: u64,
    pub examples: Vec<Example>,
}

/// Requests of which nothing can be told, for the same reason.
#[derive(Clone, Debug)]
pub struct Unknown {
    pub reason: String,
    pub count: u64,
    pub examples: Vec<Example>,
}

/// Where a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Same,
    /// The index of its group.
    Moves(usize),
    /// The index of the reason.
    Unknown(usize),
}

#[derive(Debug, Default)]
pub struct Tally {
    pub requests: u64,
    pub same: u64,
    pub groups: Vec<Group>,
    pub unknown: Vec<Unknown>,
    /// Lines that are no recorded requests.
    pub not_understood: u64,
    /// The number of the first of them, and why.
    pub first_not_understood: Option<(u64, NotUnderstood)>,
    examples: usize,
    group_of: HashMap<(String, String, Vec<&'static str>), usize>,
    reason_of: HashMap<String, usize>,
    remembered: HashMap<Vec<u8>, Class>,
}

impl Tally {
    /// Keeps so many examples of each group.
    pub fn new(examples: usize) -> Self {
        Self { examples, ..Self::default() }
    }

    /// How many requests move.
    pub fn moved(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }

    pub fn untold(&self) -> u64 {
        self.unknown.iter().map(|unknown| unknown.count).sum()
    }

    /// Counts a line that is no recorded request.
    pub fn skip(&mut self, line: u64, why: NotUnderstood) {
        self.not_understood += 1;
        self.first_not_understood.get_or_insert((line, why));
    }

    pub fn add(&mut self, record: &Record, replay: &Replay) -> Class {
        self.requests += 1;
        let key = key(record);
        let class = match self.remembered.get(&key) {
            Some(class) => *class,
            None => {
                let class = self.class(record, replay.verdict(record));
                if self.remembered.len() >= REMEMBERED {
                    self.remembered.clear();
                }
                self.remembered.insert(key, class);
                class
            }
        };
        match class {
            Class::Same => self.same += 1,
            Class::Moves(index) => self.groups.get_mut(index).into_iter().for_each(|group| group.count += 1),
            Class::Unknown(index) => self.unknown.get_mut(index).into_iter().for_each(|unknown| unknown.count += 1),
        }
        class
    }

    fn class(&mut self, record: &Record, verdict: Verdict) -> Class {
        match verdict {
            Verdict::Same => Class::Same,
            Verdict::Moves(difference) => Class::Moves(self.group(record, difference)),
            Verdict::CannotTell(reason) => Class::Unknown(self.reason(record, reason)),
        }
    }

    fn group(&mut self, record: &Record, difference: Difference) -> usize {
        let Difference { mut from, mut to, what, details } = difference;
        if self.groups.len() >= MOST_GROUPS {
            (from, to) = ("others".to_owned(), "others".to_owned());
        }
        let next = self.groups.len();
        let index = *self.group_of.entry((from.clone(), to.clone(), what.clone())).or_insert(next);
        if index == next {
            self.groups.push(Group { from, to, what, count: 0, examples: Vec::new() });
        }
        if let Some(group) = self.groups.get_mut(index).filter(|group| group.examples.len() < self.examples) {
            add_example(&mut group.examples, record, details);
        }
        index
    }

    fn reason(&mut self, record: &Record, reason: String) -> usize {
        let next = self.unknown.len();
        let index = *self.reason_of.entry(reason.clone()).or_insert(next);
        if index == next {
            self.unknown.push(Unknown { reason, count: 0, examples: Vec::new() });
        }
        if let Some(unknown) = self.unknown.get_mut(index).filter(|unknown| unknown.examples.len() < self.examples) {
            add_example(&mut unknown.examples, record, Vec::new());
        }
        index
    }
}

fn add_example(examples: &mut Vec<Example>, record: &Record, details: Vec<String>) {
    let Record { method, host, path, .. } = record;
    let example = Example { method: method.clone(), host: host.clone(), path: path.clone(), details };
    if !examples.contains(&example) {
        examples.push(example);
    }
}

/// Everything that the verdict depends on.
fn key(record: &Record) -> Vec<u8> {
    let remote = record.remote_ip.map_or_else(String::new, |ip| ip.to_string());
    let sni = record.sni.as_deref().unwrap_or("");
    let rest = format!("{remote} {} {} {sni}\n", record.is_tls, record.untold.is_some());
    let mut key = Vec::with_capacity(rest.len() + record.head.len());
    key.extend_from_slice(rest.as_bytes());
    key.extend_from_slice(&record.head);
    key
}
