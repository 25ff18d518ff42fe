//! Lengths of time: `500ms`, `10s`, `5m`, `1h`.

use std::time::Duration;

use crate::config::section::{Form, Quantity, Reader, Scalar, Shape, Syntax, Value};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// A year, in milliseconds.
const LONGEST: u64 = 365 * 24 * 3_600_000;

/// Above zero, at most a year.
pub const DURATION: Scalar<Duration> = Scalar {
    what: "a duration such as `10s`",
    syntax: Syntax {
        kind: "duration",
        numbers: false,
        pattern: Some("^0*[1-9][0-9]*(ms|s|m|h)$"),
        examples: &["500ms", "10s", "5m", "1h"],
    },
    parse,
    print: |value| Yaml::word(print(*value)),
};

/// At most a year, or none at all.
pub const DURATION_OR_ZERO: Scalar<Duration> = Scalar {
    syntax: Syntax { pattern: Some("^([0-9]+(ms|s|m|h)|0+)$"), examples: &["0s", "30s"], ..DURATION.syntax },
    parse: parse_or_zero,
    ..DURATION
};

impl Value for Duration {
    fn form() -> impl Form<Self> {
        DURATION
    }
}

/// A duration of at least this long; else the message.
pub fn at_least(least: Duration, message: &'static str) -> impl Form<Duration> {
    AtLeast { least, message }
}

struct AtLeast {
    least: Duration,
    message: &'static str,
}

impl Form<Duration> for AtLeast {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
        let value = DURATION.read(reader, node)?;
        if value < self.least {
            reader.error(node.span, self.message);
            return None;
        }
        Some(value)
    }

    /// Without the year, for editors show the pattern to people.
    fn shape(&self) -> Shape {
        Shape::Quantity(Quantity {
            kind: DURATION.syntax.kind,
            units: &UNITS,
            least: u64::try_from(self.least.as_millis()).unwrap_or(LONGEST),
            most: None,
            examples: &["10s", "5m", "1h"],
        })
    }

    fn print(&self, value: &Duration) -> Yaml {
        DURATION.print(value)
    }
}

fn parse(text: &str) -> Parsed<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let Ok(number) = digits.parse::<u64>() else {
        return Err(Invalid::unexpected("a whole number and `ms`, `s`, `m` or `h`".to_owned()));
    };
    if unit.is_empty() {
        return Err(Invalid::unexpected(format!("a unit is missing: `{number}s`?")));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let help = match sum(text) {
            Some(sum) => format!("write `{}`", print(sum)),
            None => "the units are `ms`, `s`, `m` and `h`".to_owned(),
        };
        return Err(Invalid::unexpected(help));
    };
    match number.checked_mul(*factor) {
        Some(0) => Err(Invalid::new("a duration must be above zero")),
        Some(ms) if ms <= LONGEST => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err(Invalid::new("longer than a year (`8760h`)")),
    }
}

/// What others write: `1m30s`, `1d`, `10 sec`.
fn sum(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text.trim(), 0_u64);
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let behind = behind.trim_start();
        let (unit, behind) = behind.split_at(behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len()));
        let factor = match unit {
            "ms" | "msec" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 24 * 3_600_000,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = behind.trim_start();
    }
    (1..=LONGEST).contains(&total).then(|| Duration::from_millis(total))
}

fn parse_or_zero(text: &str) -> Parsed<Duration> {
    match text.trim_start_matches('0') {
        "" if !text.is_empty() => Ok(Duration::ZERO),
        "ms" | "s" | "m" | "h" if text.starts_with('0') => Ok(Duration::ZERO),
        _ => parse(text),
    }
}

fn print(value: Duration) -> String {
    let ms = u64::try_from(value.as_millis()).unwrap_or(LONGEST);
    if ms == 0 {
        return "0s".to_owned();
    }
    let whole = UNITS.iter().rev().find(|(_, factor)| ms % factor == 0);
    whole.map_or_else(|| format!("{ms}ms"), |(name, factor)| format!("{}{name}", ms / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_they_are_read() {
        for text in ["1ms", "1500ms", "10s", "90s", "5m", "1h", "8760h"] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
        assert_eq!(print(parse("60s").unwrap()), "1m");
        for bad in ["", "10", "s", "1.5s", "-1s", "+1s", "1d", "0s", "8761h", "99999999999999999999h", "1 s", "1S"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for (text, help) in [
            ("1m30s", "write `90s`"),
            ("1d", "write `24h`"),
            ("10 sec", "write `10s`"),
            ("1 s", "write `1s`"),
            ("1x", "the units are `ms`, `s`, `m` and `h`"),
            ("999999999d", "the units are `ms`, `s`, `m` and `h`"),
        ] {
            assert_eq!(parse(text).unwrap_err().help.as_deref(), Some(help), "{text}");
        }
        for zero in ["0", "0s", "000ms"] {
            assert_eq!(parse_or_zero(zero), Ok(Duration::ZERO), "{zero}");
        }
        assert!(parse_or_zero("").is_err() && parse_or_zero("s").is_err());
    }
}
