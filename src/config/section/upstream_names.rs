//! The upstreams' names while the file is read: which there are, which a route uses, and
//! which routes name an address instead.

use std::collections::HashMap;

use super::nearest::nearest;
use crate::config::yaml::{Invalid, Parsed, Span};

/// In the order of their indices.
#[derive(Debug, Default)]
pub struct UpstreamNames {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    /// Whether a route's upstream was not understood, which may be any of them.
    is_in_doubt: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    span: Span,
    is_used: bool,
    /// A route names this address itself; no upstream of the file does.
    is_address: bool,
}

impl UpstreamNames {
    pub fn declare(&mut self, name: &str, span: Span) {
        self.add(name, span, false);
    }

    /// The index of an address that a route names in an upstream's place.
    pub fn add_address(&mut self, address: &str, span: Span) -> usize {
        self.add(address, span, true)
    }

    fn add(&mut self, name: &str, span: Span, is_address: bool) -> usize {
        let index = self.entries.len();
        self.by_name.insert(name.to_owned(), index);
        self.entries.push(Entry { name: name.to_owned(), span, is_used: is_address, is_address });
        index
    }

    pub fn holds(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Notes that a route's upstream was not understood.
    pub fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// The index of a name, which is now used.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn index_of(&mut self, name: &str) -> Parsed<usize> {
        let Some(index) = self.by_name.get(name).copied() else {
            self.doubt();
            return Err(self.unknown(name));
        };
        if let Some(entry) = self.entries.get_mut(index) {
            entry.is_used = true;
        }
        Ok(index)
    }

    fn unknown(&self, name: &str) -> Invalid {
        let names = || self.entries.iter().map(|e| e.name.as_str()).filter(|n| !n.contains(':'));
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if name.parse::<u16>().is_ok() => format!("for a port of this machine write `\"127.0.0.1:{name}\"`"),
            None if name == "localhost" || name.contains('.') => {
                format!("if it is an address, its port is missing, as in `{name}:80`")
            }
            None if names().next().is_none() => "no upstream is defined; an address is written `host:port`".into(),
            None => format!("defined are: {}", names().take(8).collect::<Vec<_>>().join(", ")),
        };
        Invalid::with_help(format!("there is no upstream `{name}`"), help)
    }

    /// Those that no route uses, as far as that is certain.
    pub fn unused(&self) -> impl Iterator<Item = (&str, Span)> {
        let certain = self.entries.iter().filter(|_| !self.is_in_doubt);
        certain.filter(|entry| !entry.is_used).map(|entry| (entry.name.as_str(), entry.span))
    }

    /// The addresses that routes name, in the order of their indices.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, Span)> {
        self.entries.iter().filter(|entry| entry.is_address).map(|entry| (entry.name.as_str(), entry.span))
    }
}
