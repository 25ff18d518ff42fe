//! Patterns for the JSON Schema that are made of bounds.

use super::section::Quantity;

/// An ECMA 262 regular expression for each way to write a quantity within its bounds.
pub fn quantity(quantity: &Quantity) -> String {
    let of_unit = |(unit, factor): &(&str, u64)| {
        let numbers = whole_numbers(quantity.least.div_ceil(*factor), quantity.most.map(|most| most / factor));
        (!numbers.is_empty()).then(|| format!("({}){unit}", numbers.join("|")))
    };
    let units: Vec<String> = quantity.units.iter().filter_map(of_unit).collect();
    format!("^0*({})$", units.join("|"))
}

/// Alternatives for the whole numbers from `least`, without leading zeros; `None` has no end.
fn whole_numbers(least: u64, most: Option<u64>) -> Vec<String> {
    let mut alternatives = Vec::new();
    let mut from = least;
    while most.is_none_or(|most| from <= most) {
        let digits = from.checked_ilog10().unwrap_or(0);
        if most.is_none() && from == 10_u64.pow(digits) {
            alternatives.push(format!("[1-9][0-9]{{{digits},}}"));
            break;
        }
        let last = 10_u64.checked_pow(digits + 1).map_or(u64::MAX, |next| next - 1);
        let to = most.map_or(last, |most| most.min(last));
        alternatives.extend(of_one_length(from.to_string().as_bytes(), to.to_string().as_bytes()));
        let Some(next) = to.checked_add(1) else { break };
        from = next;
    }
    alternatives
}

/// The same for bounds of equally many digits, whose leading zeros are written.
fn of_one_length(least: &[u8], most: &[u8]) -> Vec<String> {
    let (Some((&first, least)), Some((&last, most))) = (least.split_first(), most.split_first()) else {
        return vec![String::new()];
    };
    let behind =
        |digit: u8, rest: Vec<String>| rest.into_iter().map(move |rest| format!("{}{rest}", char::from(digit)));
    if first == last {
        return behind(first, of_one_length(least, most)).collect();
    }
    // All numbers begin with these first digits, whatever follows.
    let (mut whole_from, mut whole_to) = (first, last);
    let (mut below, mut above) = (Vec::new(), Vec::new());
    if least.iter().any(|digit| *digit != b'0') {
        whole_from += 1;
        below = behind(first, of_one_length(least, &vec![b'9'; least.len()])).collect();
    }
    if most.iter().any(|digit| *digit != b'9') {
        whole_to -= 1;
        above = behind(last, of_one_length(&vec![b'0'; most.len()], most)).collect();
    }
    let whole = (whole_from <= whole_to).then(|| format!("{}{}", digit(whole_from, whole_to), any_digits(least.len())));
    below.into_iter().chain(whole).chain(above).collect()
}

fn digit(from: u8, to: u8) -> String {
    let (from, to) = (char::from(from), char::from(to));
    if from == to { from.to_string() } else { format!("[{from}-{to}]") }
}

fn any_digits(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "[0-9]".to_owned(),
        _ => format!("[0-9]{{{count}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_bounds_match() {
        for (least, most) in
            [(0, 0), (0, 65_536), (1, 9), (256, 65_536), (7, 1000), (1999, 2001), (345, 351), (90, 110)]
        {
            let pattern = regex::Regex::new(&format!("^({})$", whole_numbers(least, Some(most)).join("|"))).unwrap();
            for number in 0..=70_000_u64 {
                assert_eq!(
                    pattern.is_match(&number.to_string()),
                    (least..=most).contains(&number),
                    "{number} {pattern}"
                );
            }
        }
        for least in [0, 1, 5, 10, 99, 100, 1234] {
            let pattern = regex::Regex::new(&format!("^({})$", whole_numbers(least, None).join("|"))).unwrap();
            for number in 0..=30_000_u64 {
                assert_eq!(pattern.is_match(&number.to_string()), number >= least, "{number} {pattern}");
            }
        }
        assert!(whole_numbers(1, Some(0)).is_empty());
        assert_eq!(whole_numbers(u64::MAX, Some(u64::MAX)), [u64::MAX.to_string()]);
    }

    #[test]
    fn quantities_within_bounds_match() {
        let bounded = Quantity {
            kind: "",
            units: &[("B", 1), ("KiB", 1024), ("MiB", 1 << 20)],
            least: 256,
            most: Some(65_536),
            examples: &[],
        };
        assert_eq!(
            quantity(&bounded),
            "^0*((25[6-9]|2[6-9][0-9]|[3-9][0-9]{2}|[1-9][0-9]{3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-6])B|([1-9]|[1-5][0-9]|6[0-4])KiB)$"
        );
        let open = Quantity { kind: "", units: &[("ms", 1), ("s", 1000)], least: 1000, most: None, examples: &[] };
        assert_eq!(quantity(&open), "^0*(([1-9][0-9]{3,})ms|([1-9][0-9]{0,})s)$");
    }
}
