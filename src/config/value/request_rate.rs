//! Requests in a time: `100/s`, `60/m`, `1000/h`.

use std::time::Duration;

use crate::config::section::{Scalar, Syntax, Value};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// At least one request, and at most [`RequestRate::MOST`] a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    pub count: u32,
    pub per: Duration,
}

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl RequestRate {
    /// The most that a unit may have: the clock counts in nanoseconds.
    const MOST: u32 = 1_000_000;
}

impl std::fmt::Display for RequestRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.per.as_secs()).map_or("", |(unit, _)| unit);
        write!(f, "{}/{unit}", self.count)
    }
}

impl Value for RequestRate {
    fn form() -> impl crate::config::section::Form<Self> {
        REQUEST_RATE
    }
}

const REQUEST_RATE: Scalar<RequestRate> = Scalar {
    what: "a rate such as `100/s`",
    syntax: Syntax {
        kind: "requests in a time",
        numbers: false,
        pattern: Some("^0*([1-9][0-9]{0,5}|1000000)/[smh]$"),
        examples: &["100/s", "60/m", "1000/h"],
    },
    parse,
    print: |rate| Yaml::word(rate),
};

fn parse(text: &str) -> Parsed<RequestRate> {
    let (count, unit) = text.split_once('/').unwrap_or((text, ""));
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Invalid::unexpected(None));
    }
    let Some((_, seconds)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        // nginx's words, and those that are natural to say.
        let meant = match unit {
            "sec" | "second" => "s",
            "min" | "minute" => "m",
            "hour" => "h",
            "" => return Err(Invalid::unexpected(format!("write `{count}/s`, `{count}/m` or `{count}/h`"))),
            _ => return Err(Invalid::unexpected("the time is `s`, `m` or `h`".to_owned())),
        };
        return Err(Invalid::unexpected(format!("write `{count}/{meant}`")));
    };
    match count.parse::<u32>() {
        Ok(0) => Err(Invalid::with_help("a rate of zero lets nobody in", "for that write `respond: { status: 403 }`")),
        Ok(count) if count <= RequestRate::MOST => Ok(RequestRate { count, per: Duration::from_secs(*seconds) }),
        Ok(_) | Err(_) => Err(Invalid::new(format!("a rate is at most {}", RequestRate::MOST))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_printed_as_they_are_read() {
        for text in ["1/s", "100/s", "60/m", "1000/h", "1000000/s"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("60/m").unwrap().per, Duration::from_secs(60));
        assert_eq!(parse("5/min").unwrap_err().help.unwrap(), "write `5/m`");
        assert_eq!(parse("5").unwrap_err().help.unwrap(), "write `5/s`, `5/m` or `5/h`");
        for bad in ["", "/s", "0/s", "-1/s", "1.5/s", "1000001/s", "5/d", "5 /s", "s", "99999999999/s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
