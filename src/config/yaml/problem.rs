//! What is wrong with a configuration, where, and how it is shown to a person.

use std::fmt;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::message::escaping::is_dangerous;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// A stretch of one line. Lines and columns count from 1, columns in characters.
/// Line 0 is "the file as a whole".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub line: usize,
    pub column: usize,
    pub len: usize,
}

/// Where a value of the configuration was written. All locations are equal: where a value
/// stands makes no difference to what it is, so that a reload that only moves lines
/// changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Location(pub Span);

impl PartialEq for Location {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Location {}

/// Why a value is not accepted, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// `None` where the value is simply not what is expected at its key.
    pub message: Option<String>,
    pub help: Option<String>,
}

impl Invalid {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), help: None }
    }

    pub fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: Some(message.into()), help: Some(help.into()) }
    }

    /// "expected …, found …", in the words of the key's form.
    pub fn unexpected(help: impl Into<Option<String>>) -> Self {
        Self { message: None, help: help.into() }
    }
}

/// A small language's text as its value.
pub type Parsed<T> = Result<T, Invalid>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub line: usize,
    pub column: usize,
    pub len: usize,
    pub message: String,
    pub help: Option<String>,
    /// Set by [`excerpt`], so that it can be shown without the file.
    shown: Option<Shown>,
}

/// The part of a line around a problem, and how many characters are cut in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    text: String,
    cut: usize,
}

/// Columns that an excerpt may take.
const TERMINAL: usize = 160;

/// Nobody reads more problems than this; the rest is only counted.
pub const MOST_SHOWN: usize = 1_000;

impl Problem {
    pub fn new(severity: Severity, span: Span, message: impl Into<String>) -> Problem {
        Problem {
            severity,
            line: span.line,
            column: span.column,
            len: span.len,
            message: message.into(),
            help: None,
            shown: None,
        }
    }

    /// One problem as the command line prints it, with its final newline.
    pub fn render(&self, file_name: &str) -> String {
        let (kind, level) = match self.severity {
            Severity::Error => ("error", Level::ERROR),
            Severity::Warning => ("warning", Level::WARNING),
        };
        let file_name = on_one_line(file_name);
        let file_name = file_name.as_str();
        let (message, help) = (on_one_line(&self.message), self.help.as_deref().map(on_one_line));
        if self.line == 0 {
            let help = help.map_or(String::new(), |help| format!("   = {help}\n"));
            return format!("{kind}: {message}\n  --> {file_name}\n{help}");
        }
        let title = level.primary_title(message.as_str());
        let origin = Origin::path(file_name).line(self.line).char_column(self.column);
        let report = match &self.shown {
            Some(shown) if shown.cut == 0 => title.element(shown.snippet(self, help.as_deref()).path(file_name)),
            // The renderer would count the column from where the line is cut.
            Some(shown) => title.element(origin).element(shown.snippet(self, help.as_deref())),
            None => title.element(origin),
        };
        Renderer::plain().term_width(TERMINAL).render(&[report]) + "\n"
    }
}

impl Shown {
    fn snippet<'s>(&'s self, problem: &Problem, label: Option<&'s str>) -> Snippet<'s, Annotation<'s>> {
        let start = problem.column.saturating_sub(1).saturating_sub(self.cut);
        let byte_of = |place: usize| self.text.char_indices().nth(place).map_or(self.text.len(), |(byte, _)| byte);
        let place = byte_of(start)..byte_of(start.saturating_add(problem.len.max(1)));
        let here = AnnotationKind::Primary.span(place).label(label);
        Snippet::source(self.text.as_str()).line_start(problem.line).annotation(here)
    }
}

/// Gives the problems that are shown their part of the text. They stand in the text's
/// order, so that a line is walked once however many are on it.
pub fn excerpt(problems: &mut [Problem], text: &str) {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut walked = Walked::default();
    for problem in problems.iter_mut().take(MOST_SHOWN) {
        let line = problem.line.checked_sub(1).and_then(|n| lines.get(n)).copied();
        problem.shown = line.map(|line| walked.window(problem, line));
    }
}

/// How far the present line was read.
#[derive(Default)]
struct Walked {
    line: usize,
    chars: usize,
    bytes: usize,
}

impl Walked {
    /// So much of the line that the renderer need not walk a line of a megabyte for each of
    /// its problems.
    fn window(&mut self, problem: &Problem, line: &str) -> Shown {
        const WIDTH: usize = 2_000;
        const BEFORE: usize = 200;
        let start = problem.column.saturating_sub(1);
        let fits = start.saturating_add(problem.len.min(WIDTH / 2)) <= WIDTH;
        let cut = if fits { 0 } else { start.saturating_sub(BEFORE) };
        let text = self.from(line, problem.line, cut).chars().take(WIDTH).map(visible).collect();
        Shown { text, cut }
    }

    /// The line without its first `skip` characters.
    fn from<'l>(&mut self, line: &'l str, number: usize, skip: usize) -> &'l str {
        if self.line != number || self.chars > skip {
            *self = Walked { line: number, chars: 0, bytes: 0 };
        }
        let rest = line.get(self.bytes..).unwrap_or("");
        let more = rest.char_indices().nth(skip - self.chars).map_or(rest.len(), |(at, _)| at);
        self.bytes += more;
        self.chars = skip;
        line.get(self.bytes..).unwrap_or("")
    }
}

// A file may hold bytes that would move the cursor or colour the terminal.
fn on_one_line(text: &str) -> String {
    text.trim_end().chars().map(visible).collect()
}

fn visible(c: char) -> char {
    if is_dangerous(c) { ' ' } else { c }
}

/// Problems in the file's order as the command line prints them, up to [`MOST_SHOWN`].
pub fn render<'p>(problems: impl IntoIterator<Item = &'p Problem>, file_name: &str) -> String {
    let mut all: Vec<&Problem> = problems.into_iter().collect();
    all.sort_by_key(|p| (p.line, p.column));
    let mut out: String = all.iter().take(MOST_SHOWN).map(|p| p.render(file_name)).collect();
    if let Some(more) = all.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        out.push_str(&format!("… and {more} more\n"));
    }
    out
}

/// A configuration that was not accepted, with everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// The file's name as it is to be shown.
    pub file_name: String,
}

impl Rejected {
    /// Every problem and warning in the file's order, then the count.
    pub fn render(&self) -> String {
        let mut out = render(self.problems.iter().chain(&self.warnings), &self.file_name);
        out.push_str(&format!(
            "{}, {}; nothing was changed\n",
            count(self.problems.len(), "error"),
            count(self.warnings.len(), "warning")
        ));
        out
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

impl std::error::Error for Rejected {}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(span: Span, line: &str) -> Problem {
        let mut p = Problem::new(Severity::Error, span, "unknown key `upstrem`");
        p.help = Some("did you mean `upstream`?".into());
        excerpt(std::slice::from_mut(&mut p), &format!("{}{line}", "\n".repeat(span.line - 1)));
        p
    }

    #[test]
    fn looks_as_the_contract_shows_it() {
        let p = problem(Span { line: 14, column: 5, len: 7 }, "    upstrem: api");
        let rejected = Rejected { problems: vec![p], warnings: vec![], file_name: "conf/proxy.yaml".into() };
        assert_eq!(
            rejected.render(),
            "error: unknown key `upstrem`\n  --> conf/proxy.yaml:14:5\n   |\n14 |     upstrem: api\n   |     ^^^^^^^ did you mean `upstream`?\n1 error, 0 warnings; nothing was changed\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let p = problem(Span { line: 1, column: 2, len: 1 }, "\ta\u{1b}[31m");
        assert!(p.render("f").contains("1 |  a [31m\n"));
    }

    #[test]
    fn long_lines_are_cut_around_the_problem() {
        let line = format!("{}BAD{}", "x".repeat(500), "y".repeat(500));
        let p = problem(Span { line: 1, column: 501, len: 3 }, &line).render("f");
        assert!(p.lines().all(|l| l.chars().count() < 200), "{p}");
        let lines: Vec<&str> = p.lines().collect();
        let bad = lines[3].chars().position(|c| c == 'B');
        assert_eq!(bad, lines[4].chars().position(|c| c == '^'));
    }

    #[test]
    fn many_problems_on_one_long_line_share_one_walk_over_it() {
        let line = "é".repeat(1_000_000);
        let mut many: Vec<Problem> = (0..1_500)
            .map(|n| Problem::new(Severity::Error, Span { line: 1, column: n * 600 + 1, len: 5 }, "x"))
            .collect();
        excerpt(&mut many, &line);
        assert!(many.iter().take(MOST_SHOWN).all(|p| p.render("f").contains(" | ...é") || p.column < 140));
        let rendered = render(&many, "f");
        assert!(rendered.ends_with("\n… and 500 more\n"), "{}", rendered.len());
        assert!(rendered.len() < 1_000_000, "{}", rendered.len());
        assert!(many.last().unwrap().render("f").ends_with("--> f:1:899401\n"));
    }

    #[test]
    fn carets_stand_under_wide_characters() {
        let p = problem(Span { line: 1, column: 5, len: 7 }, "日本: upstrem");
        // Two columns for each of the two.
        assert!(p.render("f").contains("1 | 日本: upstrem\n  |       ^^^^^^^ did"), "{}", p.render("f"));
    }

    #[test]
    fn carets_stay_on_the_line() {
        let p = problem(Span { line: 1, column: 3, len: 90 }, "a: b");
        assert!(p.render("f").contains("  |   ^^ did"), "{}", p.render("f"));
    }
}
