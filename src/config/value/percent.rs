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

/// A share of many things, which may be small: parts of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u32);

impl Share {
    pub const ALL: Self = Self(1_000_000);
}

/// 0 to 100, with up to four digits behind the point.
pub const SHARE: Scalar<Share> = Scalar {
    what: "a percentage such as `0.5%`",
    syntax: Syntax {
        kind: "share",
        numbers: false,
        pattern: Some("^0*([0-9][0-9]?([.][0-9]{1,4})?|100([.]0{1,4})?)%$"),
        examples: &["100%", "1%", "0.05%"],
    },
    parse: share,
    print: |share| Yaml::text(print(*share)),
};

const PARTS_OF_ONE: u32 = 10_000;

fn share(text: &str) -> Parsed<Share> {
    let Some(number) = text.strip_suffix('%') else { return Err(Invalid::unexpected(meant(text))) };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
        return Err(Invalid::unexpected(None));
    }
    let parts = format!("{fraction:0<4}").parse::<u32>().ok();
    let share = whole.parse::<u32>().ok().filter(|whole| *whole <= 100).zip(parts);
    match share.map(|(whole, parts)| whole * PARTS_OF_ONE + parts) {
        Some(parts) if parts <= Share::ALL.0 => Ok(Share(parts)),
        Some(_) | None => Err(Invalid::new("it goes from 0% to 100%")),
    }
}

fn print(Share(parts): Share) -> String {
    let (whole, fraction) = (parts / PARTS_OF_ONE, parts % PARTS_OF_ONE);
    if fraction == 0 {
        return format!("{whole}%");
    }
    format!("{whole}.{}%", format!("{fraction:04}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_may_be_small() {
        for (text, parts) in [("0%", 0), ("0.0001%", 1), ("0.5%", 5_000), ("20%", 200_000), ("100%", 1_000_000)] {
            assert_eq!((share(text), print(Share(parts)).as_str()), (Ok(Share(parts)), text));
        }
        assert_eq!(share("1.50%"), Ok(Share(15_000)));
        for bad in ["", "%", "1", ".5%", "1.%", "100.1%", "101%", "-1%", "0.00001%", "1e1%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

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
