//! Bytes per second: `1KiB/s`.

use std::num::NonZeroU64;

use super::size;
use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// Above zero.
pub const RATE: Scalar<NonZeroU64> = Scalar {
    what: "a rate such as `1KiB/s`",
    syntax: Syntax {
        kind: "rate",
        numbers: false,
        pattern: Some("^0*[1-9][0-9]*(B|KiB|MiB|GiB)/s$"),
        examples: &["1KiB/s", "512B/s"],
    },
    parse,
    print: |rate| Yaml::word(print(*rate)),
};

fn parse(text: &str) -> Parsed<NonZeroU64> {
    let Some(amount) = text.strip_suffix("/s") else {
        let help = size::parse(text).is_ok().then(|| format!("did you mean `{text}/s`?"));
        return Err(Invalid::unexpected(help));
    };
    let bytes = u64::try_from(size::parse(amount)?).unwrap_or(u64::MAX);
    NonZeroU64::new(bytes).ok_or_else(|| Invalid::new("a rate must be above zero"))
}

fn print(rate: NonZeroU64) -> String {
    format!("{}/s", size::print(usize::try_from(rate.get()).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_printed_as_they_are_read() {
        for (text, bytes) in [("1B/s", 1), ("512B/s", 512), ("1KiB/s", 1024), ("3MiB/s", 3 << 20)] {
            let rate = parse(text).unwrap();
            assert_eq!((rate.get(), print(rate)), (bytes, text.to_owned()));
        }
        assert_eq!(parse("8KiB").unwrap_err().help.unwrap(), "did you mean `8KiB/s`?");
        assert_eq!(parse("8k/s").unwrap_err().help.unwrap(), "did you mean `8KiB`?");
        for bad in ["", "8", "/s", "8/s", "0B/s", "-1B/s", "1KiB/m", "1.5KiB/s", "1KiB /s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
