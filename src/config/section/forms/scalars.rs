//! Single values: small languages, numbers, booleans.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{Form, Value};
use crate::config::section::reader::Reader;
use crate::config::section::shape::{Shape, Syntax};
use crate::config::yaml::{Invalid, Kind, Node, Parsed, Yaml};

/// A scalar with a small language of its own.
#[derive(Debug)]
pub struct Scalar<T> {
    /// As in "expected a duration such as `10s`".
    pub what: &'static str,
    pub syntax: Syntax,
    pub parse: fn(&str) -> Parsed<T>,
    pub print: fn(&T) -> Yaml,
}

impl<T> Form<T> for Scalar<T> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<T> {
        let Some(text) = node.text() else {
            reader.expected(node, &[self.what]);
            return None;
        };
        match (self.parse)(text) {
            Ok(value) => Some(value),
            Err(Invalid { message: None, help }) => {
                reader.expected_help(node, &[self.what], help);
                None
            }
            Err(why) => {
                reader.invalid(node.span, why);
                None
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text(self.syntax)
    }

    fn print(&self, value: &T) -> Yaml {
        (self.print)(value)
    }
}

impl Value for bool {
    fn form() -> impl Form<Self> {
        Flag
    }
}

struct Flag;

impl Form<bool> for Flag {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<bool> {
        if let Kind::Bool(value, _) = node.kind {
            return Some(value);
        }
        reader.expected_help(node, &["`true`", "`false`"], node.text().and_then(meant_flag));
        None
    }

    fn shape(&self) -> Shape {
        Shape::Bool
    }

    fn print(&self, value: &bool) -> Yaml {
        Yaml::word(value)
    }
}

/// YAML 1.1 had more words for the two, and quotes make a text of one.
fn meant_flag(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "false" => Some(format!("write `{}`, without quotes", text.to_ascii_lowercase())),
        "yes" | "on" | "1" | "enabled" => Some("write `true`".to_owned()),
        "no" | "off" | "0" | "disabled" => Some("write `false`".to_owned()),
        _ => None,
    }
}

/// A whole number within bounds.
pub fn number<N>(range: RangeInclusive<N>) -> Number<N> {
    Number(range)
}

#[derive(Debug)]
pub struct Number<N>(RangeInclusive<N>);

impl<N: Copy + Display + PartialOrd + TryInto<i64> + TryFrom<i64>> Number<N> {
    fn bounds(&self) -> (i64, i64) {
        let wide = |n: N| n.try_into().unwrap_or(i64::MAX);
        (wide(*self.0.start()), wide(*self.0.end()))
    }
}

impl<N: Copy + Display + PartialOrd + TryInto<i64> + TryFrom<i64>> Form<N> for Number<N> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<N> {
        let written = match &node.kind {
            Kind::Number(text) => text.parse::<i64>().ok(),
            Kind::Null | Kind::Bool(..) | Kind::String(_) | Kind::Seq(_) | Kind::Map(_) | Kind::Bad => None,
        };
        let value = written.and_then(|n| N::try_from(n).ok()).filter(|n| self.0.contains(n));
        if value.is_none() {
            let (least, most) = self.bounds();
            let quoted = match &node.kind {
                Kind::String(text) => text.trim_end_matches('%').parse::<i64>().ok(),
                _ => None,
            };
            let quoted = quoted.filter(|number| (least..=most).contains(number));
            let is_percent = node.text().is_some_and(|text| text.ends_with('%'));
            let without = if is_percent { "`%`" } else { "quotes" };
            let help = quoted.map(|number| format!("write `{number}`, without {without}"));
            reader.expected_help(node, &[&format!("a whole number from {least} to {most}")], help);
        }
        value
    }

    fn shape(&self) -> Shape {
        let (least, most) = self.bounds();
        Shape::Integer { least, most }
    }

    fn print(&self, value: &N) -> Yaml {
        Yaml::word(value)
    }
}
