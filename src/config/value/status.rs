//! Statuses, ranges and classes of them.

use std::ops::RangeInclusive;

use http::StatusCode;

use crate::config::section::{Form, Reader, Scalar, Shape, Syntax, list};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

/// A list of error statuses.
pub fn statuses() -> impl Form<Vec<StatusCode>> {
    list("statuses such as `503`", ErrorStatus)
}

/// One of 400 to 599, as a number.
struct ErrorStatus;

impl Form<StatusCode> for ErrorStatus {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<StatusCode> {
        let code = crate::config::section::number(400..=599_u16).read(reader, node)?;
        StatusCode::from_u16(code).ok()
    }

    fn shape(&self) -> Shape {
        Shape::Integer { least: 400, most: 599 }
    }

    fn print(&self, value: &StatusCode) -> Yaml {
        Yaml::word(value.as_u16())
    }
}

/// A status within bounds.
pub fn status_in(range: RangeInclusive<u16>) -> impl Form<StatusCode> {
    StatusIn(range)
}

struct StatusIn(RangeInclusive<u16>);

impl Form<StatusCode> for StatusIn {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<StatusCode> {
        let status = node.text().and_then(|text| parse(text).ok());
        let status = status.filter(|status| self.0.contains(&status.as_u16()));
        if status.is_none() {
            reader.expected(node, &[&format!("a status from {} to {}", self.0.start(), self.0.end())]);
        }
        status
    }

    fn shape(&self) -> Shape {
        Shape::Integer { least: i64::from(*self.0.start()), most: i64::from(*self.0.end()) }
    }

    fn print(&self, value: &StatusCode) -> Yaml {
        Yaml::word(value.as_u16())
    }
}

/// `200`, or `200-399`.
pub const STATUS_RANGE: Scalar<(u16, u16)> = Scalar {
    what: "a status, or from-to such as `200-399`",
    syntax: Syntax {
        kind: "status or range",
        numbers: true,
        pattern: Some("^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"),
        examples: &["200", "200-399"],
    },
    parse: range,
    print: |(from, to)| Yaml::text(if from == to { from.to_string() } else { format!("{from}-{to}") }),
};

fn range(text: &str) -> Parsed<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (parse(from)?.as_u16(), parse(to)?.as_u16());
    if from > to {
        return Err(Invalid::with_help(format!("`{text}` holds no status"), format!("write `{to}-{from}`")));
    }
    Ok((from, to))
}

/// Three digits, as a status is written everywhere.
fn parse(text: &str) -> Parsed<StatusCode> {
    let wrong = || Invalid::new(format!("`{text}` is not a status from 100 to 599"));
    if text.len() != 3 {
        return Err(wrong());
    }
    let code = StatusCode::from_bytes(text.as_bytes()).map_err(|_| wrong())?;
    if code.as_u16() > 599 { Err(wrong()) } else { Ok(code) }
}

/// A status, or all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusSet {
    One(StatusCode),
    /// 4 is `4xx`, 5 is `5xx`.
    Class(u8),
}

pub const ERROR_STATUSES: Scalar<StatusSet> = Scalar {
    what: "an error status, or `4xx` or `5xx`",
    syntax: Syntax { kind: "status", numbers: true, pattern: Some("^[45]([0-9]{2}|xx)$"), examples: &["502", "5xx"] },
    parse: set,
    print: |set| match set {
        StatusSet::One(status) => Yaml::text(status.as_str()),
        StatusSet::Class(class) => Yaml::text(format!("{class}xx")),
    },
};

fn set(text: &str) -> Parsed<StatusSet> {
    match text {
        "4xx" => return Ok(StatusSet::Class(4)),
        "5xx" => return Ok(StatusSet::Class(5)),
        _ => {}
    }
    match parse(text) {
        Ok(status) if status.as_u16() >= 400 => Ok(StatusSet::One(status)),
        Ok(_) | Err(_) => {
            let message = format!("`{text}` is not an error status");
            Err(Invalid::with_help(message, "`400` to `599`, `4xx` or `5xx`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_statuses() {
        for text in ["200", "200-399"] {
            let printed = (STATUS_RANGE.print)(&range(text).unwrap());
            assert!(matches!(printed, Yaml::Text(printed) if printed == text));
        }
        for bad in ["399-200", "2xx", "200-", "-", "200-999"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
