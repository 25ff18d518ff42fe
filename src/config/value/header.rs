//! Header names and values, and methods.

use std::hash::{Hash, Hasher};

use http::{HeaderName, HeaderValue, Method};

use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// A header name in the spelling the operator chose. Spelling makes no difference to
/// whether two are equal (RFC 9110 section 5.1).
#[derive(Clone, Debug)]
pub struct FieldName {
    pub name: HeaderName,
    pub spelled: String,
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for FieldName {}

impl Hash for FieldName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

const TOKEN: Syntax = Syntax {
    kind: "header name",
    numbers: true,
    pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
    examples: &["x-request-id"],
};

/// A name to look for in requests.
pub const HEADER_NAME: Scalar<HeaderName> = Scalar {
    what: "a header name",
    syntax: TOKEN,
    parse: |text| name(text).map(|field| field.name),
    print: |name| Yaml::text(name),
};

pub fn name(text: &str) -> Parsed<FieldName> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Ok(FieldName { name, spelled: text.to_owned() }),
        Err(_) => Err(Invalid::new(format!("`{text}` is not a header name"))),
    }
}

/// ECMA 262 has no way to ignore case in a part of a pattern: the usual spellings are here.
macro_rules! editable {
    ($($except:literal)?) => {
        concat!(
            "^(?!(", $($except, "|",)?
            "[Cc]onnection|[Cc]ontent-[Ll]ength|[Kk]eep-[Aa]live|[Pp]roxy-[Cc]onnection|[Tt][Ee]|[Tt]railer|",
            "[Tt]ransfer-[Ee]ncoding|[Uu]pgrade|[Hh][Tt][Tt][Pp]2-[Ss]ettings)$)[!#$%&'*.^_`|~0-9A-Za-z]",
            "[!#$%&'*+.^_`|~0-9A-Za-z-]*$"
        )
    };
}

/// A header that an edit may touch.
pub const EDITED_HEADER: Scalar<FieldName> = Scalar {
    what: "a name",
    syntax: Syntax { pattern: Some(editable!()), ..TOKEN },
    parse: edited,
    print: |field| Yaml::text(&field.spelled),
};

/// The same, where its spelling makes no difference.
pub const EDITED_NAME: Scalar<HeaderName> = Scalar {
    what: EDITED_HEADER.what,
    syntax: EDITED_HEADER.syntax,
    parse: |text| edited(text).map(|field| field.name),
    print: |name| Yaml::text(name),
};

/// The names of fields that an edit of a request may touch: Host has a key of its own.
pub const EDITED_IN_REQUESTS: Syntax = Syntax { pattern: Some(editable!("[Hh][Oo][Ss][Tt]")), ..TOKEN };

/// These describe one connection or one message's framing, which the proxy itself decides.
const NOT_EDITABLE: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

fn edited(text: &str) -> Parsed<FieldName> {
    let field = name(text)?;
    // Caddy's signs, which RFC 9110 allows in a name and nobody means.
    let meant = match text.split_at_checked(1) {
        Some(("-", bare)) => Some(format!("write `remove: [{bare}]`")),
        Some(("+", bare)) => Some(format!("write `add: {{ {bare}: … }}`")),
        _ => None,
    };
    if let Some(help) = meant {
        return Err(Invalid::with_help(format!("`{text}` is not a header name that anybody uses"), help));
    }
    if NOT_EDITABLE.contains(&field.name.as_str()) {
        return Err(Invalid::with_help(
            format!("`{text}` cannot be edited"),
            "it belongs to one connection and is set by the proxy",
        ));
    }
    Ok(field)
}

pub const HEADER_VALUE: Scalar<HeaderValue> = Scalar {
    what: "a header's value",
    syntax: Syntax {
        kind: "text",
        numbers: true,
        pattern: Some(r"^([^\x00-\x20\x7f]([^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?$"),
        examples: &[],
    },
    parse: value,
    print: |value| Yaml::text(String::from_utf8_lossy(value.as_bytes())),
};

pub fn value(text: &str) -> Parsed<HeaderValue> {
    if text.trim_matches([' ', '\t']) != text {
        return Err(Invalid::new("a header value cannot begin or end with a space"));
    }
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| Invalid::new("a header value cannot hold line breaks or control characters"))
}

/// What a condition may be, in messages.
pub const CONDITION: &str = "a value, `{ regex: … }` or `{ present: true }`";

/// A value to compare a request's header with.
pub const MATCHED_HEADER_VALUE: Scalar<String> = Scalar {
    what: CONDITION,
    syntax: HEADER_VALUE.syntax,
    parse: |text| value(text).map(|_| text.to_owned()),
    print: |value| Yaml::text(value),
};

/// A method to match. Methods are case-sensitive: `get` would never match.
pub const METHOD: Scalar<Method> = Scalar {
    what: "a method such as `GET`",
    syntax: Syntax {
        kind: "method",
        numbers: true,
        pattern: Some("^(?!(CONNECT|TRACE|ANY|ALL|[*])$)[!#$%&'*+.^_`|~0-9A-Z-]+$"),
        examples: &["GET", "POST"],
    },
    parse: method,
    print: |method| Yaml::text(method),
};

fn method(text: &str) -> Parsed<Method> {
    let wrong = format!("`{text}` is not a method");
    let parts: Vec<&str> = text.split([' ', ',', '|']).filter(|part| !part.is_empty()).collect();
    if parts.len() > 1 && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        let help = format!("write `[{}]`", parts.join(", ").to_ascii_uppercase());
        return Err(Invalid::with_help("these are several methods", help));
    }
    if ["*", "any", "all"].contains(&text.to_ascii_lowercase().as_str()) {
        return Err(Invalid::with_help(wrong, "for every method, leave `method` out"));
    }
    let Ok(method) = Method::from_bytes(text.as_bytes()) else { return Err(Invalid::new(wrong)) };
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(Invalid::with_help(wrong, format!("write `{}`", text.to_ascii_uppercase())));
    }
    if matches!(text, "CONNECT" | "TRACE") {
        return Err(Invalid::with_help(format!("no route takes {text}"), "the proxy answers 405 to it"));
    }
    Ok(method)
}
