//! Reading a tree: every problem is collected at its place, in one pass. Owns the words for
//! a wrong key or type.

use std::path::{Path, PathBuf};

use super::names::UpstreamNames;
use super::shape::{Known, Rule};
use super::{Presence, Section};
use crate::config::yaml::{Invalid, Key, Kind, Node, Parsed, Problem, Severity, Span};

/// What reading needs everywhere.
#[derive(Debug)]
pub struct Reader<'a> {
    pub problems: Vec<Problem>,
    pub upstreams: UpstreamNames,
    /// Relative paths start here.
    base: &'a Path,
    /// The words that the present key takes beside the form that reads it.
    alternatives: Vec<&'static str>,
    /// What the next section is called instead of its title.
    name: Option<String>,
}

impl<'a> Reader<'a> {
    pub fn new(base: &'a Path) -> Self {
        Self { problems: Vec::new(), upstreams: UpstreamNames::default(), base, alternatives: Vec::new(), name: None }
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

    /// Reads a key that takes these words beside what `read` does.
    pub fn beside<T>(
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

    /// The words that the present key takes beside its form, for a hint.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.alternatives.iter().copied()
    }

    /// Has the next section called `name` in messages.
    pub fn name_next(&mut self, name: String) {
        self.name = Some(name);
    }

    pub fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// Whether there is an error.
    pub fn failed(&self) -> bool {
        self.failed_since(0)
    }

    /// Whether there is an error behind so many problems.
    pub fn failed_since(&self, problem: usize) -> bool {
        self.problems.iter().skip(problem).any(|p| p.severity == Severity::Error)
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
        Kind::String(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
    }
}

/// The word that was probably meant.
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_lowercase();
    // `warning` is `warn` at greater length, however many letters that takes.
    let longer = |k: &str| k.len() >= 4 && lower.starts_with(k);
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= 1 + k.chars().count().min(word.chars().count()) / 4 || longer(k))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// The known keys of one map.
#[derive(Debug)]
pub struct Fields<'n> {
    entries: &'n [(Key, Node)],
    pub span: Span,
    /// As messages name the section.
    pub title: String,
    /// Whether a key was refused, so that what is missing may be a consequence.
    refused: bool,
}

impl<'n> Fields<'n> {
    /// Reports each key that is unknown or not delivered yet.
    pub fn open<S: Section>(reader: &mut Reader<'_>, node: &'n Node) -> Option<Self> {
        let title = reader.name.take().unwrap_or_else(|| S::TITLE.to_owned());
        let Kind::Map(entries) = &node.kind else {
            let names: Vec<String> = delivered::<S>().iter().take(3).map(|name| format!("`{name}`")).collect();
            reader.expected(node, &[&format!("a map with keys such as {}", names.join(", "))]);
            return None;
        };
        let mut refused = false;
        for (key, _) in entries {
            match S::known(&key.text) {
                Some(Known::Delivered) => continue,
                Some(Known::Later) => reader.error(key.span, format!("`{}` is not supported yet", key.text)),
                None => unknown::<S>(reader, key, &title),
            }
            refused = true;
        }
        Some(Self { entries, span: node.span, title, refused })
    }

    /// The value of a key, `null` included.
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the key is there with anything but `null`.
    fn has_value(&self, name: &str) -> bool {
        self.get(name).is_some_and(|node| !node.is_null())
    }

    /// Where the key stands; the whole section where it is absent.
    pub fn key_span(&self, name: &str) -> Span {
        self.entries.iter().find(|(key, _)| key.text == name).map_or(self.span, |(key, _)| key.span)
    }

    /// Reports that a required key is absent.
    pub fn missing(&self, reader: &mut Reader<'_>, name: &str, example: &str) {
        if !self.refused {
            let message = format!("`{name}` is missing in {}", self.title);
            reader.error_help(self.span, message, format!("add for instance `{name}: {example}`"));
        }
    }

    /// Reports a key that is there and has no effect, for this reason.
    pub fn refuse_dead(&self, reader: &mut Reader<'_>, name: &str, why: Option<Invalid>) {
        if let Some(why) = why.filter(|_| self.has_value(name)) {
            reader.invalid(self.key_span(name), why);
        }
    }

    /// Whether the rule holds; reports it where it does not.
    pub fn keep(&self, reader: &mut Reader<'_>, rule: Rule) -> bool {
        match rule {
            Rule::OneOf { noun, keys, hint } => self.keep_one_of(reader, noun, keys, hint),
            Rule::Together(keys) => self.keep_together(reader, keys),
        }
    }

    fn keep_one_of(&self, reader: &mut Reader<'_>, noun: &str, keys: &[&str], hint: &str) -> bool {
        let given: Vec<&str> = keys.iter().copied().filter(|name| self.has(name)).collect();
        match given.as_slice() {
            [_] => return true,
            [] if self.refused => {}
            [] => {
                let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                let help = format!("add one of {}", enumerate(&quoted, "and"));
                reader.error_help(self.span, format!("{} has no {noun}", this(&self.title)), help);
            }
            [first, second, ..] => {
                let help = format!("{} has exactly one; {hint}", self.title);
                let message = format!("`{second}` is a second {noun} beside `{first}`");
                reader.error_help(self.key_span(second), message, help);
            }
        }
        false
    }

    fn keep_together(&self, reader: &mut Reader<'_>, keys: &[&str]) -> bool {
        let Some(given) = keys.iter().find(|name| self.has_value(name)) else { return true };
        let Some(absent) = keys.iter().find(|name| !self.has_value(name)) else { return true };
        reader.error(self.key_span(given), format!("`{given}` needs `{absent}` beside it"));
        false
    }
}

/// "a route" as it is called where it stands: "this route".
fn this(title: &str) -> String {
    match title.split_once(' ') {
        Some(("a" | "an", rest)) => format!("this {rest}"),
        Some(_) | None => title.to_owned(),
    }
}

fn delivered<S: Section>() -> Vec<&'static str> {
    S::keys().iter().filter(|key| !matches!(key.presence, Presence::Later)).map(|key| key.name).collect()
}

fn unknown<S: Section>(reader: &mut Reader<'_>, key: &Key, title: &str) {
    let known = delivered::<S>();
    let help = match nearest(&key.text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{title} has: {}", known.join(", ")),
    };
    reader.error_help(key.span, format!("unknown key `{}`", key.text), help);
}
