//! What is wrong with a configuration, where, and how it is shown to a person.
//! Must not know YAML or any key's meaning.

use std::fmt;

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub line: usize,
    pub column: usize,
    pub len: usize,
    pub message: String,
    pub help: Option<String>,
    /// The line of the file it points at, so that it can be shown without the file.
    pub source_line: String,
}

impl Problem {
    pub fn new(severity: Severity, span: Span, message: impl Into<String>) -> Problem {
        Problem {
            severity,
            line: span.line,
            column: span.column,
            len: span.len,
            message: message.into(),
            help: None,
            source_line: String::new(),
        }
    }

    /// One problem as the command line prints it, with its final newline.
    pub fn render(&self, file_name: &str) -> String {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message = printable(&self.message);
        if self.line == 0 {
            let help = self.help.as_deref().map_or(String::new(), |h| format!("   = {}\n", printable(h)));
            return format!("{kind}: {message}\n  --> {file_name}\n{help}");
        }
        let (shown, at) = window(&self.source_line, self.column, self.len);
        let number = self.line.to_string();
        let pad = " ".repeat(number.len());
        let space = " ".repeat(at);
        let room = shown.chars().count().saturating_sub(at).max(1);
        let carets = "^".repeat(self.len.clamp(1, room));
        let help = self.help.as_deref().map_or(String::new(), |h| format!(" {}", printable(h)));
        format!(
            "{kind}: {message}\n{pad}--> {file_name}:{}:{}\n{pad} |\n{number} | {shown}\n{pad} | {space}{carets}{help}\n",
            self.line, self.column
        )
    }
}

/// The part of a line to show, and where in it the problem starts.
fn window(line: &str, column: usize, len: usize) -> (String, usize) {
    const WIDTH: usize = 140;
    const BEFORE: usize = 40;
    let line = printable(line);
    let start = column.saturating_sub(1);
    if start.saturating_add(len.min(WIDTH / 2)) <= WIDTH {
        let mut shown: String = line.chars().take(WIDTH).collect();
        if line.chars().count() > WIDTH {
            shown.push('…');
        }
        return (shown, start);
    }
    let skip = start.saturating_sub(BEFORE);
    let mut shown = String::from("…");
    shown.extend(line.chars().skip(skip).take(WIDTH));
    (shown, start - skip + 1)
}

// A file may hold bytes that would move the cursor or colour the terminal.
fn printable(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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
        let mut all: Vec<&Problem> = self.problems.iter().chain(&self.warnings).collect();
        all.sort_by_key(|p| (p.line, p.column));
        let mut out: String = all.iter().map(|p| p.render(&self.file_name)).collect();
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
        p.source_line = line.into();
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
    fn carets_stay_on_the_line() {
        let p = problem(Span { line: 1, column: 3, len: 90 }, "a: b");
        assert!(p.render("f").contains("  |   ^^ did"), "{}", p.render("f"));
    }
}
