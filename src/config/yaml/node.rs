//! A tree of values, each of which knows its place in the file.

use super::problem::Span;

#[derive(Clone, Debug)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

/// Scalars keep their text as it was written.
#[derive(Clone, Debug)]
pub enum Kind {
    Null,
    Bool(bool, String),
    Number(String),
    String(String),
    Seq(Vec<Node>),
    Map(Vec<(MapKey, Node)>),
    /// Already reported; whoever meets it stays silent.
    Bad,
}

#[derive(Clone, Debug)]
pub struct MapKey {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// What stands where a key with this default is absent.
    pub fn of_default(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let kind = match value {
            Json::Null => Kind::Null,
            Json::Bool(value) => Kind::Bool(*value, value.to_string()),
            Json::Number(number) => Kind::Number(number.to_string()),
            Json::String(text) => Kind::String(text.clone()),
            Json::Array(items) => Kind::Seq(items.iter().map(Self::of_default).collect()),
            Json::Object(entries) => {
                let key = |name: &String| MapKey { text: name.clone(), span: Span::default() };
                Kind::Map(entries.iter().map(|(name, value)| (key(name), Self::of_default(value))).collect())
            }
        };
        Self { span: Span::default(), kind }
    }

    /// The text of a scalar, quoted or not.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Bool(_, text) | Kind::Number(text) | Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entry of this name, where the value is a map.
    pub fn entry(&self, name: &str) -> Option<&(MapKey, Self)> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(key, _)| key.text == name),
            Kind::Null | Kind::Bool(..) | Kind::Number(_) | Kind::String(_) | Kind::Seq(_) | Kind::Bad => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub fn is_bad(&self) -> bool {
        matches!(self.kind, Kind::Bad)
    }

    /// How many values it is, and how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let own = (1, size_of::<Node>() + self.text().map_or(0, str::len));
        let add = |(count, bytes): (usize, usize), (c, b): (usize, usize)| (count + c, bytes + b);
        match &self.kind {
            Kind::Seq(items) => items.iter().map(Node::size).fold(own, add),
            Kind::Map(entries) => {
                let entry =
                    |(key, value): &(MapKey, Node)| add((0, size_of::<MapKey>() + key.text.len()), value.size());
                entries.iter().map(entry).fold(own, add)
            }
            Kind::Null | Kind::Bool(..) | Kind::Number(_) | Kind::String(_) | Kind::Bad => own,
        }
    }
}
