//! Shares of a hundred: `20%`.

use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// 1 to 100.
pub const PERCENT: Scalar<u8> = Scalar {
    what: "a percentage such as `20%`",
    syntax: Syntax { kind: "percentage", numbers: false, pattern: Some("^0*([1-9][0-9]?|100)%$"), examples: &["20%"] },
    parse,
    print: |value| Yaml::text(format!("{value}%")),
};

fn parse(text: &str) -> Parsed<u8> {
    let number = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|digits| digits.parse::<u8>().ok()) {
        Some(value) if (1..=100).contains(&value) => Ok(value),
        Some(_) => Err(Invalid::new("it goes from 1% to 100%")),
        None => Err(Invalid::unexpected(meant(text))),
    }
}

/// The percentage that a bare number or a fraction of one stands for.
fn meant(text: &str) -> Option<String> {
    let number = text.parse::<f64>().ok()?;
    let percent = if number < 1.0 { number * 100.0 } else { number };
    let is_whole = percent.fract() == 0.0 && (1.0..=100.0).contains(&percent);
    is_whole.then(|| format!("write `{percent}%`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_bounds() {
        assert_eq!(parse("20%"), Ok(20));
        for bad in ["20", "%", "+5%", "101%", "1.5%", "999%", "0%"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for (text, help) in [("20", Some("write `20%`")), ("0.5", Some("write `50%`")), ("120", None), ("-1", None)] {
            assert_eq!(parse(text).unwrap_err().help.as_deref(), help, "{text}");
        }
    }
}
