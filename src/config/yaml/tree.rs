//! YAML text as a tree in which every value knows its place in the file.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Options, Parser, ScalarStyle};

use super::node::{Kind, MapKey, Node};
use super::problem::{Problem, Severity, Span};
use super::quoting::{Unquoted, slip, unquoted};
use super::variables::{self, Env};

/// Larger than any file a person would write; keeps a mistaken path from filling memory.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 32;
/// Of all values that have an anchor or stand for one, in memory.
const MAX_COPIED: usize = 64 * 1024 * 1024;

/// The tree, and what is wrong with the text. After a syntax error there is no tree.
pub fn parse(text: &str, env: Env<'_>) -> (Option<Node>, Vec<Problem>) {
    let mut problems = Vec::new();
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES / 1024 / 1024);
        problems.push(Problem::new(Severity::Error, Span::default(), message));
        return (None, problems);
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        env,
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
        problems,
    };
    let root = builder.document();
    let mut problems = builder.problems;
    match root {
        Ok(node) => (node, problems),
        Err(Stop(problem)) => {
            problems.push(problem);
            (None, problems)
        }
    }
}

/// The text cannot be read any further.
struct Stop(Problem);

struct Builder<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    text: &'t str,
    env: Env<'t>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copied: usize,
    problems: Vec<Problem>,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return Err(stop(
                        span,
                        "a second document in the file",
                        Some("only one is read; remove the `---` before it"),
                    ));
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Stop> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, self.span(&span)))),
            Some(Err(e)) => Err(self.syntax_error(&e)),
        }
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let source = span.slice(self.text).unwrap_or("");
        let first_line = source.split(['\n', '\r']).next().unwrap_or("").trim_end();
        Span { line: span.start.line(), column: span.start.col() + 1, len: first_line.chars().count().max(1) }
    }

    fn syntax_error(&self, e: &granit_parser::ScanError) -> Stop {
        let mark = e.marker();
        let span = Span { line: mark.line().max(1), column: mark.col() + 1, len: 1 };
        let line = self.text.lines().nth(span.line - 1).unwrap_or("");
        let indent = line.len() - line.trim_start().len();
        let tab = line.get(..indent).is_some_and(|s| s.contains('\t'));
        let begins_line = span.column <= indent + 1;
        let help = if tab {
            Some("YAML is indented with spaces, not tabs")
        } else if begins_line && e.info().contains("did not find expected key") {
            Some("indent it as the keys beside it")
        } else {
            None
        };
        let before = || self.text.lines().nth(span.line.checked_sub(2)?).and_then(|line| slip(line, span.line - 1));
        let found = || unquoted(line, span.line, span.column).or_else(|| slip(line, span.line)).or_else(before);
        match if tab { None } else { found() } {
            Some(Unquoted { span, message, help }) => stop(span, &message, Some(&help)),
            None => stop(span, &format!("this is not valid YAML: {}", e.info().replace('\n', " ")), help),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        self.grow(1, span)?;
        if depth > 2 * MAX_DEPTH {
            return Err(stop(span, "nested too deeply", None));
        }
        let (kind, anchor) = match event {
            // `!text` is a tag without a value.
            Event::Scalar(text, _, anchor, Some(_)) if text.is_empty() && self.refuse_unquoted(span) => {
                (Kind::Bad, anchor)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                (self.scalar(&text, style, span), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                (self.sequence(depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                (self.mapping(depth)?, anchor)
            }
            Event::Alias(id) => return self.alias(id, span),
            _ => (Kind::Bad, 0),
        };
        let node = Node { span, kind };
        if anchor != 0 {
            self.copy(node.size().1, span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Stop> {
        let size = self.anchors.get(&id).map(Node::size);
        let (count, bytes) = size.ok_or_else(|| stop(span, "this alias refers to the value it stands in", None))?;
        self.grow(count, span)?;
        self.copy(bytes, span)?;
        self.anchors.get(&id).cloned().ok_or_else(|| stop(span, "there is no such anchor", None))
    }

    // A few aliases of a long value describe as much as many of a short one.
    fn copy(&mut self, bytes: usize, span: Span) -> Result<(), Stop> {
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > MAX_COPIED {
            let message = format!("aliases stand for more than {} MiB in this file", MAX_COPIED / 1024 / 1024);
            return Err(stop(span, &message, None));
        }
        Ok(())
    }

    // Aliases of aliases can describe more values than memory holds.
    fn grow(&mut self, by: usize, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(by);
        if self.nodes > MAX_NODES {
            return Err(stop(span, &format!("more than {MAX_NODES} values in the file"), None));
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.report(span, "YAML tags are not used here".into(), Some("remove the `!…` before the value".into()));
        }
    }

    /// Reports a value here that needs quotes, if there is one.
    fn refuse_unquoted(&mut self, span: Span) -> bool {
        let line = self.text.lines().nth(span.line.saturating_sub(1)).unwrap_or("");
        let Some(Unquoted { span, message, help }) = unquoted(line, span.line, span.column) else { return false };
        self.report(span, message, Some(help));
        true
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Kind {
        let expanded = match variables::expand(text, self.env) {
            Ok(expanded) => expanded,
            Err(reasons) => {
                reasons.into_iter().for_each(|why| self.report(span, why.message.unwrap_or_default(), why.help));
                return Kind::Bad;
            }
        };
        // In flow style a variable needs quotes, which say nothing of its value; but
        // an empty one between quotes is a text.
        let quoted_variable = variables::is_one(text) && !expanded.is_empty();
        if style == ScalarStyle::Plain && expanded.starts_with(['“', '”', '„', '‘', '’']) {
            let straight = expanded.trim_matches(['“', '”', '„', '‘', '’']);
            let help = format!("write `\"{straight}\"`");
            self.report(span, "these quotes are a word processor's, and none to YAML".into(), Some(help));
            return Kind::Bad;
        }
        if style == ScalarStyle::Plain || quoted_variable { plain(expanded) } else { Kind::String(expanded) }
    }

    fn sequence(&mut self, depth: usize) -> Result<Kind, Stop> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Kind::Seq(items))
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, Stop> {
        let mut entries: Vec<(MapKey, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let (mut merged, mut is_bad) = (Vec::new(), false);
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, 0, None) if text == "<<");
            let key = self.key(event, span, depth, &mut is_bad)?;
            let Some((event, value_span)) = self.next()? else { break };
            let value = self.node(event, value_span, depth + 1)?;
            let Some(key) = key else { continue };
            if is_merge {
                merged.push(value);
                continue;
            }
            if let Some(line) = seen.get(&key.text) {
                let message = format!("duplicate key `{}`", key.text);
                self.report(key.span, message, Some(format!("the first one is on line {line}")));
                continue;
            }
            seen.insert(key.text.clone(), key.span.line);
            entries.push((key, value));
        }
        for value in merged {
            self.merge(value, &mut entries, &mut seen);
        }
        Ok(if is_bad { Kind::Bad } else { Kind::Map(entries) })
    }

    /// Takes over what `<<` stands for (yaml.org/type/merge): the keys of a map, or of several,
    /// that the map itself has not.
    fn merge(&mut self, value: Node, entries: &mut Vec<(MapKey, Node)>, seen: &mut HashMap<String, usize>) {
        match value.kind {
            Kind::Map(others) => {
                for (key, value) in others {
                    if !seen.contains_key(&key.text) {
                        seen.insert(key.text.clone(), key.span.line);
                        entries.push((key, value));
                    }
                }
            }
            Kind::Seq(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_) | Kind::Bad)) => {
                items.into_iter().for_each(|item| self.merge(item, entries, seen));
            }
            Kind::Bad => {}
            _ => {
                let help = "write an anchor of a map, as in `<<: *name`";
                self.report(
                    value.span,
                    "`<<` takes over the keys of a map, and this is none".into(),
                    Some(help.into()),
                );
            }
        }
    }

    /// `None`, and perhaps that the whole map `is_bad`, when it was reported.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize, is_bad: &mut bool) -> Result<Option<MapKey>, Stop> {
        if let Event::Scalar(text, _, anchor, _) = &event {
            if *anchor != 0 {
                self.report(span, "a key cannot have an anchor".into(), None);
            }
            return Ok(Some(MapKey { text: text.to_string(), span }));
        }
        self.node(event, span, depth + 1)?;
        if self.refuse_unquoted(span) {
            // It is no map that was meant.
            *is_bad = true;
        } else {
            self.report(span, "a key must be plain text".into(), None);
        }
        Ok(None)
    }

    fn report(&mut self, span: Span, message: String, help: Option<String>) {
        let mut problem = Problem::new(Severity::Error, span, message);
        problem.help = help;
        self.problems.push(problem);
    }
}

fn stop(span: Span, message: &str, help: Option<&str>) -> Stop {
    let mut problem = Problem::new(Severity::Error, span, message);
    problem.help = help.map(str::to_owned);
    Stop(problem)
}

fn plain(text: String) -> Kind {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true, text),
        "false" | "False" | "FALSE" => Kind::Bool(false, text),
        t if is_number(t) => Kind::Number(text),
        _ => Kind::String(text),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests;
