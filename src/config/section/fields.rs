//! The keys of one map: which are there, which are known, and what holds across them.

use super::nearest::nearest;
use super::reader::{Reader, enumerate};
use super::shape::{Delivery, Key, Rule};
use crate::config::yaml::{Invalid, Kind, MapKey, Node, Span};

/// What a section knows of its keys.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub title: &'static str,
    /// Whether a name is one of the keys.
    pub find: fn(&str) -> Option<Delivery>,
    /// In the order in which they are documented.
    pub keys: fn() -> Vec<Key>,
}

/// The known keys of one map.
#[derive(Debug)]
pub struct Fields<'n> {
    entries: &'n [(MapKey, Node)],
    pub span: Span,
    /// As messages name the section.
    pub title: String,
    /// Whether a key was refused, so that what is missing may be a consequence.
    refused: bool,
}

impl<'n> Fields<'n> {
    /// Reports each key that is unknown or not delivered yet.
    pub fn open(reader: &mut Reader<'_>, node: &'n Node, known: Known) -> Option<Self> {
        let title = reader.take_name().unwrap_or_else(|| known.title.to_owned());
        let Kind::Map(entries) = &node.kind else {
            let names: Vec<String> = known.delivered().iter().take(3).map(|name| format!("`{name}`")).collect();
            reader.expected(node, &[&format!("a map with keys such as {}", names.join(", "))]);
            return None;
        };
        let mut refused = false;
        for (key, _) in entries {
            match (known.find)(&key.text) {
                Some(Delivery::Done) => continue,
                Some(Delivery::Later) => reader.error(key.span, format!("`{}` is not supported yet", key.text)),
                None => known.refuse(reader, key, &title),
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
    pub fn refuse_no_effect(&self, reader: &mut Reader<'_>, name: &str, why: Option<Invalid>) {
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

impl Known {
    fn delivered(&self) -> Vec<&'static str> {
        (self.keys)().iter().filter(|key| !key.is_later()).map(|key| key.name).collect()
    }

    fn refuse(&self, reader: &mut Reader<'_>, name: &MapKey, title: &str) {
        let known = self.delivered();
        let help = match nearest(&name.text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{title} has: {}", known.join(", ")),
        };
        reader.error_help(name.span, format!("unknown key `{}`", name.text), help);
    }
}
