//! YAML as this configuration uses it: text to a tree whose every value knows its place,
//! variables in values, what is wrong and where, and values back to text.

mod node;
mod problem;
mod tree;
mod variables;
mod writer;

pub use node::{Kind, MapKey, Node};
pub use problem::{Invalid, Location, Parsed, Problem, Rejected, Severity, Span, excerpt, render};
pub use tree::{MAX_BYTES, parse};
#[cfg(test)]
pub use variables::escape;
pub use writer::Yaml;
