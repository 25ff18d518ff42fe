//! The declared keys as a page for people, in the order in which they are declared.

use super::root::Config;
use super::section::{IfAbsent, Key, Section, Shape};

/// Markdown: one row for each key that is delivered, then those that are not.
pub fn reference() -> String {
    let mut page = Page::default();
    page.section(Config::keys(), "");
    let mut out = String::from(
        "# Configuration reference\n\n\
         Generated from the code by `pingora-proxy schema --markdown`; a test keeps it up to date. Durations are `500ms`, `10s`, \
         `5m`, `1h`.\n`${NAME}` and `${NAME:-default}` take environment variables; a value that is one and nothing else \
         may be a number or a boolean,\nquoted or not. `$${` is a literal `${`. A value without a default is left out. `<<: *name` takes over the keys of the map with \
         the anchor `&name`\nthat the map itself has not.\n\n\
         | key | value | default | meaning |\n| --- | --- | --- | --- |\n",
    );
    out.push_str(&page.rows);
    out.push_str("\n## Not supported yet\n\nThese are refused, never ignored:\n\n");
    out.push_str(&page.later);
    out
}

#[derive(Default)]
struct Page {
    rows: String,
    later: String,
}

impl Page {
    fn section(&mut self, keys: &[Key], prefix: &str) {
        for key in keys {
            let path = format!("{prefix}{}", key.name);
            if key.is_later() {
                self.later.push_str(&format!("- `{path}`\n"));
                continue;
            }
            self.rows.push_str(&row(&path, key));
            self.descend(&key.shape, &path);
        }
    }

    fn descend(&mut self, shape: &Shape, path: &str) {
        match shape {
            Shape::Section(section) => self.section(&section.keys, &format!("{path}.")),
            Shape::List { item, .. } => self.descend(item, &format!("{path}[]")),
            Shape::Map { value, .. } => self.descend(value, &format!("{path}.NAME")),
            // A list in place of one value holds what the value itself does.
            Shape::Any(shapes) => {
                let single = shapes.iter().filter(|shape| !matches!(shape, Shape::List { .. }));
                single.for_each(|shape| self.descend(shape, path));
            }
            Shape::Null
            | Shape::Bool
            | Shape::Integer { .. }
            | Shape::Text(_)
            | Shape::Quantity(_)
            | Shape::Words(_) => {}
        }
    }
}

fn row(path: &str, key: &Key) -> String {
    let default = match &key.if_absent {
        IfAbsent::Default(serde_json::Value::String(text)) => format!("`{text}`"),
        IfAbsent::Default(value) => format!("`{value}`"),
        IfAbsent::Required => "required".to_owned(),
        IfAbsent::Optional | IfAbsent::Later => String::new(),
    };
    let mut meaning = key.doc.clone();
    for word in key.shape.words().iter().filter(|word| !word.doc.is_empty()) {
        meaning.push_str(&format!(" `{}`: {}", word.word, word.doc));
    }
    format!("| `{path}` | {} | {default} | {} |\n", describe(&key.shape), meaning.replace('|', "\\|"))
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Null => "`null`".to_owned(),
        Shape::Bool => "`true`, `false`".to_owned(),
        Shape::Text(syntax) => syntax.kind.to_owned(),
        Shape::Quantity(quantity) => quantity.kind.to_owned(),
        Shape::Integer { least, most } => format!("{least} to {most}"),
        Shape::Words(words) => words.iter().map(|word| format!("`{}`", word.word)).collect::<Vec<_>>().join(", "),
        Shape::Section(_) => "map".to_owned(),
        Shape::List { item, .. } => format!("list of {}", describe(item)),
        Shape::Map { value, .. } => format!("map of {}", describe(value)),
        Shape::Any(shapes) => shapes.iter().map(describe).collect::<Vec<_>>().join(" or "),
    }
}
