//! YAML as this configuration uses it: text to a tree whose every value knows its place,
//! variables in values, what is wrong and where, and values back to text.

mod node;
mod problem;
mod quoting;
mod rejected;
mod render;
mod secrets;
mod tree;
mod variables;
mod writer;

pub use node::{Kind, MapKey, Node};
pub use problem::{Invalid, Location, Parsed, Problem, Severity, Span};
pub use rejected::Rejected;
pub use render::{Look, excerpt, render};
pub use secrets::{hidden as hidden_secrets, hidden_in_urls, may_be_secret};
pub use tree::{MAX_BYTES, parse};
#[cfg(test)]
pub use variables::escape;
pub use writer::{Yaml, flow_scalar};
