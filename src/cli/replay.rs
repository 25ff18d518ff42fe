//! `replay`: what would become of recorded requests under another configuration.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use proxy_service::config::Source;
use proxy_service::replay::{Class, Example, NotUnderstood, Record, Replay as Both, Tally};
use proxy_service::server;
use serde_json::json;

/// A line of the access log is shorter.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Says which recorded requests would change route, upstream, edits or outcome under a new configuration; exits
/// with 4 if some would
#[derive(Args, Debug)]
pub struct Replay {
    /// The new configuration
    new: PathBuf,
    /// The access log in JSON, `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "last", conflicts_with = "last")]
    log: Option<PathBuf>,
    /// So many of the newest requests of the running process, which keeps some in memory
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// How many requests are named of each group
    #[arg(long, value_name = "N", default_value_t = 3)]
    examples: usize,
    /// Names every request that changes, as it comes
    #[arg(long, conflicts_with = "json")]
    verbose: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Whether a request moves. `file`: that of the running process, or the one to compare where there is none.
    ///
    /// # Errors
    /// When a configuration is refused, or the log cannot be read.
    pub fn run(self, file: Option<PathBuf>) -> Result<bool, String> {
        let new = super::check::load(&Source::File(self.new.clone()))?;
        let (log, name) = self.open(file.as_deref())?;
        let old = super::in_force::find(file)?;
        let both = Both::new(&old.config, &new).map_err(|e| format!("error: {e}"))?;
        let mut tally = Tally::new(self.examples);
        read(log, &name, |number, line| match Record::parse(line) {
            Ok(record) => {
                let class = tally.add(&record, &both);
                if self.verbose { super::out::show(&one(&record, class, &tally)) } else { Ok(()) }
            }
            Err(why) => {
                tally.skip(number, why);
                Ok(())
            }
        })?;
        if self.json {
            super::out::print(&format!("{:#}\n", as_json(&tally)))?;
        } else {
            super::out::show(&summary(&tally, &old.title, &self.new))?;
        }
        if tally.requests == 0 {
            let why = tally.first_not_understood.map(|(line, NotUnderstood(why))| format!("line {line}: {why}"));
            let why = why.unwrap_or_else(|| "it is empty".to_owned());
            return Err(format!("error: {name} holds no request: {why}"));
        }
        Ok(tally.moved() > 0)
    }

    /// The recorded requests, and what they are called.
    fn open(&self, file: Option<&Path>) -> Result<(Box<dyn BufRead>, String), String> {
        if let Some(count) = self.last {
            let running = super::configuration::process(file)?;
            let lines = server::recent(&running, count).map_err(|reason| format!("error: {reason}"))?;
            return Ok((Box::new(Cursor::new(lines)), "the memory of the running process".to_owned()));
        }
        match self.log.as_deref().filter(|log| *log != Path::new("-")) {
            None => Ok((Box::new(std::io::stdin().lock()), "standard input".to_owned())),
            Some(log) => match File::open(log) {
                Ok(file) => Ok((Box::new(BufReader::with_capacity(256 * 1024, file)), log.display().to_string())),
                Err(e) => Err(format!("error: cannot read {}: {e}", log.display())),
            },
        }
    }
}

/// Has `then` see each line that is not empty, with its number.
fn read(
    mut log: Box<dyn BufRead>,
    name: &str,
    mut then: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let (mut line, mut number, mut is_rest) = (Vec::new(), 0, false);
    loop {
        line.clear();
        let read = log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(|e| format!("error: cannot read {name}: {e}"))? == 0 {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n");
        number += u64::from(!is_rest);
        if !is_rest && !line.trim_ascii().is_empty() {
            then(number, &line)?;
        }
        is_rest = !is_whole;
    }
}

fn one(record: &Record, class: Class, tally: &Tally) -> String {
    let Record { method, host, path, .. } = record;
    match class {
        Class::Same => String::new(),
        Class::Moves(index) => tally.groups.get(index).map_or(String::new(), |group| {
            format!("{method} {host}{path}: {} → {} ({})\n", group.from, group.to, group.what.join(", "))
        }),
        Class::Unknown(index) => tally
            .unknown
            .get(index)
            .map_or(String::new(), |unknown| format!("{method} {host}{path}: cannot be told: {}\n", unknown.reason)),
    }
}

fn summary(tally: &Tally, old: &str, new: &Path) -> String {
    let share = |count: u64| format!("{:.1} %", percent(count, tally.requests));
    let (moved, untold) = (tally.moved(), tally.untold());
    let mut out = format!("{} requests, from {old} to {}:\n", tally.requests, new.display());
    out += &format!("  {moved} change ({}), {} stay as they are", share(moved), tally.same);
    if untold > 0 {
        out += &format!(", {untold} cannot be told ({})", share(untold));
    }
    out.push('\n');
    if let Some((line, NotUnderstood(why))) = &tally.first_not_understood {
        out += &format!("  {} lines are no requests, the first of them line {line}: {why}\n", tally.not_understood);
    }
    let mut groups: Vec<_> = tally.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    for group in groups {
        out += &format!("\n{} ({}) change {}:\n", group.count, share(group.count), group.what.join(", "));
        out += &format!("  now:   {}\n  then:  {}\n", group.from, group.to);
        out += &examples(&group.examples);
    }
    let mut unknown: Vec<_> = tally.unknown.iter().collect();
    unknown.sort_by_key(|unknown| std::cmp::Reverse(unknown.count));
    for one in unknown {
        out += &format!("\n{} ({}) cannot be told: {}\n", one.count, share(one.count), one.reason);
        out += &examples(&one.examples);
    }
    out
}

fn examples(examples: &[Example]) -> String {
    let line = |example: &Example| {
        let details: String = example.details.iter().map(|detail| format!("           {detail}\n")).collect();
        format!("    {} {}{}\n{details}", example.method, example.host, example.path)
    };
    examples.iter().map(line).collect()
}

#[allow(clippy::cast_precision_loss)] // a share of a percent is shown
fn percent(count: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { 100.0 * count as f64 / all as f64 }
}

fn as_json(tally: &Tally) -> serde_json::Value {
    let examples = |all: &[Example]| -> Vec<_> {
        let one = |e: &Example| json!({ "method": e.method, "host": e.host, "path": e.path, "details": e.details });
        all.iter().map(one).collect()
    };
    let group = |group: &proxy_service::replay::Group| {
        json!({ "from": group.from, "to": group.to, "what": group.what, "count": group.count,
            "examples": examples(&group.examples) })
    };
    let unknown = |one: &proxy_service::replay::Unknown| json!({ "reason": one.reason, "count": one.count, "examples": examples(&one.examples) });
    let first = tally.first_not_understood.as_ref();
    json!({
        "requests": tally.requests,
        "same": tally.same,
        "changed": tally.moved(),
        "cannot_be_told": tally.untold(),
        "not_understood": tally.not_understood,
        "first_not_understood": first.map(|(line, NotUnderstood(why))| json!({ "line": line, "reason": why })),
        "groups": tally.groups.iter().map(group).collect::<Vec<_>>(),
        "unknown": tally.unknown.iter().map(unknown).collect::<Vec<_>>(),
    })
}
