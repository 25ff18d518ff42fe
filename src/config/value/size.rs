//! Numbers of bytes: `512B`, `8KiB`, `100MiB`, `1GiB`.

use std::ops::RangeInclusive;

use crate::config::section::{Form, Quantity, Reader, Scalar, Shape, Syntax};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

pub const SIZE: Scalar<usize> = Scalar {
    what: "a size such as `8KiB`",
    // Each key has bounds, of which its pattern is made.
    syntax: Syntax { kind: "size", numbers: false, pattern: None, examples: &["8KiB", "64KiB"] },
    parse,
    print: |bytes| Yaml::word(print(*bytes)),
};

/// A size within bounds, in bytes.
pub fn sizes(range: RangeInclusive<usize>) -> impl Form<usize> {
    Sizes(range)
}

struct Sizes(RangeInclusive<usize>);

impl Form<usize> for Sizes {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<usize> {
        let bytes = SIZE.read(reader, node)?;
        if self.0.contains(&bytes) {
            return Some(bytes);
        }
        let what = format!("a size from {} to {}", print(*self.0.start()), print(*self.0.end()));
        reader.expected(node, &[&what]);
        None
    }

    fn shape(&self) -> Shape {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        Shape::Quantity(Quantity {
            kind: SIZE.syntax.kind,
            units: &UNITS,
            least: bytes(*self.0.start()),
            most: Some(bytes(*self.0.end())),
            examples: SIZE.syntax.examples,
        })
    }

    fn print(&self, value: &usize) -> Yaml {
        SIZE.print(value)
    }
}

pub(super) fn parse(text: &str) -> Parsed<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let Ok(number) = digits.parse::<u64>() else {
        return Err(Invalid::unexpected("a whole number and `B`, `KiB`, `MiB` or `GiB`".to_owned()));
    };
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let near = UNITS.iter().find(|(name, _)| unit.get(..1).is_some_and(|u| name.starts_with(&u.to_uppercase())));
        return Err(Invalid::unexpected(match near {
            Some((name, _)) => format!("did you mean `{number}{name}`?"),
            None => "the units are `B`, `KiB`, `MiB` and `GiB`".to_owned(),
        }));
    };
    let bytes = number.checked_mul(*factor).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| Invalid::new("larger than this machine can count"))
}

pub(super) fn print(bytes: usize) -> String {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let whole = UNITS.iter().rev().find(|(_, factor)| bytes > 0 && bytes % factor == 0);
    whole.map_or_else(|| format!("{bytes}B"), |(name, factor)| format!("{}{name}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_as_they_are_read() {
        for text in ["0B", "1B", "1023B", "8KiB", "3MiB", "1GiB"] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
        assert_eq!(print(parse("1024KiB").unwrap()), "1MiB");
        let help = |text| parse(text).unwrap_err().help.unwrap();
        assert_eq!(help("8k"), "did you mean `8KiB`?");
        assert_eq!(help("8 MB"), "the units are `B`, `KiB`, `MiB` and `GiB`");
        for bad in ["", "8", "KiB", "-1B", "+1B", "1.5KiB", "99999999999999999999GiB", "20000000000GiB"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
