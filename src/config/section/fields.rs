//! The keys of one map: which are there, which are known, and what holds across them.

use super::hints;
use super::reader::{Reader, enumerate};
use super::shape::{Delivery, Known, Rule};
use crate::config::yaml::{Invalid, Kind, MapKey, Node, Span};

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
            let help = known.meant(reader, node);
            reader.expected_help(node, &[&format!("a map with keys such as {}", names.join(", "))], help);
            return None;
        };
        let mut refused = false;
        for (index, (key, value)) in entries.iter().enumerate() {
            match (known.find)(&key.text) {
                Some(Delivery::Done) => continue,
                Some(Delivery::Later) => reader.error(key.span, format!("`{}` is not supported yet", key.text)),
                None => {
                    let before = index.checked_sub(1).and_then(|before| entries.get(before));
                    known.refuse(reader, (key, value), before, &title);
                }
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

/// The problems before which an unknown key is looked for in the whole configuration. A file with
/// more has no slips of the pen, and the search would take seconds.
const MOST_SEARCHED: usize = 200;

impl Known {
    fn delivered(&self) -> Vec<&'static str> {
        (self.keys)().iter().filter(|key| !key.is_later()).map(|key| key.name).collect()
    }

    /// The map that a single value stands for.
    fn meant(&self, reader: &Reader<'_>, node: &Node) -> Option<String> {
        if node.is_null() {
            return Some("indent what belongs to it below it, or leave it out".to_owned());
        }
        let text = node.text()?;
        if let Some((key, value)) = text.split_once(':').filter(|(key, _)| (self.find)(key).is_some()) {
            return Some(format!("a space is missing: write `{key}: {value}`"));
        }
        let keys = (self.keys)();
        let key = keys.iter().find(|key| key.shape.words().iter().any(|word| word.word == text));
        let by_word = key.map(|key| format!("{{ {}: {text} }}", key.name));
        let map = by_word.or_else(|| (reader.whole().short)(self.title, text))?;
        Some(format!("write `{map}`"))
    }

    fn refuse(
        &self,
        reader: &mut Reader<'_>,
        (name, value): (&MapKey, &Node),
        before: Option<&(MapKey, Node)>,
        title: &str,
    ) {
        let help = before.and_then(|before| hints::after_comma(before, (name, value))).unwrap_or_else(|| {
            if reader.problems.len() < MOST_SEARCHED {
                hints::instead_of(reader.whole(), self, title, &name.text, value)
            } else {
                hints::list(self, title)
            }
        });
        reader.error_help(name.span, format!("unknown key `{}`", name.text), help);
    }
}
