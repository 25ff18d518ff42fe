//! Changes of header fields, query parameters and cookies.

use http::{HeaderName, HeaderValue};

use crate::config::section::{Form, Reader, Shape, list, map, section};
use crate::config::value::{
    COOKIE_NAME, COOKIE_VALUE, EDITED_HEADER, EDITED_NAME, FieldName, HEADER_VALUE, QUERY_TEXT,
};
use crate::config::yaml::{Node, Yaml};

section! {
    /// Changes of header fields: removed first, then set, then added.
    #[derive(Clone, Debug, Default)]
    "`header`" pub struct HeaderEdits {
        /// Replaces every field of the name.
        set: Vec<(FieldName, HeaderValue)> = {}, with headers();
        /// Adds one more field.
        add: Vec<(FieldName, HeaderValue)> = {}, with headers();
        /// Removes every field of the name.
        remove: Vec<HeaderName> = [], with list("header names", EDITED_NAME);
    }
}

/// Names and values of header fields, each name once however it is spelled.
pub fn headers() -> impl Form<Vec<(FieldName, HeaderValue)>> {
    map("header names to values", EDITED_HEADER, HeaderText).of("header")
}

/// A header's value, with a warning where others would put a variable's value in.
struct HeaderText;

impl Form<HeaderValue> for HeaderText {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<HeaderValue> {
        let value = HEADER_VALUE.read(reader, node)?;
        const VARIABLES: [&str; 9] =
            ["$remote_addr", "$proxy_", "$host", "$http_", "$scheme", "$request", "$server_", "{http.", "{remote"];
        if node.text().is_some_and(|text| VARIABLES.iter().any(|variable| text.contains(variable))) {
            let message = "this goes out as it stands: a header's value has no variables".to_owned();
            let help = "the proxy itself sets X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto".to_owned();
            reader.warn(node.span, message, Some(help));
        }
        Some(value)
    }

    fn shape(&self) -> Shape {
        HEADER_VALUE.shape()
    }

    fn print(&self, value: &HeaderValue) -> Yaml {
        HEADER_VALUE.print(value)
    }
}

section! {
    /// Changes of query parameters: removed first, then set, then added.
    #[derive(Clone, Debug, Default)]
    "`query`" pub struct QueryEdits {
        /// Replaces every parameter of the name.
        set: Vec<(String, String)> = {}, with map("names to values", QUERY_TEXT, QUERY_TEXT);
        /// Adds one more parameter.
        add: Vec<(String, String)> = {}, with map("names to values", QUERY_TEXT, QUERY_TEXT);
        /// Removes every parameter of the name; `;` separates parameters as `&` does.
        remove: Vec<String> = [], with list("parameter names", QUERY_TEXT);
    }
}

section! {
    /// Changes of cookies in requests: removed first, then set.
    #[derive(Clone, Debug, Default)]
    "`cookie`" pub struct CookieEdits {
        /// Replaces or adds the cookie.
        set: Vec<(String, String)> = {}, with map("names to values", COOKIE_NAME, COOKIE_VALUE);
        /// Removes the cookie.
        remove: Vec<String> = [], with list("cookie names", COOKIE_NAME);
    }
}
