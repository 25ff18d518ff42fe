//! Reading a tree: every problem is collected at its place, in one pass. Owns the words for
//! a wrong key or type.

use std::path::{Path, PathBuf};

use super::nearest::nearest;
use super::upstream_names::UpstreamNames;
use super::whole::Whole;
use crate::config::yaml::{Invalid, Kind, Node, Parsed, Problem, Severity, Span};

/// What reading needs everywhere.
#[derive(Debug)]
pub struct Reader<'a> {
    pub problems: Vec<Problem>,
    pub upstreams: UpstreamNames,
    whole: Whole,
    /// Relative paths start here.
    base: &'a Path,
    /// The words that the present key takes as well as the form that reads it.
    alternatives: Vec<&'static str>,
    /// What the next section is called instead of its title.
    name: Option<String>,
}

impl<'a> Reader<'a> {
    pub fn new(base: &'a Path, whole: Whole) -> Self {
        Self {
            problems: Vec::new(),
            upstreams: UpstreamNames::default(),
            whole,
            base,
            alternatives: Vec::new(),
            name: None,
        }
    }

    /// A reader of the same file that has read nothing.
    pub fn afresh(&self) -> Self {
        Self::new(self.base, self.whole)
    }

    pub fn whole(&self) -> Whole {
        self.whole
    }

    pub fn error(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::new(Severity::Error, span, message));
    }

    pub fn error_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.invalid(span, Invalid::with_help(message, help));
    }

    pub fn invalid(&mut self, span: Span, why: Invalid) {
        let mut problem = Problem::new(Severity::Error, span, why.message.unwrap_or_default());
        problem.help = why.help;
        self.problems.push(problem);
    }

    pub fn warn(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        let mut problem = Problem::new(Severity::Warning, span, message);
        problem.help = help;
        self.problems.push(problem);
    }

    /// The value, or its problem at this place.
    pub fn accept<T>(&mut self, span: Span, parsed: Parsed<T>) -> Option<T> {
        parsed.map_err(|why| self.invalid(span, why)).ok()
    }

    /// "expected …, found …": `what` are the forms that a value may have here.
    pub fn expected(&mut self, node: &Node, what: &[&str]) {
        self.expected_help(node, what, None);
    }

    pub fn expected_help(&mut self, node: &Node, what: &[&str], help: Option<String>) {
        if node.is_bad() {
            return;
        }
        let words = self.alternatives.iter().map(|word| format!("`{word}`"));
        let all: Vec<String> = words.chain(what.iter().map(|what| (*what).to_owned())).collect();
        let message = format!("expected {}, found {}", enumerate(&all, "or"), found(node));
        let near = || node.text().and_then(|text| nearest(text, self.words()));
        let help = help.or_else(|| near().map(|word| format!("did you mean `{word}`?")));
        self.invalid(node.span, Invalid { message: Some(message), help });
    }

    /// Reads a key that takes either one of these words or what `read` reads.
    pub fn or_words<T>(
        &mut self,
        words: impl IntoIterator<Item = &'static str>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let before = self.alternatives.len();
        self.alternatives.extend(words);
        let value = read(self);
        self.alternatives.truncate(before);
        value
    }

    /// Reads a value inside the present one, which takes no words of the present key.
    pub fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let alternatives = std::mem::take(&mut self.alternatives);
        let value = read(self);
        self.alternatives = alternatives;
        value
    }

    /// The words that the present key takes as well as its form, for a hint.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.alternatives.iter().copied()
    }

    /// Has the next section called `name` in messages.
    pub fn name_next(&mut self, name: String) {
        self.name = Some(name);
    }

    /// What the next section is called instead of its title; asked once.
    pub fn take_name(&mut self) -> Option<String> {
        self.name.take()
    }

    pub fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// Whether there is an error.
    pub fn failed(&self) -> bool {
        self.failed_since(0)
    }

    /// Whether there is an error after the first `count` problems.
    pub fn failed_since(&self, count: usize) -> bool {
        self.problems.iter().skip(count).any(|p| p.severity == Severity::Error)
    }
}

/// `a, b or c`.
pub fn enumerate(all: &[String], last: &str) -> String {
    match all.split_last() {
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
        None => "nothing".into(),
    }
}

fn found(node: &Node) -> String {
    match &node.kind {
        Kind::Null | Kind::Bad => "nothing".into(),
        Kind::Seq(_) => "a list".into(),
        Kind::Map(_) => "a map".into(),
        Kind::Bool(_, text) | Kind::Number(text) => format!("`{text}`"),
        Kind::String(text) if text.is_empty() => "an empty text".into(),
        // Without its quotes it would be a number or a boolean, which is another value.
        Kind::String(text) if text.parse::<f64>().is_ok() || ["true", "false", "null"].contains(&text.as_str()) => {
            format!("the text `\"{text}\"`")
        }
        Kind::String(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
    }
}
