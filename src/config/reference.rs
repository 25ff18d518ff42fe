//! The table of keys as a page for people, in the order of the table. Must not
//! know how keys are read.

use super::keys::{Key, ROOT, Section, Shape};

/// Markdown: one row for each key that is delivered, then those that are not.
pub fn reference() -> String {
    let mut rows = Vec::new();
    let mut later = Vec::new();
    walk(&ROOT, "", &mut rows, &mut later);
    let mut page = String::from(
        "# Configuration reference\n\n\
         Made from the code by `pingora-proxy schema --markdown`; a test keeps it so. Durations are `500ms`, `10s`, \
         `5m`, `1h`.\n`${NAME}` and `${NAME:-default}` take environment variables; a value that is one and nothing else \
         may be a number or a boolean,\nquoted or not. `$${` is a literal `${`. A value without a default is left out.\n\n\
         | key | value | default | meaning |\n| --- | --- | --- | --- |\n",
    );
    for row in rows {
        page.push_str(&row);
    }
    page.push_str("\n## Not supported yet\n\nThese are refused, never ignored:\n\n");
    for name in later {
        page.push_str(&format!("- `{name}`\n"));
    }
    page
}

fn walk(section: &Section, prefix: &str, rows: &mut Vec<String>, later: &mut Vec<String>) {
    for key in section.keys {
        let path = format!("{prefix}{}", key.name);
        if key.is_later() {
            later.push(path);
            continue;
        }
        rows.push(row(&path, key));
        descend(&key.shape, &path, rows, later);
    }
}

fn row(path: &str, key: &Key) -> String {
    let default = key.default.map_or_else(String::new, |d| format!("`{}`", d.trim_matches('"')));
    format!("| `{path}` | {} | {default} | {} |\n", describe(&key.shape), key.doc.replace('|', "\\|"))
}

fn descend(shape: &Shape, path: &str, rows: &mut Vec<String>, later: &mut Vec<String>) {
    match shape {
        Shape::Section(section) => walk(section, &format!("{path}."), rows, later),
        Shape::List(item) | Shape::Some(item) => descend(item, &format!("{path}[]"), rows, later),
        Shape::Map(value) => descend(value, &format!("{path}.NAME"), rows, later),
        Shape::Any(shapes) => shapes.iter().for_each(|s| descend(s, path, rows, later)),
        Shape::Later | Shape::Null | Shape::Bool | Shape::Text | Shape::Duration | Shape::Size => {}
        Shape::Integer(..) | Shape::Word(_) => {}
    }
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Later => "not supported yet".to_owned(),
        Shape::Null => "`null`".to_owned(),
        Shape::Bool => "`true`, `false`".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Duration => "duration".to_owned(),
        Shape::Size => "size".to_owned(),
        Shape::Integer(least, most) => format!("{least} to {most}"),
        Shape::Word(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Shape::Section(_) => "map".to_owned(),
        Shape::List(item) | Shape::Some(item) => format!("list of {}", describe(item)),
        Shape::Map(value) => format!("map of {}", describe(value)),
        Shape::Any(shapes) => shapes.iter().map(describe).collect::<Vec<_>>().join(" or "),
    }
}
