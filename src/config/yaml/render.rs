//! How a problem is shown to a person: its line of the file, the place in it, and what to
//! write instead; at a terminal in colour and in its width.

use std::borrow::Cow;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use super::problem::{Problem, Severity, Shown};
use super::secrets::hidden;
use crate::message::escaping::is_dangerous;

/// What problems are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether it shows colours by ANSI escapes.
    pub colour: bool,
    /// How many columns a terminal has; `None` where lines may be as long as they are.
    pub width: Option<usize>,
}

impl Look {
    /// Of a file, a pipe or a log.
    pub const PLAIN: Look = Look { colour: false, width: None };

    fn renderer(self) -> Renderer {
        let renderer = if self.colour { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(self.columns())
    }

    /// Columns that an excerpt may take.
    fn columns(self) -> usize {
        const LEAST: usize = 40;
        const MOST: usize = 160;
        self.width.map_or(MOST, |width| width.clamp(LEAST, MOST))
    }

    /// The text in lines that end at the terminal's edge, where the renderer puts
    /// `before` columns in front of each.
    fn wrap(self, text: String, before: usize) -> String {
        match self.width {
            None => text,
            Some(_) => wrap(&text, self.columns().saturating_sub(before)),
        }
    }
}

/// Breaks a text between words.
fn wrap(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// Nobody reads more problems than this; the rest is only counted.
pub const MOST_SHOWN: usize = 1_000;

impl Problem {
    /// One problem as the command line prints it, with its final newline.
    pub fn render(&self, file_name: &str, look: Look) -> String {
        let (kind, level) = match self.severity {
            Severity::Error => ("error", Level::ERROR),
            Severity::Warning => ("warning", Level::WARNING),
        };
        let file_name = on_one_line(file_name);
        let file_name = file_name.as_str();
        let message = look.wrap(on_one_line(&self.message), kind.len() + 2);
        let help = self.help.as_deref().map(on_one_line);
        let title = level.primary_title(message.as_str());
        if self.line == 0 {
            let help =
                help.map_or(String::new(), |help| format!("   = {}\n", look.wrap(help, 5).replace('\n', "\n     ")));
            let title = look.renderer().render(&[annotate_snippets::Group::with_title(title)]);
            return format!("{title}\n  --> {file_name}\n{help}");
        }
        let origin = Origin::path(file_name).line(self.line).char_column(self.column);
        let Some(shown) = &self.shown else { return look.renderer().render(&[title.element(origin)]) + "\n" };
        let margin = self.line.to_string().len() + 3;
        let beside = help.as_deref().filter(|help| shown.has_room(self, help, margin, look));
        let snippet = shown.snippet(self, beside);
        let report = if shown.cut == 0 {
            title.element(snippet.path(file_name))
        } else {
            // The renderer would count the column from where the line is cut.
            title.element(origin).element(snippet)
        };
        let below = help.as_deref().filter(|_| beside.is_none());
        let below = below.map(|help| look.wrap(help.to_owned(), margin + "help: ".len()));
        let report = match &below {
            Some(help) => report.element(Level::HELP.message(help.as_str())),
            None => report,
        };
        look.renderer().render(&[report]) + "\n"
    }
}

impl Shown {
    /// Whether the help fits behind the carets; a file has room for all.
    fn has_room(&self, problem: &Problem, help: &str, margin: usize, look: Look) -> bool {
        let carets = problem.len.max(1) + 1;
        let needed = margin + problem.column.saturating_sub(1) + carets + help.chars().count();
        look.width.is_none() || self.cut == 0 && needed <= look.columns()
    }

    fn snippet<'s>(&'s self, problem: &Problem, label: Option<&'s str>) -> Snippet<'s, Annotation<'s>> {
        let start = problem.column.saturating_sub(1).saturating_sub(self.cut);
        let byte_of = |place: usize| self.text.char_indices().nth(place).map_or(self.text.len(), |(byte, _)| byte);
        let place = byte_of(start)..byte_of(start.saturating_add(problem.len.max(1)));
        let here = AnnotationKind::Primary.span(place).label(label);
        Snippet::source(self.text.as_str()).line_start(problem.line).annotation(here)
    }
}

/// Gives the problems that are shown their part of the text. They stand in the text's
/// order, so that a line is walked once however many are on it, and no other line is.
pub fn excerpt(problems: &mut [Problem], text: &str) {
    if problems.is_empty() {
        return;
    }
    let lines: Vec<&str> = text.lines().collect();
    let (mut walked, mut present) = (Walked::default(), (0, Cow::Borrowed("")));
    for problem in problems.iter_mut().take(MOST_SHOWN) {
        let line = problem.line.checked_sub(1).and_then(|n| lines.get(n));
        problem.shown = line.map(|line| {
            if present.0 != problem.line {
                present = (problem.line, hidden(line.trim_end()));
            }
            walked.window(problem, &present.1)
        });
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
pub fn render<'p>(problems: impl IntoIterator<Item = &'p Problem>, file_name: &str, look: Look) -> String {
    let mut all: Vec<&Problem> = problems.into_iter().collect();
    all.sort_by_key(|p| (p.line, p.column));
    let mut out: String = all.iter().take(MOST_SHOWN).map(|p| p.render(file_name, look)).collect();
    if let Some(more) = all.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        out.push_str(&format!("… and {more} more\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::problem::Span;
    use super::super::rejected::Rejected;
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
            rejected.to_string(),
            "error: unknown key `upstrem`\n  --> conf/proxy.yaml:14:5\n   |\n14 |     upstrem: api\n   |     ^^^^^^^ did you mean `upstream`?\n1 error, 0 warnings"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let p = problem(Span { line: 1, column: 2, len: 1 }, "\ta\u{1b}[31m");
        assert!(p.render("f", Look::PLAIN).contains("1 |  a [31m\n"));
    }

    #[test]
    fn long_lines_are_cut_around_the_problem() {
        let line = format!("{}BAD{}", "x".repeat(500), "y".repeat(500));
        let p = problem(Span { line: 1, column: 501, len: 3 }, &line).render("f", Look::PLAIN);
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
        assert!(many.iter().take(MOST_SHOWN).all(|p| p.render("f", Look::PLAIN).contains(" | ...é") || p.column < 140));
        let rendered = render(&many, "f", Look::PLAIN);
        assert!(rendered.ends_with("\n… and 500 more\n"), "{}", rendered.len());
        assert!(rendered.len() < 1_000_000, "{}", rendered.len());
        assert!(many.last().unwrap().render("f", Look::PLAIN).ends_with("--> f:1:899401\n"));
    }

    #[test]
    fn carets_stand_under_wide_characters() {
        let p = problem(Span { line: 1, column: 5, len: 7 }, "日本: upstrem");
        // Two columns for each of the two.
        assert!(
            p.render("f", Look::PLAIN).contains("1 | 日本: upstrem\n  |       ^^^^^^^ did"),
            "{}",
            p.render("f", Look::PLAIN)
        );
    }

    #[test]
    fn carets_stay_on_the_line() {
        let p = problem(Span { line: 1, column: 3, len: 90 }, "a: b");
        assert!(p.render("f", Look::PLAIN).contains("  |   ^^ did"), "{}", p.render("f", Look::PLAIN));
    }

    fn far(message: &str, help: &str) -> Problem {
        let mut p = Problem::new(Severity::Error, Span { line: 3, column: 5, len: 4 }, message);
        p.help = Some(help.into());
        excerpt(std::slice::from_mut(&mut p), "\n\n    host: example.com # and much that follows it on the same line");
        p
    }

    #[test]
    fn a_terminal_has_its_width_kept() {
        let p = far("unknown key `host` in a route that has many others", "write `match: { host: example.com }` here");
        let look = Look { colour: false, width: Some(50) };
        let text = p.render("conf/proxy.yaml", look);
        assert!(text.lines().all(|line| line.chars().count() <= 50), "{text}");
        assert!(text.contains("error: unknown key `host` in a route that has many\n       others\n"), "{text}");
        assert!(text.contains("= help: write `match: { host: example.com }`\n"), "{text}");
        // Where it fits, it stands where it always does.
        let wide = p.render("f", Look { colour: false, width: Some(120) });
        assert_eq!(wide, p.render("f", Look::PLAIN));
        assert!(wide.contains("    ^^^^ write `match"), "{wide}");
    }

    #[test]
    fn the_file_as_a_whole_is_wrapped_too() {
        let mut p = Problem::new(Severity::Error, Span::default(), "the file is empty");
        p.help = Some("it needs at least `listeners` and `routes`, as conf/proxy.yaml has them".into());
        let text = p.render("f", Look { colour: false, width: Some(40) });
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.lines().nth(2), Some("   = it needs at least `listeners` and"), "{text}");
    }

    #[test]
    fn colours_add_nothing_but_escapes() {
        let p = far("unknown key `host`", "write `match: { host: example.com }`");
        let coloured = p.render("f", Look { colour: true, width: None });
        assert!(coloured.contains("\u{1b}[1m\u{1b}[91merror"), "{coloured:?}");
        let mut plain = String::new();
        for (number, piece) in coloured.split('\u{1b}').enumerate() {
            plain.push_str(if number == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, p.render("f", Look::PLAIN));
    }
}
