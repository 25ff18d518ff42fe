//! A message of the error log as a line: for people, or as a JSON object.

use std::fmt::Arguments;
use std::io::Write as _;
use std::time::SystemTime;

use log::Level;

use crate::message::escaping::printable;
use crate::telemetry::json;
use crate::telemetry::time::push_timestamp;

/// The bytes of a message, and the characters of one of its lines in a log for people.
const LONGEST: usize = 64 * 1024;
const LONGEST_LINE: usize = 4096;

#[derive(Clone, Copy, Debug)]
pub enum Style {
    Text { colour: bool },
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line<'m> {
    pub level: Level,
    /// What it is about, in a word.
    pub target: &'m str,
    pub message: &'m str,
    /// What was held back and is told with it.
    pub more: Option<More>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum More {
    /// The same message came so often again.
    Repeated(u64),
    /// So many others came that say the same of something else.
    Similar(u64),
}

/// What is said, with a bound.
pub fn message(arguments: &Arguments<'_>) -> String {
    let mut text = arguments.to_string();
    if text.len() > LONGEST {
        text.truncate((0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
        text.push('…');
    }
    text
}

impl Style {
    /// Appends the line with its newline.
    pub fn push(self, out: &mut Vec<u8>, at: SystemTime, line: &Line<'_>) {
        match self {
            Self::Text { colour } => push_text(out, at, line, colour),
            Self::Json => push_json(out, at, line),
        }
        out.push(b'\n');
    }
}

fn push_text(out: &mut Vec<u8>, at: SystemTime, line: &Line<'_>, colour: bool) {
    let (on, off) = if colour { (colour_of(line.level), "\x1b[0m") } else { ("", "") };
    out.push(b'[');
    push_timestamp(out, at);
    // Writing to a Vec cannot fail.
    write!(out, " {on}{:<5}{off} {}] {}", line.level, line.target, on_lines(line.message)).unwrap_or_default();
    match line.more {
        Some(More::Repeated(count)) => write!(out, " (repeated {count} times)"),
        Some(More::Similar(count)) => write!(out, " (and {count} like it)"),
        None => Ok(()),
    }
    .unwrap_or_default();
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => "\x1b[36m",
    }
}

fn push_json(out: &mut Vec<u8>, at: SystemTime, line: &Line<'_>) {
    let level = match line.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    out.extend_from_slice(b"{\"ts\":\"");
    push_timestamp(out, at);
    write!(out, "\",\"level\":\"{level}\",\"target\":\"").unwrap_or_default();
    json::escape(out, line.target);
    out.extend_from_slice(b"\",\"message\":\"");
    json::escape(out, line.message);
    out.push(b'"');
    match line.more {
        Some(More::Repeated(count)) => json::number(out, ",\"repeated\":", count),
        Some(More::Similar(count)) => json::number(out, ",\"similar\":", count),
        None => {}
    }
    out.push(b'}');
}

/// A message as the log holds it: what an upstream or a client put into it moves no cursor,
/// begins no line of its own and makes none longer than a bound. The lines behind the first
/// one are indented.
fn on_lines(message: &str) -> String {
    let mut out = String::with_capacity(message.len() + 16);
    for (number, line) in printable(message).split('\n').enumerate() {
        if number > 0 {
            out.push_str("\n    ");
        }
        match line.char_indices().nth(LONGEST_LINE) {
            Some((end, _)) => {
                out.push_str(line.get(..end).unwrap_or(line));
                out.push('…');
            }
            None => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(style: Style, line: Line<'_>) -> String {
        let mut out = Vec::new();
        style.push(&mut out, SystemTime::UNIX_EPOCH, &line);
        String::from_utf8(out).unwrap()
    }

    const LINE: Line<'static> =
        Line { level: Level::Warn, target: "upstream", message: "it \"broke\"\n\u{1b}[1m", more: None };

    #[test]
    fn a_message_is_a_line_for_people_or_an_object() {
        let text = Style::Text { colour: false };
        let head = "[1970-01-01T00:00:00.000Z WARN  upstream] it \"broke\"\n    \\u{1b}[1m";
        assert_eq!(pushed(text, LINE), format!("{head}\n"));
        let more = |more| Line { more: Some(more), ..LINE };
        assert_eq!(pushed(text, more(More::Repeated(412))), format!("{head} (repeated 412 times)\n"));
        assert_eq!(pushed(text, more(More::Similar(3))), format!("{head} (and 3 like it)\n"));
        let json = pushed(Style::Json, more(More::Repeated(412)));
        assert_eq!(json.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["level"], &value["target"]), (&"warn".into(), &"upstream".into()));
        assert_eq!((&value["message"], &value["repeated"]), (&LINE.message.into(), &412.into()));
        assert_eq!(value["ts"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_message_begins_no_line_of_its_own_and_has_a_bound() {
        assert_eq!(
            on_lines("refused: \u{1b}[1m\n[now ERROR x] forged"),
            "refused: \\u{1b}[1m\n    [now ERROR x] forged"
        );
        let long = on_lines(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (4097, true));
        let long = "é".repeat(100_000);
        assert_eq!(message(&format_args!("{long}")).len(), LONGEST + 3);
    }
}
