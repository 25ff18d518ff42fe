//! What an unknown key was meant to be: a key of ours at another place, another proxy's
//! word for one of ours, or a slip of the pen.

use super::nearest::nearest;
use super::shape::{Key, Known, Shape};
use super::whole::{Foreign, Ours, Place, Whole};
use crate::config::yaml::{Kind, MapKey, Node, flow_scalar};

impl Place {
    /// The title of the section, and what stands around a piece of YAML in it.
    fn around(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Here => ("", "", ""),
            Self::Top => ("the configuration", "", ""),
            Self::Route => ("a route", "routes: [{ ", " }]"),
            Self::Upstream => ("an upstream", "upstreams: { NAME: { ", " } }"),
        }
    }
}

/// A written value is repeated in a hint up to so many characters.
const LONGEST_SHOWN: usize = 60;

/// What to write instead of an unknown key of a section.
pub fn instead_of(whole: Whole, known: &Known, title: &str, key: &str, value: &Node) -> String {
    let keys = (known.keys)();
    let here = || keys.iter().filter(|key| !key.is_later()).map(|key| key.name);
    if let Some(ours) = foreign(whole.foreign, known.title, key) {
        return ours.help(known.title, value);
    }
    if key.starts_with("x-") {
        return "every key here is one of ours: put the anchor where these keys are used first".to_owned();
    }
    let has_inner = matches!(value.kind, Kind::Map(_) | Kind::Seq(_));
    if let Some(plural) = here().find(|name| has_inner && is_plural(name, key)) {
        return format!("did you mean `{plural}`?");
    }
    let misplaced = |keys: &[Key], is_it: &dyn Fn(&str) -> bool| {
        let found = places(keys, is_it);
        (!found.is_empty()).then(|| write(&found.iter().map(|path| nested(path, value)).collect::<Vec<_>>()))
    };
    let bare = plain(key);
    let same = |name: &str| plain(name) == bare;
    let nearly = |name: &str| is_plural(name, key) || is_plural(key, name);
    misplaced(keys, &same)
        .or_else(|| nearest(key, here()).map(|near| format!("did you mean `{near}`?")))
        .or_else(|| misplaced((whole.keys)(), &same))
        .or_else(|| misplaced(keys, &nearly))
        .or_else(|| misplaced((whole.keys)(), &nearly))
        .or_else(|| {
            // A section of maps, whose names the operator chooses, is left out easily.
            let is_of_maps = keys.iter().all(|key| matches!(key.shape, Shape::Map { .. } | Shape::List { .. }));
            let map = keys.iter().find(|key| is_of_maps && matches!(key.shape, Shape::Map { .. }))?;
            Some(format!("write `{}: {{ {}: {} }}`", map.name, shown(key), nested(&[], value)))
        })
        .unwrap_or_else(|| list(known, title))
}

/// The keys that there are.
pub fn list(known: &Known, title: &str) -> String {
    let keys = (known.keys)();
    let names: Vec<&str> = keys.iter().filter(|key| !key.is_later()).map(|key| key.name).collect();
    format!("{title} has: {}", names.join(", "))
}

/// What to write where a `,` cut a value inside brackets in two: its rest looks like a key.
pub fn after_comma((key, value): &(MapKey, Node), (rest, nothing): (&MapKey, &Node)) -> Option<String> {
    let text = value.text().filter(|_| nothing.is_null() && key.span.line == rest.span.line)?;
    let whole = flow_scalar(&format!("{text}, {}", rest.text));
    Some(format!("a `,` ends a value inside brackets: if this is one value, write `{}: {whole}`", key.text))
}

fn foreign(all: &'static [&'static [Foreign]], title: &str, key: &str) -> Option<&'static Ours> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let is_it = |entry: &&Foreign| {
        (entry.within.is_empty() || entry.within.contains(&title)) && entry.words.contains(&key.as_str())
    };
    // What holds for this section comes before what holds everywhere.
    let (own, any): (Vec<&Foreign>, Vec<&Foreign>) =
        all.iter().copied().flatten().filter(is_it).partition(|entry| !entry.within.is_empty());
    own.first().or(any.first()).map(|entry| &entry.ours)
}

impl Ours {
    fn help(&self, title: &str, written: &Node) -> String {
        match self {
            Self::Write { place, yaml, example, value } => {
                let given = written.text().filter(|text| text.chars().count() <= LONGEST_SHOWN).and_then(value);
                let given = given.as_deref().unwrap_or(example);
                let (own, before, after) = place.around();
                let (before, after) = if own == title { ("", "") } else { (before, after) };
                let whole: Vec<String> =
                    yaml.iter().map(|yaml| format!("{before}{}{after}", yaml.replace('%', &shown(given)))).collect();
                let top = if *place == Place::Top && own != title { " at the top of the file" } else { "" };
                format!("{}{top}", write(&whole))
            }
            Self::Later(path) => format!("it will be `{path}`, which is not supported yet"),
            Self::Nothing(why) => (*why).to_owned(),
        }
    }
}

/// A value as a person writes it inside brackets.
pub fn shown(text: &str) -> String {
    let is_simple = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if is_simple { text.to_owned() } else { flow_scalar(text) }
}

fn write(alternatives: &[String]) -> String {
    let quoted: Vec<String> = alternatives.iter().map(|yaml| format!("`{yaml}`")).collect();
    format!("write {}", quoted.join(" or "))
}

/// A name however its words are put together: `maxConnections`, `max-connections`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
}

fn is_plural(long: &str, short: &str) -> bool {
    long.strip_suffix('s') == Some(short)
}

/// One step of the way to a key.
#[derive(Clone, Copy, Debug)]
enum Step {
    Key(&'static str),
    Item,
    Name,
}

/// The ways to the keys of a name, of those that are nearest the top; at most three.
fn places(keys: &[Key], is_it: &dyn Fn(&str) -> bool) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    collect(keys, &[], is_it, &mut found);
    let depth = |path: &Vec<Step>| path.iter().filter(|step| matches!(step, Step::Key(_))).count();
    let least = found.iter().map(depth).min();
    found.retain(|path| Some(depth(path)) == least);
    found.truncate(3);
    found
}

fn collect(keys: &[Key], before: &[Step], is_it: &dyn Fn(&str) -> bool, found: &mut Vec<Vec<Step>>) {
    for key in keys.iter().filter(|key| !key.is_later()) {
        let path = [before, &[Step::Key(key.name)]].concat();
        if is_it(key.name) {
            found.push(path.clone());
        }
        descend(&key.shape, &path, is_it, found);
    }
}

fn descend(shape: &Shape, path: &[Step], is_it: &dyn Fn(&str) -> bool, found: &mut Vec<Vec<Step>>) {
    match shape {
        Shape::Section(section) => collect(&section.keys, path, is_it, found),
        Shape::List { item, .. } => descend(item, &[path, &[Step::Item]].concat(), is_it, found),
        Shape::Map { value, .. } => descend(value, &[path, &[Step::Name]].concat(), is_it, found),
        // A list in place of one value holds what the value itself does.
        Shape::Any(shapes) => {
            let single = shapes.iter().filter(|shape| !matches!(shape, Shape::List { .. }));
            single.for_each(|shape| descend(shape, path, is_it, found));
        }
        Shape::Null | Shape::Bool | Shape::Integer { .. } | Shape::Text(_) | Shape::Quantity(_) | Shape::Words(_) => {}
    }
}

/// The value at the end of a way, as it is written: `match: { host: example.com }`.
fn nested(path: &[Step], value: &Node) -> String {
    let text = value.text().filter(|text| text.chars().count() <= LONGEST_SHOWN);
    let mut yaml = text.map_or_else(|| "…".to_owned(), shown);
    let mut is_entry = false;
    for step in path.iter().rev() {
        let inner = if is_entry { format!("{{ {yaml} }}") } else { yaml };
        yaml = match step {
            Step::Key(name) => format!("{name}: {inner}"),
            Step::Item => format!("[{inner}]"),
            Step::Name => format!("{{ NAME: {inner} }}"),
        };
        is_entry = matches!(step, Step::Key(_));
    }
    yaml
}
