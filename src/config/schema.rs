//! The table of keys as a JSON Schema, for editors. Must not know how keys are read.

use serde_json::{Map, Value, json};

use super::keys::{ACTIONS, Key, ROOT, ROUTE, Section, Shape};

pub fn json_schema() -> Value {
    let mut schema = section(&ROOT);
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".into(), json!("pingora-proxy configuration"));
        object.insert("required".into(), json!(["listeners", "routes"]));
    }
    schema
}

fn section(section: &Section) -> Value {
    let properties: Map<String, Value> = section.delivered().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut value = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let Some(object) = value.as_object_mut().filter(|_| std::ptr::eq(section, &ROUTE)) {
        object.insert("oneOf".into(), ACTIONS.iter().map(|action| json!({ "required": [action] })).collect());
    }
    value
}

fn property(key: &Key) -> Value {
    let mut value = shape(&key.shape);
    if let Some(object) = value.as_object_mut() {
        object.insert("description".into(), json!(key.doc));
        if let Some(default) = key.default.and_then(|d| serde_json::from_str::<Value>(d).ok()) {
            object.insert("default".into(), default);
        }
    }
    value
}

fn shape(shape_: &Shape) -> Value {
    let variable = json!({ "type": "string", "pattern": r"\$\{" });
    match shape_ {
        Shape::Later => json!(false),
        Shape::Null => json!({ "type": "null" }),
        Shape::Bool => json!({ "anyOf": [{ "type": "boolean" }, variable] }),
        // A header's value such as `1` or `true` needs no quotes.
        Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Duration => json!({ "type": "string", "pattern": r"^[0-9]+(ms|s|m|h)$|\$\{" }),
        Shape::Size => json!({ "type": "string", "pattern": r"^[0-9]+(B|KiB|MiB|GiB)$|\$\{" }),
        Shape::Integer(least, most) => {
            json!({ "anyOf": [{ "type": "integer", "minimum": least, "maximum": most }, variable] })
        }
        Shape::Word(words) => json!({ "anyOf": [{ "enum": words }, variable] }),
        Shape::Section(inner) => section(inner),
        Shape::List(item) => json!({ "type": "array", "items": shape(item) }),
        Shape::Some(item) => json!({ "type": "array", "items": shape(item), "minItems": 1 }),
        Shape::Map(value) => json!({ "type": "object", "additionalProperties": shape(value) }),
        Shape::Any(shapes) => json!({ "anyOf": shapes.iter().map(shape).collect::<Vec<_>>() }),
    }
}
