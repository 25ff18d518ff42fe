//! What is wrong with a configuration, and where.

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
    /// Set by [`super::excerpt`], so that it can be shown without the file.
    pub(super) shown: Option<Shown>,
}

/// The part of a line around a problem, and how many characters are cut in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub text: String,
    pub cut: usize,
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
            shown: None,
        }
    }
}
