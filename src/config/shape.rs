//! What is said of a key: its name, shape, default and meaning. Must not know which
//! keys there are.

/// The keys of one map.
pub struct Section {
    pub title: &'static str,
    pub keys: &'static [Key],
}

pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// As JSON; `None` where the key has no default.
    pub default: Option<&'static str>,
    pub doc: &'static str,
}

#[derive(Clone, Copy)]
pub enum Shape {
    /// Part of the contract, not delivered yet.
    Later,
    Null,
    Bool,
    Text,
    Duration,
    Size,
    Integer(i64, i64),
    Word(&'static [&'static str]),
    Section(&'static Section),
    List(&'static Shape),
    /// A list of at least one.
    Some(&'static Shape),
    /// A map whose keys the operator chooses.
    Map(&'static Shape),
    Any(&'static [Shape]),
}

impl Section {
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    pub fn delivered(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().filter(|k| !k.is_later())
    }
}

impl Key {
    pub fn is_later(&self) -> bool {
        matches!(self.shape, Shape::Later)
    }

    /// Whether `null` says "the default".
    pub fn nullable(&self) -> bool {
        matches!(self.shape, Shape::Any(shapes) if shapes.iter().any(|s| matches!(s, Shape::Null)))
    }
}

pub const fn key(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Key {
    Key { name, shape, default: Some(default), doc }
}

pub const fn bare(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, default: None, doc }
}

pub const fn later(name: &'static str) -> Key {
    Key { name, shape: Shape::Later, default: None, doc: "Not supported yet." }
}
