//! Reads a tree against the table of keys and collects every problem in one pass.
//! Owns the words for a wrong key or type; must not know what a key means.

use std::path::{Path, PathBuf};

use super::keys::Section;
use super::node::{Key, Kind, Node};
use super::problem::{Problem, Severity, Span};
use super::value::{Read, Wrong, nearest};

/// What checking needs everywhere.
pub struct Cx<'a> {
    pub problems: Vec<Problem>,
    /// Relative paths start here.
    pub base: &'a Path,
}

impl Cx<'_> {
    pub fn error(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::new(Severity::Error, span, message));
    }

    pub fn error_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.wrong(span, Wrong::with_help(message, help));
    }

    pub fn warn(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        let mut problem = Problem::new(Severity::Warning, span, message);
        problem.help = help;
        self.problems.push(problem);
    }

    pub fn wrong(&mut self, span: Span, wrong: Wrong) {
        let mut problem = Problem::new(Severity::Error, span, wrong.message);
        problem.help = wrong.help;
        self.problems.push(problem);
    }

    pub fn accept<T>(&mut self, span: Span, read: Read<T>) -> Option<T> {
        read.map_err(|wrong| self.wrong(span, wrong)).ok()
    }

    pub fn expected(&mut self, node: &Node, what: &str) {
        if !node.is_bad() {
            self.error(node.span, format!("expected {what}, found {}", found(node)));
        }
    }

    pub fn not_yet(&mut self, span: Span, what: &str) {
        self.error(span, format!("{what} is not supported yet"));
    }

    /// A scalar's text, read by `read`.
    pub fn read<T>(&mut self, node: &Node, what: &str, read: impl FnOnce(&str) -> Read<T>) -> Option<T> {
        match node.text() {
            Some(text) => self.accept(node.span, read(text)),
            None => {
                self.expected(node, what);
                None
            }
        }
    }

    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        if node.text().is_none() {
            self.expected(node, what);
        }
        node.text()
    }

    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        if let Kind::Bool(value, _) = node.kind {
            return Some(value);
        }
        self.expected(node, "`true` or `false`");
        None
    }

    pub fn integer(&mut self, node: &Node, least: i64, most: i64) -> Option<i64> {
        let what = format!("a whole number from {least} to {most}");
        let Kind::Number(text) = &node.kind else {
            self.expected(node, &what);
            return None;
        };
        match text.parse::<i64>() {
            Ok(value) if (least..=most).contains(&value) => Some(value),
            _ => {
                self.expected(node, &what);
                None
            }
        }
    }

    /// One of the words; near misses are named.
    pub fn word<'w>(&mut self, node: &Node, words: &[&'w str]) -> Option<&'w str> {
        let what = one_of(words);
        let text = self.text(node, &what)?;
        if let Some(word) = words.iter().find(|w| **w == text) {
            return Some(word);
        }
        let help = nearest(text, words.iter().copied()).map(|w| format!("did you mean `{w}`?"));
        self.wrong(node.span, Wrong { message: format!("expected {what}, found `{text}`"), help });
        None
    }

    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if let Kind::Seq(items) = &node.kind {
            return items;
        }
        self.expected(node, &format!("a list of {what}"));
        &[]
    }

    /// A list, or one value that stands for a list of one.
    pub fn one_or_list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if let Kind::Seq(items) = &node.kind {
            if items.is_empty() {
                self.error_help(node.span, "an empty list matches nothing", "leave the key out to match everything");
            }
            return items;
        }
        if node.text().is_none() {
            self.expected(node, &format!("{what}, or a list of them"));
            return &[];
        }
        std::slice::from_ref(node)
    }

    /// A map whose keys the operator chooses.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
        if let Kind::Map(entries) = &node.kind {
            return entries;
        }
        self.expected(node, &format!("a map of {what}"));
        &[]
    }

    pub fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    pub fn failed(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error)
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".into(),
    }
}

pub fn found(node: &Node) -> String {
    match &node.kind {
        Kind::Null | Kind::Bad => "nothing".into(),
        Kind::Seq(_) => "a list".into(),
        Kind::Map(_) => "a map".into(),
        Kind::Bool(_, text) | Kind::Number(text) => format!("`{text}`"),
        Kind::String(text) if text.is_empty() => "an empty text".into(),
        Kind::String(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
    }
}

/// The known keys of one map.
pub struct Fields<'n> {
    section: &'static Section,
    entries: &'n [(Key, Node)],
    pub span: Span,
    /// Something in it was refused, so that what is missing may be a consequence.
    pub refused: bool,
}

impl<'n> Fields<'n> {
    /// Reports each key that is unknown or not delivered yet.
    pub fn open(cx: &mut Cx<'_>, node: &'n Node, section: &'static Section) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            let names: Vec<String> = section.delivered().take(3).map(|k| format!("`{}`", k.name)).collect();
            cx.expected(node, &format!("a map with keys such as {}", names.join(", ")));
            return None;
        };
        let mut refused = false;
        for (key, _) in entries {
            match section.find(&key.text) {
                Some(known) if known.is_later() => cx.not_yet(key.span, &format!("`{}`", key.text)),
                Some(_) => continue,
                None => unknown(cx, key, section),
            }
            refused = true;
        }
        Some(Fields { section, entries, span: node.span, refused })
    }

    /// `None` where it is absent, or `null` where that says "the default".
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        let known = self.section.find(name);
        debug_assert!(known.is_some_and(|k| !k.is_later()), "`{name}` is not in the table of {}", self.section.title);
        let node = self.raw(name)?;
        (!(node.is_null() && known.is_some_and(|k| k.nullable()))).then_some(node)
    }

    /// `null` included.
    pub fn raw(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| k.text == name).map(|(_, node)| node)
    }

    pub fn required(&self, cx: &mut Cx<'_>, name: &str) -> Option<&'n Node> {
        let node = self.get(name);
        if node.is_none() && !self.refused {
            cx.error(self.span, format!("`{name}` is missing in {}", self.section.title));
        }
        node
    }

    pub fn key_span(&self, name: &str) -> Span {
        self.entries.iter().find(|(k, _)| k.text == name).map_or(self.span, |(k, _)| k.span)
    }
}

fn unknown(cx: &mut Cx<'_>, key: &Key, section: &Section) {
    let message = format!("unknown key `{}`", key.text);
    let help = match nearest(&key.text, section.delivered().map(|k| k.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = section.delivered().map(|k| k.name).collect();
            format!("{} has: {}", section.title, names.join(", "))
        }
    };
    cx.error_help(key.span, message, help);
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::super::node;
    use super::*;

    fn cx() -> Cx<'static> {
        Cx { problems: Vec::new(), base: Path::new("/etc/p") }
    }

    fn tree(text: &str) -> Node {
        node::parse(text, &|_| None).0.unwrap()
    }

    #[test]
    fn every_wrong_key_is_reported_at_once() {
        let mut cx = cx();
        let node = tree("listners: []\ncache: {}\nzzz: 1\nroutes: []\n");
        assert!(Fields::open(&mut cx, &node, &keys::ROOT).unwrap().refused);
        let messages: Vec<&str> = cx.problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(messages, ["unknown key `listners`", "`cache` is not supported yet", "unknown key `zzz`"]);
        assert_eq!(cx.problems[0].help.as_deref(), Some("did you mean `listeners`?"));
    }

    #[test]
    fn wrong_types_say_what_was_found() {
        let mut cx = cx();
        cx.read(&tree("[1]"), "a duration such as `10s`", super::super::value::duration);
        cx.boolean(&tree("yes"));
        cx.integer(&tree("08.5"), 1, 9);
        cx.word(&tree("infos"), &["info", "off"]);
        let messages: Vec<&str> = cx.problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "expected a duration such as `10s`, found a list",
                "expected `true` or `false`, found `yes`",
                "expected a whole number from 1 to 9, found `08.5`",
                "expected `info` or `off`, found `infos`",
            ]
        );
    }

    #[test]
    fn null_is_the_default_only_where_the_table_says_so() {
        let mut cx = cx();
        let node = tree("user: null\nthreads: null\n");
        let fields = Fields::open(&mut cx, &node, &keys::SERVER).unwrap();
        assert!(fields.get("user").is_none());
        assert!(fields.get("threads").is_some());
    }
}
