//! Two configurations and what they would do with one recorded request.

use std::collections::BTreeSet;

use super::difference::{Compared, Difference, compare, facts};
use super::facts::RouteFacts;
use super::places::{Place, Places};
use super::prepared::{Prepared, conditions};
use super::record::Record;
use crate::config::Config;
use crate::proxy::Forecast;

/// Supposed of conditions on what a log does not hold: that all are met.
const ALL_MET: usize = 0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Moves(Difference),
    /// What the log would have to hold.
    CannotTell(String),
}

/// The configuration that is in force, and the one that may be.
#[derive(Debug)]
pub struct Replay {
    old: Prepared,
    new: Prepared,
    places: Places,
    /// How many things are supposed of conditions on what a log does not hold.
    supposed: usize,
}

impl Replay {
    /// # Errors
    /// In words, when a configuration cannot be put in force.
    pub fn new(old: &Config, new: &Config) -> Result<Self, String> {
        let sets: BTreeSet<String> = conditions(old).into_iter().chain(conditions(new)).collect();
        let sets: Vec<String> = sets.into_iter().collect();
        Ok(Self {
            old: Prepared::new(old.clone(), &sets)?,
            new: Prepared::new(new.clone(), &sets)?,
            places: Places::new(old, new),
            supposed: sets.len() + 2,
        })
    }

    pub fn verdict(&self, record: &Record) -> Verdict {
        if let Some(reason) = record.untold {
            return Verdict::CannotTell(reason.to_owned());
        }
        if record.has_hidden_query && (self.old.asks_for_query || self.new.asks_for_query) {
            return Verdict::CannotTell("routes match on the query, of which a value is hidden in the log".to_owned());
        }
        let mut verdicts = self.places.of(record).iter().map(|place| self.at(record, *place));
        let first = verdicts.next().unwrap_or(Verdict::Same);
        if verdicts.all(|other| other == first) {
            return first;
        }
        Verdict::CannotTell(
            "listeners differ in `redirect_https`, and the log does not hold where it came in".to_owned(),
        )
    }

    /// The verdict for a request that came in there.
    fn at(&self, record: &Record, place: Place) -> Verdict {
        let Some((first, open)) = self.supposing(record, place, ALL_MET) else { return Verdict::Same };
        let Some(reason) = open else { return first };
        let mut others = (1..self.supposed).filter_map(|supposed| self.supposing(record, place, supposed));
        if others.all(|(other, _)| other == first) { first } else { Verdict::CannotTell(reason) }
    }

    /// The verdict if this is supposed, and what it depends on that the log does not hold.
    fn supposing(&self, record: &Record, place: Place, supposed: usize) -> Option<(Verdict, Option<String>)> {
        let a = self.old.ask(record, place.0, supposed)?;
        let b = self.new.ask(record, place.1, supposed)?;
        Some((self.of(record, &a, &b), self.depends_on(&a, &b)))
    }

    fn of(&self, record: &Record, a: &Forecast, b: &Forecast) -> Verdict {
        if b.remote_trusted && !a.remote_trusted && !record.is_forwarded {
            let why = "`trusted_proxies` has this address now, and the log does not hold what it says of the client";
            return Verdict::CannotTell(why.to_owned());
        }
        fn cors(facts: Option<&RouteFacts>) -> &str {
            facts.map_or("", |route| &route.cors)
        }
        if record.method == "OPTIONS" && cors(facts(&self.old, a)) != cors(facts(&self.new, b)) {
            let why = "`cors` differs, and the log does not hold whether this was a preflight";
            return Verdict::CannotTell(why.to_owned());
        }
        match compare((&self.old, a), (&self.new, b)) {
            Compared::Same => Verdict::Same,
            Compared::Differ(difference) => Verdict::Moves(difference),
            Compared::EditsUnlogged(reason) => Verdict::CannotTell(reason),
        }
    }

    /// What a route that may take the request matches on that the log does not hold.
    fn depends_on(&self, a: &Forecast, b: &Forecast) -> Option<String> {
        let both = [facts(&self.old, a), facts(&self.new, b)];
        both.into_iter().flatten().find_map(|route| {
            let names = route.unlogged.as_ref()?.names.join(" and ");
            Some(format!("route {} matches on {names}, which the log does not hold", route.label))
        })
    }
}
