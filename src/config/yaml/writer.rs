//! Values as YAML text that can be read back.

use super::variables::escape;

/// A value to print, with maps in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// A word of ours, which stands as it is.
    Word(String),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
    /// Nothing: a key with this value is left out.
    Absent,
}

impl Yaml {
    pub fn word(value: impl ToString) -> Yaml {
        Yaml::Word(value.to_string())
    }

    pub fn text(value: impl ToString) -> Yaml {
        Yaml::Text(value.to_string())
    }

    /// The value as a document.
    pub fn document(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn is_absent(&self) -> bool {
        matches!(self, Yaml::Absent)
    }

    fn write(&self, indent: usize, out: &mut String) {
        match self {
            Yaml::Map(entries) => {
                for (i, (key, value)) in entries.iter().filter(|(_, value)| !value.is_absent()).enumerate() {
                    // The first key of a list's item follows its dash.
                    if i > 0 || !out.ends_with("- ") {
                        out.push_str(&" ".repeat(indent));
                    }
                    out.push_str(&scalar(key));
                    out.push(':');
                    value.write_after_key(indent, out);
                }
            }
            Yaml::List(items) => {
                for item in items {
                    out.push_str(&" ".repeat(indent));
                    out.push_str("- ");
                    item.write_item(indent + 2, out);
                }
            }
            Yaml::Word(_) | Yaml::Text(_) => self.write_item(indent, out),
            Yaml::Absent => {}
        }
    }

    fn write_after_key(&self, indent: usize, out: &mut String) {
        if self.is_block() {
            out.push('\n');
            self.write(indent + 2, out);
        } else {
            out.push(' ');
            self.write_item(indent + 2, out);
        }
    }

    fn write_item(&self, indent: usize, out: &mut String) {
        match self {
            Yaml::Word(word) => out.push_str(word),
            Yaml::Text(text) => out.push_str(&scalar(&escape(text))),
            Yaml::List(items) if items.is_empty() => out.push_str("[]"),
            Yaml::Map(_) if !self.is_block() => out.push_str("{}"),
            block => return block.write(indent, out),
        }
        out.push('\n');
    }

    fn is_block(&self) -> bool {
        match self {
            Yaml::List(items) => !items.is_empty(),
            Yaml::Map(entries) => entries.iter().any(|(_, value)| !value.is_absent()),
            Yaml::Word(_) | Yaml::Text(_) | Yaml::Absent => false,
        }
    }
}

/// A text as it is written inside brackets, where it is read as this text.
pub fn flow_scalar(text: &str) -> String {
    scalar(&escape(text))
}

/// Plain where YAML cannot take it for anything else, quoted otherwise.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// What may stand as it is (YAML 1.2 section 5.1), without what breaks a line or marks
/// the byte order. All others have at most four digits.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}
