//! A value in the line of a change.

use crate::config::public::mask_at;
use crate::config::yaml::{Yaml, hidden_secrets};

/// The longest text of a value.
const MOST: usize = 120;
/// Keys whose values are secrets wherever they stand.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// Whether a value at this path is a secret.
pub fn is_secret(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    SECRET.iter().any(|name| last.eq_ignore_ascii_case(name))
}

/// The value that stands at this path in flow style, cut where it is long, and without what may be a secret.
pub fn inline(path: &str, value: &Yaml) -> String {
    let mut out = String::new();
    write(&mask_at(path, value.clone()), &mut out);
    let out = hidden_secrets(&out).into_owned();
    match out.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", out.get(..at).unwrap_or_default()),
        None => out,
    }
}

fn write(value: &Yaml, out: &mut String) {
    match value {
        Yaml::Word(text) | Yaml::Text(text) if text.is_empty() => out.push_str("\"\""),
        Yaml::Word(text) | Yaml::Text(text) => out.push_str(text),
        Yaml::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write(item, out);
            }
            out.push(']');
        }
        Yaml::Map(entries) => {
            out.push('{');
            let there = entries.iter().filter(|(_, value)| !matches!(value, Yaml::Absent));
            for (index, (key, value)) in there.enumerate() {
                out.push_str(if index == 0 { " " } else { ", " });
                out.push_str(key);
                out.push_str(": ");
                if is_secret(key) { out.push_str("(hidden)") } else { write(value, out) }
            }
            out.push_str(" }");
        }
        Yaml::Absent => out.push_str("nothing"),
    }
}
