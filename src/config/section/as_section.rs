//! A type as the keys of a map.

use super::fields::Fields;
use super::forms::Form;
use super::reader::Reader;
use super::shape::{Delivery, Key, Known, Rule, SectionShape, Shape};
use crate::config::yaml::{Kind, Node, Yaml};

/// A type whose fields are the keys of a map. [`section!`] implements it.
pub trait Section: Sized {
    /// As messages name it: "a route", "`pool`".
    const TITLE: &'static str;

    fn known(name: &str) -> Option<Delivery>;

    /// In the order in which they are documented and printed; made once.
    fn keys() -> &'static [Key];

    fn rules() -> Vec<Rule>;

    /// Reads every key and reports every problem; `None` where the value cannot be made.
    fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Self>;

    fn print(&self) -> Vec<(&'static str, Yaml)>;
}

/// A type that stands in the file as the keys of a section, which is another type: the
/// keys as they are written, where the value is one of several things.
pub trait FromKeys: Sized {
    type Keys: Section;

    fn from_keys(keys: Self::Keys) -> Option<Self>;

    fn to_keys(&self) -> Self::Keys;
}

impl<T: FromKeys> Section for T {
    const TITLE: &'static str = T::Keys::TITLE;

    fn known(name: &str) -> Option<Delivery> {
        T::Keys::known(name)
    }

    fn keys() -> &'static [Key] {
        T::Keys::keys()
    }

    fn rules() -> Vec<Rule> {
        T::Keys::rules()
    }

    fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Self> {
        T::Keys::read(reader, fields).and_then(T::from_keys)
    }

    fn print(&self) -> Vec<(&'static str, Yaml)> {
        self.to_keys().print()
    }
}

/// The [`Form`] of a section.
#[derive(Clone, Copy, Debug)]
pub struct AsSection;

impl<S: Section> Form<S> for AsSection {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<S> {
        let known = Known { title: S::TITLE, find: S::known, keys: S::keys };
        let fields = Fields::open(reader, node, known)?;
        S::read(reader, &fields)
    }

    fn shape(&self) -> Shape {
        Shape::Section(SectionShape { keys: S::keys().into(), rules: S::rules() })
    }

    fn print(&self, value: &S) -> Yaml {
        Yaml::Map(value.print().into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// A section that can be switched: `true` for its defaults, `false` for none, or a map.
#[derive(Clone, Copy, Debug)]
pub struct Switch;

impl<S: Section> Form<Option<S>> for Switch {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<S>> {
        match &node.kind {
            Kind::Bool(false, _) => Some(None),
            // All defaults, as an empty map has them.
            Kind::Bool(true, _) => {
                AsSection.read(reader, &Node { span: node.span, kind: Kind::Map(Vec::new()) }).map(Some)
            }
            Kind::Map(_) => AsSection.read(reader, node).map(Some),
            Kind::Null | Kind::Number(_) | Kind::String(_) | Kind::Seq(_) | Kind::Bad => {
                reader.expected(node, &["`true`", "`false`", "a map"]);
                None
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![Shape::Bool, Form::<S>::shape(&AsSection)])
    }

    fn print(&self, value: &Option<S>) -> Yaml {
        value.as_ref().map_or(Yaml::word(false), |section| AsSection.print(section))
    }
}
