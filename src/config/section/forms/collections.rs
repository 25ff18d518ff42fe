//! Lists, and maps whose names the operator chooses.

use std::collections::HashMap;
use std::hash::Hash;

use super::Form;
use super::scalars::Scalar;
use crate::config::section::hints::{after_comma, shown};
use crate::config::section::reader::Reader;
use crate::config::section::shape::Shape;
use crate::config::yaml::{Invalid, Kind, MapKey, Node, Yaml};

/// A list; `what` are its items in the plural, as in "a list of addresses".
pub fn list<F>(what: &'static str, item: F) -> List<F> {
    List { what, item, if_empty: None }
}

fn instead_of_list(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Number(text) | Kind::String(text) => Some(format!("write `[{}]`, a list of one", shown(text))),
        Kind::Map(entries) if entries.first().is_some_and(|(key, _)| key.text.starts_with('-')) => {
            Some("a space is missing behind the `-`".to_owned())
        }
        Kind::Map(_) => Some("write a dash before each of them: `- …`".to_owned()),
        Kind::Null | Kind::Bool(..) | Kind::Seq(_) | Kind::Bad => None,
    }
}

/// A list of at least one; else the message and the help.
pub fn some_of<F>(what: &'static str, item: F, if_empty: (&'static str, Option<&'static str>)) -> List<F> {
    List { what, item, if_empty: Some(if_empty) }
}

#[derive(Debug)]
pub struct List<F> {
    what: &'static str,
    item: F,
    if_empty: Option<(&'static str, Option<&'static str>)>,
}

impl<T, F: Form<T>> Form<Vec<T>> for List<F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Vec<T>> {
        let Kind::Seq(items) = &node.kind else {
            reader.expected_help(node, &[&format!("a list of {}", self.what)], instead_of_list(node));
            return None;
        };
        if let (Some((message, help)), []) = (self.if_empty, items.as_slice()) {
            let (message, help) = (Some(message.to_owned()), help.map(str::to_owned));
            reader.invalid(node.span, Invalid { message, help });
        }
        Some(reader.inside(|reader| items.iter().filter_map(|item| self.item.read(reader, item)).collect()))
    }

    fn shape(&self) -> Shape {
        Shape::List { item: Box::new(self.item.shape()), least: usize::from(self.if_empty.is_some()) }
    }

    fn print(&self, value: &Vec<T>) -> Yaml {
        Yaml::List(value.iter().map(|item| self.item.print(item)).collect())
    }
}

/// A condition's values: a list, or one that stands for a list of one. None is no
/// condition, so that an empty list would be a mistake. `what` is one of them.
pub fn one_or_list<F>(what: &'static str, item: F) -> OneOrList<F> {
    OneOrList { what, item, if_empty: ("an empty list matches nothing", "leave the key out to match everything") }
}

#[derive(Debug)]
pub struct OneOrList<F> {
    what: &'static str,
    item: F,
    /// What is wrong with an empty list, and what helps.
    if_empty: (&'static str, &'static str),
}

impl<F> OneOrList<F> {
    /// For a key that is no condition: what is wrong with an empty list, and what helps.
    pub fn if_empty(self, problem: &'static str, help: &'static str) -> Self {
        Self { if_empty: (problem, help), ..self }
    }
}

impl<T, F: Form<T>> Form<Vec<T>> for OneOrList<F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Vec<T>> {
        let items = match &node.kind {
            Kind::Seq(items) => items.as_slice(),
            Kind::Map(_) if self.item.shape().takes_maps() => std::slice::from_ref(node),
            Kind::Map(_) | Kind::Null => {
                reader.expected(node, &[&format!("{}, or a list of them", self.what)]);
                return None;
            }
            Kind::Bool(..) | Kind::Number(_) | Kind::String(_) | Kind::Bad => std::slice::from_ref(node),
        };
        if items.is_empty() {
            let (problem, help) = self.if_empty;
            reader.error_help(node.span, problem, help);
        }
        Some(items.iter().filter_map(|item| self.item.read(reader, item)).collect())
    }

    fn shape(&self) -> Shape {
        let list = Shape::List { item: Box::new(self.item.shape()), least: 1 };
        Shape::Any(vec![self.item.shape(), list])
    }

    fn print(&self, value: &Vec<T>) -> Yaml {
        match value.as_slice() {
            [] => Yaml::Absent,
            items => Yaml::List(items.iter().map(|item| self.item.print(item)).collect()),
        }
    }
}

/// A map whose names the operator chooses; `what` as in "a map of names to values".
pub fn map<K, F>(what: &'static str, name: Scalar<K>, value: F) -> MapOf<K, F> {
    MapOf { what, name, value, noun: "key", is_left_out: false }
}

#[derive(Debug)]
pub struct MapOf<K, F> {
    what: &'static str,
    name: Scalar<K>,
    value: F,
    /// As in "duplicate header `a`".
    noun: &'static str,
    is_left_out: bool,
}

impl<K, F> MapOf<K, F> {
    /// What two entries of one name are called.
    pub fn of(self, noun: &'static str) -> Self {
        Self { noun, ..self }
    }

    /// An empty one is not printed.
    pub fn left_out(self) -> Self {
        Self { is_left_out: true, ..self }
    }
}

impl<K: Clone + Eq + Hash, T, F: Form<T>> Form<Vec<(K, T)>> for MapOf<K, F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Vec<(K, T)>> {
        let Kind::Map(entries) = &node.kind else {
            reader.expected(node, &[&format!("a map of {}", self.what)]);
            return None;
        };
        let mut read = Vec::new();
        let mut spelled: HashMap<K, &MapKey> = HashMap::new();
        for (index, (key, node)) in entries.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| entries.get(before));
            if let Some(help) = before.and_then(|before| after_comma(before, (key, node))) {
                reader.error_help(key.span, format!("`{}` has no value", key.text), help);
                continue;
            }
            let name = reader.accept(key.span, (self.name.parse)(&key.text));
            let value = reader.inside(|reader| self.value.read(reader, node));
            let (Some(name), Some(value)) = (name, value) else { continue };
            // Two spellings of one name; the same one twice is refused by its text already.
            if let Some(first) = spelled.insert(name.clone(), key) {
                let help = format!("it is the same as `{}` on line {}", first.text, first.span.line);
                reader.error_help(key.span, format!("duplicate {} `{}`", self.noun, key.text), help);
            }
            read.push((name, value));
        }
        Some(read)
    }

    fn shape(&self) -> Shape {
        Shape::Map { name: self.name.syntax, value: Box::new(self.value.shape()), least: 0 }
    }

    fn print(&self, value: &Vec<(K, T)>) -> Yaml {
        if self.is_left_out && value.is_empty() {
            return Yaml::Absent;
        }
        let name = |name: &K| match (self.name.print)(name) {
            Yaml::Word(text) | Yaml::Text(text) => text,
            Yaml::List(_) | Yaml::Map(_) | Yaml::Absent => String::new(),
        };
        Yaml::Map(value.iter().map(|(key, value)| (name(key), self.value.print(value))).collect())
    }
}
