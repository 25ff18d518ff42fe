//! YAML text as a tree in which every value knows its place in the file.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Options, Parser, ScalarStyle};

use super::node::{Kind, MapKey, Node};
use super::problem::{Problem, Severity, Span};
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
        let help = if tab {
            Some("YAML is indented with spaces, not tabs")
        } else if line.contains("${") || line.contains(": {") && line.contains("{host}") {
            Some("a value with `{` or `: ` in it needs quotes")
        } else {
            None
        };
        stop(span, &format!("this is not valid YAML: {}", e.info().replace('\n', " ")), help)
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        self.grow(1, span)?;
        if depth > 2 * MAX_DEPTH {
            return Err(stop(span, "nested too deeply", None));
        }
        let (kind, anchor) = match event {
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
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.key(event, span, depth)?;
            let Some((event, value_span)) = self.next()? else { break };
            let value = self.node(event, value_span, depth + 1)?;
            let Some(key) = key else { continue };
            if let Some(line) = seen.get(&key.text) {
                let message = format!("duplicate key `{}`", key.text);
                self.report(key.span, message, Some(format!("the first one is on line {line}")));
                continue;
            }
            seen.insert(key.text.clone(), key.span.line);
            entries.push((key, value));
        }
        Ok(Kind::Map(entries))
    }

    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Option<MapKey>, Stop> {
        if let Event::Scalar(text, _, anchor, _) = &event {
            if *anchor != 0 {
                self.report(span, "a key cannot have an anchor".into(), None);
            }
            return Ok(Some(MapKey { text: text.to_string(), span }));
        }
        self.node(event, span, depth + 1)?;
        self.report(span, "a key must be plain text".into(), None);
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
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<Problem>) {
        parse(text, &|name| (name == "N").then(|| "8".to_owned()))
    }

    fn first(text: &str) -> Problem {
        read(text).1.into_iter().next().unwrap()
    }

    #[test]
    fn places_count_characters_from_one() {
        let (node, problems) = read("é: { ü: x, bad: [1, \"zwei\"] }\n");
        assert!(problems.is_empty());
        let Some(Node { kind: Kind::Map(m), .. }) = node else { panic!() };
        let Kind::Map(inner) = &m[0].1.kind else { panic!() };
        assert_eq!(inner[1].0.span, Span { line: 1, column: 12, len: 3 });
        let Kind::Seq(s) = &inner[1].1.kind else { panic!() };
        assert_eq!(s[1].span, Span { line: 1, column: 21, len: 6 });
    }

    #[test]
    fn scalars_keep_their_text() {
        let (node, _) = read("[0308, true, null, \"1\", ${N}, 1e3, \"${N}\"]".replace("[0308", "- 0308\n- ").as_str());
        assert!(node.is_none());
        let (node, _) = read("- 0308\n- True\n- null\n- \"1\"\n- ${N}\n- \"${N}\"\n- off\n- 10s\n");
        let Some(Node { kind: Kind::Seq(s), .. }) = node else { panic!() };
        assert!(matches!(&s[0].kind, Kind::Number(t) if t == "0308"));
        assert!(matches!(&s[1].kind, Kind::Bool(true, t) if t == "True"));
        assert!(s[2].is_null());
        assert!(matches!(&s[3].kind, Kind::String(t) if t == "1"));
        assert!(matches!(&s[4].kind, Kind::Number(t) if t == "8"));
        assert!(matches!(&s[5].kind, Kind::Number(t) if t == "8"));
        assert!(matches!(&s[6].kind, Kind::String(t) if t == "off"));
        assert!(matches!(&s[7].kind, Kind::String(t) if t == "10s"));
    }

    #[test]
    fn a_variable_is_typed_by_its_value_quoted_or_not() {
        let (node, _) =
            read("[\"${N}\", '${W:-2}', \"${T:-false}\", \"${N}8\", \"${E:-}\", \"$${N}\", \"${U:-null}\"]");
        let Some(Node { kind: Kind::Seq(s), .. }) = node else { panic!() };
        assert!(matches!(&s[0].kind, Kind::Number(t) if t == "8"));
        assert!(matches!(&s[1].kind, Kind::Number(t) if t == "2"));
        assert!(matches!(&s[2].kind, Kind::Bool(false, _)));
        assert!(matches!(&s[3].kind, Kind::String(t) if t == "88"));
        assert!(matches!(&s[4].kind, Kind::String(t) if t.is_empty()));
        assert!(matches!(&s[5].kind, Kind::String(t) if t == "${N}"));
        assert!(s[6].is_null());
    }

    #[test]
    fn duplicate_keys_are_problems() {
        let p = first("a: 1\nb: 2\na: 3\n");
        assert_eq!((p.line, p.column), (3, 1));
        assert_eq!(p.help.as_deref(), Some("the first one is on line 1"));
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        let p = first("a: 1\nb: [1, 2\nc: 3\n");
        assert!(p.line >= 2, "{p:?}");
        assert!(p.message.starts_with("this is not valid YAML"), "{p:?}");
        assert_eq!(first("a:\n\tb: 1\n").help.as_deref(), Some("YAML is indented with spaces, not tabs"));
    }

    #[test]
    fn aliases_are_copies_and_cannot_explode() {
        assert!(read("a: &x [1]\nb: *x\n").1.is_empty());
        assert!(!read("a: &x [*x]\n").1.is_empty());
        let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
        for i in 1..12 {
            let item = format!("*a{}", i - 1);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![item; 10].join(",")));
        }
        assert!(first(&bomb).message.contains("more than"));
        let long = format!("a: &x \"{}\"\nb: [{}]\n", "y".repeat(2 << 20), vec!["*x"; 150_000].join(","));
        assert_eq!(first(&long).message, "aliases stand for more than 64 MiB in this file");
        let open: String = (0..30).map(|n| format!("&a{n} [")).collect();
        let nested = format!("{open}\"{}\"{}", "y".repeat(3 << 20), "]".repeat(30));
        assert!(first(&nested).message.contains("64 MiB"), "{:?}", first(&nested));
    }

    #[test]
    fn depth_and_documents_are_bounded() {
        assert!(!read(&"[".repeat(10_000)).1.is_empty());
        assert!(!read(&"- ".repeat(10_000)).1.is_empty());
        assert!(!read(&(0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>()).1.is_empty());
        assert!(first("a: 1\n---\nb: 1\n").message.contains("second document"));
        assert!(!read("a: !!str 1\n").1.is_empty());
    }

    #[test]
    fn nothing_at_all_is_no_tree() {
        assert!(read("").0.is_none());
        assert!(read("# only a comment\n").0.is_none());
    }
}
