//! The forms that values have in the file: scalars, words, lists, maps, and alternatives of
//! them. A form reads a value, describes it for the schema and the reference, and prints it.

mod alternatives;
mod collections;
mod scalars;
mod words;

pub use alternatives::{Either, optional, or_null, or_word};
pub use collections::{list, map, one_or_list, some_of};
pub use scalars::{Scalar, number};
pub use words::{Words, WordsOr};

use super::reader::Reader;
use super::shape::Shape;
use crate::config::yaml::{Node, Yaml};

pub trait Form<T> {
    /// The value; where it is `None`, its problems were reported.
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<T>;

    fn shape(&self) -> Shape;

    fn print(&self, value: &T) -> Yaml;
}

/// A type that is written in one form wherever it stands.
pub trait Value: Sized {
    fn form() -> impl Form<Self>;
}
