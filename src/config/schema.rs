//! The declared keys as a JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::pattern;
use super::root::Config;
use super::section::{IfAbsent, Key, Rule, Section, SectionShape, Shape, Word};

/// Where a variable stands, its value is not known here.
const VARIABLE: &str = r"\$\{";

/// JSON Schema of the configuration file, draft 2020-12. It accepts whatever `-t` does; what
/// depends on other keys, on files or on this machine only `-t` can refuse.
pub fn json_schema() -> Value {
    let root = section(&SectionShape { keys: Config::keys().into(), rules: Config::rules() });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pingora-proxy configuration",
    });
    if let (Some(schema), Value::Object(root)) = (schema.as_object_mut(), root) {
        schema.extend(root);
    }
    schema
}

fn section(section: &SectionShape) -> Value {
    let delivered = || section.keys.iter().filter(|key| !key.is_later());
    let properties: Map<String, Value> = delivered().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let required: Vec<&str> =
        delivered().filter(|key| matches!(key.if_absent, IfAbsent::Required)).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    for rule in &section.rules {
        match rule {
            Rule::OneOf { keys, .. } => {
                schema["oneOf"] = keys.iter().map(|key| json!({ "required": [key] })).collect();
            }
            Rule::Together(keys) => {
                let others = |key: &str| keys.iter().copied().filter(|other| *other != key).collect::<Vec<_>>();
                let pairs = keys.iter().map(|key| ((*key).to_owned(), json!(others(key))));
                schema["dependentRequired"] = Value::Object(pairs.collect());
            }
        }
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    schema["description"] = json!(key.doc);
    if let IfAbsent::Default(default) = &key.if_absent {
        schema["default"] = default.clone();
    }
    schema
}

fn shape(shape_: &Shape) -> Value {
    match shape_ {
        Shape::Null => json!({ "type": "null" }),
        Shape::Bool => or_variable(json!({ "type": "boolean" })),
        Shape::Integer { least, most } => or_variable(json!({ "type": "integer", "minimum": least, "maximum": most })),
        Shape::Text(syntax) => {
            let types = if syntax.numbers { json!(["string", "number", "boolean"]) } else { json!("string") };
            scalar(types, syntax.pattern, syntax.examples)
        }
        Shape::Quantity(quantity) => scalar(json!("string"), Some(&pattern::quantity(quantity)), quantity.examples),
        Shape::Words(words) => {
            let mut all: Vec<Value> = words.iter().map(word).collect();
            all.push(variable());
            json!({ "anyOf": all })
        }
        Shape::Section(inner) => section(inner),
        Shape::List { item, least } => {
            let mut list = json!({ "type": "array", "items": shape(item) });
            if *least > 0 {
                list["minItems"] = json!(least);
            }
            list
        }
        Shape::Map { name, value, least } => {
            let mut map = json!({ "type": "object", "additionalProperties": shape(value) });
            if let Some(pattern) = name.pattern {
                map["propertyNames"] = json!({ "pattern": pattern });
            }
            if *least > 0 {
                map["minProperties"] = json!(least);
            }
            map
        }
        Shape::Any(shapes) => json!({ "anyOf": shapes.iter().map(shape).collect::<Vec<_>>() }),
    }
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": VARIABLE })
}

fn or_variable(schema: Value) -> Value {
    json!({ "anyOf": [schema, variable()] })
}

fn scalar(types: Value, pattern: Option<&str>, examples: &[&str]) -> Value {
    let mut schema = json!({ "type": types });
    if let Some(pattern) = pattern {
        schema["pattern"] = json!(format!("{pattern}|{VARIABLE}"));
    }
    if !examples.is_empty() {
        schema["examples"] = json!(examples);
    }
    schema
}

fn word(word: &Word) -> Value {
    // `true`, `null` and `308` are no strings.
    let value = serde_json::from_str(word.word).unwrap_or_else(|_| json!(word.word));
    // A version such as 1.2 may be quoted, too.
    let mut schema = if value.is_f64() { json!({ "enum": [word.word, value] }) } else { json!({ "const": value }) };
    if !word.doc.is_empty() {
        schema["description"] = json!(word.doc);
    }
    schema
}
