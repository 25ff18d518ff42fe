//! Values that may be absent, and values that are written in two ways.

use super::words::printed;
use super::{Form, Value};
use crate::config::section::reader::Reader;
use crate::config::section::shape::{Shape, Word};
use crate::config::yaml::{Kind, Node, Yaml};

/// A value that may be absent: where it is there, it has the inner form.
pub fn optional<F>(form: F) -> Optional<F> {
    Optional(form)
}

#[derive(Debug)]
pub struct Optional<F>(F);

impl<T, F: Form<T>> Form<Option<T>> for Optional<F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<T>> {
        self.0.read(reader, node).map(Some)
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn print(&self, value: &Option<T>) -> Yaml {
        value.as_ref().map_or(Yaml::Absent, |value| self.0.print(value))
    }
}

impl<T: Value> Value for Option<T> {
    fn form() -> impl Form<Self> {
        optional(T::form())
    }
}

/// `null` for none.
pub fn or_null<F>(form: F) -> OrNull<F> {
    OrNull(form)
}

#[derive(Debug)]
pub struct OrNull<F>(F);

impl<T, F: Form<T>> Form<Option<T>> for OrNull<F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<T>> {
        if node.is_null() { Some(None) } else { self.0.read(reader, node).map(Some) }
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![self.0.shape(), Shape::Null])
    }

    fn print(&self, value: &Option<T>) -> Yaml {
        value.as_ref().map_or_else(|| Yaml::word("null"), |value| self.0.print(value))
    }
}

/// A word for none, such as `unlimited`.
pub fn or_word<F>(word: &'static str, doc: &'static str, form: F) -> OrWord<F> {
    OrWord { word: Word { word, doc }, form }
}

#[derive(Debug)]
pub struct OrWord<F> {
    word: Word,
    form: F,
}

impl<T, F: Form<T>> Form<Option<T>> for OrWord<F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<T>> {
        if node.text() == Some(self.word.word) {
            return Some(None);
        }
        reader.or_words([self.word.word], |reader| self.form.read(reader, node)).map(Some)
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![self.form.shape(), Shape::Words(vec![self.word])])
    }

    fn print(&self, value: &Option<T>) -> Yaml {
        match value {
            Some(value) => self.form.print(value),
            None => printed(self.word.word),
        }
    }
}

/// Two ways to write the same type: a short scalar, or a map.
#[derive(Debug)]
pub struct Either<S, M> {
    pub short: S,
    pub map: M,
    /// Whether values are printed in the short form.
    pub prints_short: bool,
}

impl<T, S: Form<T>, M: Form<T>> Form<T> for Either<S, M> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<T> {
        if matches!(node.kind, Kind::Map(_)) { self.map.read(reader, node) } else { self.short.read(reader, node) }
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![self.short.shape(), self.map.shape()])
    }

    fn print(&self, value: &T) -> Yaml {
        if self.prints_short { self.short.print(value) } else { self.map.print(value) }
    }
}
