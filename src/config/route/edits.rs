//! Changes of header fields, query parameters and cookies.

use http::{HeaderName, HeaderValue};

use crate::config::section::{Form, list, map, section};
use crate::config::value::{
    COOKIE_NAME, COOKIE_VALUE, EDITED_HEADER, EDITED_NAME, FieldName, HEADER_VALUE, QUERY_TEXT,
};

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
    map("header names to values", EDITED_HEADER, HEADER_VALUE).of("header")
}

section! {
    /// Changes of query parameters: removed first, then set, then added.
    #[derive(Clone, Debug, Default)]
    "`query`" pub struct QueryEdits {
        /// Replaces every parameter of the name.
        set: Vec<(String, String)> = {}, with map("names to values", QUERY_TEXT, QUERY_TEXT);
        /// Adds one more parameter.
        add: Vec<(String, String)> = {}, with map("names to values", QUERY_TEXT, QUERY_TEXT);
        /// Removes every parameter of the name.
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
