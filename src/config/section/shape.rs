//! What may stand at a key, as data: the JSON Schema and the reference page are made of it.

use std::borrow::Cow;

/// One declared key.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: &'static str,
    pub doc: String,
    pub shape: Shape,
    pub if_absent: IfAbsent,
}

/// What happens where a key is absent.
#[derive(Clone, Debug)]
pub enum IfAbsent {
    /// The configuration is refused.
    Required,
    /// This value holds.
    Default(serde_json::Value),
    /// There is none.
    Optional,
    /// The key is part of the contract but not delivered yet: it is refused.
    Later,
}

impl Key {
    pub fn is_later(&self) -> bool {
        matches!(self.if_absent, IfAbsent::Later)
    }
}

/// Whether a key does something already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Done,
    Later,
}

/// What a section knows of its keys.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub title: &'static str,
    /// Whether a name is one of the keys.
    pub find: fn(&str) -> Option<Delivery>,
    /// In the order in which they are documented.
    pub keys: fn() -> &'static [Key],
}

/// What holds across the keys of one section.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Exactly one of the keys is there, because each is another `noun`; else the `hint`.
    OneOf { noun: &'static str, keys: &'static [&'static str], hint: &'static str },
    /// None of the keys stands without the others.
    Together(&'static [&'static str]),
}

#[derive(Clone, Debug)]
pub struct SectionShape {
    pub keys: Cow<'static, [Key]>,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub enum Shape {
    Null,
    Bool,
    Integer {
        least: i64,
        most: i64,
    },
    Text(Syntax),
    Quantity(Quantity),
    /// One of several words.
    Words(Vec<Word>),
    Section(SectionShape),
    List {
        item: Box<Shape>,
        least: usize,
    },
    /// A map whose names the operator chooses.
    Map {
        name: Syntax,
        value: Box<Shape>,
        least: usize,
    },
    Any(Vec<Shape>),
}

impl Shape {
    /// Whether a map can be such a value.
    pub fn takes_maps(&self) -> bool {
        match self {
            Self::Section(_) | Self::Map { .. } => true,
            Self::Any(shapes) => shapes.iter().any(Self::takes_maps),
            Self::Null
            | Self::Bool
            | Self::Integer { .. }
            | Self::Text(_)
            | Self::Quantity(_)
            | Self::Words(_)
            | Self::List { .. } => false,
        }
    }

    /// The words that the value itself, or an item of a list, may be.
    pub fn words(&self) -> Vec<Word> {
        match self {
            Self::Words(words) => words.clone(),
            Self::Any(shapes) => shapes.iter().flat_map(Self::words).collect(),
            Self::List { item, .. } => item.words(),
            Self::Null
            | Self::Bool
            | Self::Integer { .. }
            | Self::Text(_)
            | Self::Quantity(_)
            | Self::Section(_)
            | Self::Map { .. } => Vec::new(),
        }
    }

    /// The same, where the names in maps and the items of lists are these.
    pub fn with_names(self, names: Syntax) -> Self {
        match self {
            Self::Section(section) => {
                let renamed = |key: &Key| Key { shape: key.shape.clone().with_names(names), ..key.clone() };
                Self::Section(SectionShape { keys: section.keys.iter().map(renamed).collect(), ..section })
            }
            Self::Map { value, least, .. } => Self::Map { name: names, value, least },
            Self::List { least, .. } => Self::List { item: Box::new(Self::Text(names)), least },
            Self::Null
            | Self::Bool
            | Self::Integer { .. }
            | Self::Text(_)
            | Self::Quantity(_)
            | Self::Words(_)
            | Self::Any(_) => self,
        }
    }
}

/// A scalar with a syntax of its own.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    /// What the reference calls it, such as `duration`.
    pub kind: &'static str,
    /// Whether what YAML takes for a number or a boolean can be one, as in `x-debug: 1`.
    pub numbers: bool,
    /// An ECMA 262 regular expression for editors. It may accept more than `-t` does.
    pub pattern: Option<&'static str>,
    pub examples: &'static [&'static str],
}

/// A whole number with a unit, such as a size.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// What the reference calls it.
    pub kind: &'static str,
    /// Each unit as it is written, and what it is in the unit of the bounds.
    pub units: &'static [(&'static str, u64)],
    pub least: u64,
    /// `None` where the schema knows no upper bound.
    pub most: Option<u64>,
    pub examples: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub word: &'static str,
    pub doc: &'static str,
}
