//! Words that stand for values.

use super::Form;
use crate::config::section::nearest::nearest;
use crate::config::section::reader::Reader;
use crate::config::section::shape::{Shape, Word};
use crate::config::yaml::{Kind, Node, Yaml};

/// One of several words, each of which stands for a value.
#[derive(Debug)]
pub struct Words<T, const N: usize>(pub [(T, Word); N]);

impl<T: Clone + PartialEq, const N: usize> Form<T> for Words<T, N> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<T> {
        if let Some(value) = find_word(&self.0, node) {
            return Some(value);
        }
        let quoted: Vec<String> = self.0.iter().map(|(_, word)| format!("`{}`", word.word)).collect();
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        let known = self.0.iter().map(|(_, word)| word.word).chain(reader.words());
        let help = node.text().and_then(|text| nearest(text, known.collect::<Vec<_>>()));
        reader.expected_help(node, &quoted, help.map(|near| format!("did you mean `{near}`?")));
        None
    }

    fn shape(&self) -> Shape {
        shape_of_words(&self.0)
    }

    fn print(&self, value: &T) -> Yaml {
        print_word(&self.0, value)
    }
}

fn find_word<T: Clone>(words: &[(T, Word)], node: &Node) -> Option<T> {
    let written = match &node.kind {
        Kind::Bool(true, _) => Some("true"),
        Kind::Bool(false, _) => Some("false"),
        Kind::Null => Some("null"),
        // A quoted one is a text.
        Kind::String(text) if ["true", "false", "null"].contains(&text.as_str()) => None,
        Kind::Number(_) | Kind::String(_) | Kind::Seq(_) | Kind::Map(_) | Kind::Bad => node.text(),
    };
    let found = written.and_then(|text| words.iter().find(|(_, word)| word.word == text));
    found.map(|(value, _)| value.clone())
}

fn shape_of_words<T>(words: &[(T, Word)]) -> Shape {
    Shape::Words(words.iter().map(|(_, word)| *word).collect())
}

fn print_word<T: PartialEq>(words: &[(T, Word)], value: &T) -> Yaml {
    printed(words.iter().find(|(known, _)| known == value).map_or("", |(_, word)| word.word))
}

/// A word as it can be read back: YAML 1.1 takes `off` for a boolean.
pub fn printed(word: &str) -> Yaml {
    if word == "off" { Yaml::text(word) } else { Yaml::word(word) }
}

/// One of a few words, or a value of another form.
#[derive(Debug)]
pub struct WordsOr<T, U, F, const N: usize> {
    pub words: [(T, Word); N],
    pub form: F,
    pub wrap: fn(U) -> T,
    /// `None` where a word says the value.
    pub unwrap: fn(&T) -> Option<U>,
}

impl<T: Clone + PartialEq, U, F: Form<U>, const N: usize> Form<T> for WordsOr<T, U, F, N> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<T> {
        if let Some(value) = find_word(&self.words, node) {
            return Some(value);
        }
        let words = self.words.iter().map(|(_, word)| word.word).filter(|word| *word != "null");
        // What others call one of the words.
        let meant = node.text().and_then(|text| (reader.whole().synonym)(text));
        if let Some(word) = meant.filter(|meant| self.words.iter().any(|(_, word)| word.word == meant)) {
            let quoted: Vec<String> = words.map(|word| format!("`{word}`")).collect();
            let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
            reader.expected_help(node, &quoted, Some(format!("write `{word}`")));
            return None;
        }
        reader.or_words(words, |reader| self.form.read(reader, node)).map(self.wrap)
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![shape_of_words(&self.words), self.form.shape()])
    }

    fn print(&self, value: &T) -> Yaml {
        match (self.unwrap)(value) {
            Some(inner) => self.form.print(&inner),
            None => print_word(&self.words, value),
        }
    }
}
