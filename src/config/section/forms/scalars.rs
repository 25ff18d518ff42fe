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
        reader.expected(node, &["`true`", "`false`"]);
        None
    }

    fn shape(&self) -> Shape {
        Shape::Bool
    }

    fn print(&self, value: &bool) -> Yaml {
        Yaml::word(value)
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
            reader.expected(node, &[&format!("a whole number from {least} to {most}")]);
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
