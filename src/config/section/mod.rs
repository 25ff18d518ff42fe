//! A section of the configuration: a map whose keys are declared once, by [`section!`],
//! with their types, defaults, bounds and meanings. From the declaration come the struct,
//! the reading with every problem at its place, `-T`, the JSON Schema and the reference.

mod as_section;
mod fields;
mod forms;
mod hints;
mod macros;
mod nearest;
mod reader;
mod shape;
mod upstream_names;
mod whole;

pub use as_section::{AsSection, FromKeys, Section, Switch};
pub use fields::Fields;
pub use forms::{
    Either, Form, Scalar, Value, Words, WordsOr, list, map, number, one_or_list, optional, or_null, or_word, some_of,
};
pub use hints::shown;
pub(in crate::config) use macros::{section, words};
pub use nearest::nearest;
pub use reader::Reader;
pub use shape::{Delivery, IfAbsent, Key, Quantity, Rule, SectionShape, Shape, Syntax, Word};
pub use whole::{Foreign, Ours, Place, Whole};
