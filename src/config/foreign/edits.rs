//! Words for what a route changes, and for the values in it.

use super::entry::{ANY, REQUEST, RESPONSE, ROUTE, TOP, UPSTREAM, valued, write};
use super::translate::{path, rewrite_or_off};
use crate::config::section::Foreign;
use crate::config::section::Place::{Here, Route};

pub const EDITS: &[Foreign] = &[
    // What is changed on the way.
    write(
        words!["rewrite" "replacepathregex" "path_rewrite" "url_rewrite" "uri_rewrite" "reqrep"],
        REQUEST,
        Here,
        &["path: { regex: \"^/old/(.*)\", with: \"/new/$1\" }"],
        "",
    ),
    write(
        words!["rewrite" "replacepathregex" "path_rewrite" "url_rewrite" "uri_rewrite" "reqrep"],
        ANY,
        Route,
        &["request: { path: { regex: \"^/old/(.*)\", with: \"/new/$1\" } }"],
        "",
    ),
    valued(
        words!["replacepath" "set_path" "replace_path"],
        ANY,
        Route,
        &["request: { path: { replace: % } }"],
        "/new",
        path,
    ),
    valued(
        words!["stripprefix" "strip_path" "strip_path_prefix" "strip" "rewrite_prefix"],
        ROUTE,
        Route,
        &["request: { path: { strip_prefix: % } }"],
        "/api",
        path,
    ),
    valued(
        words!["stripprefix" "strip_path" "strip_path_prefix" "strip_prefix"],
        UPSTREAM,
        Route,
        &["request: { path: { strip_prefix: % } }"],
        "/api",
        path,
    ),
    valued(
        words!["add_prefix" "path" "base_path" "uri"],
        UPSTREAM,
        Route,
        &["request: { path: { add_prefix: % } }"],
        "/api",
        path,
    ),
    write(
        words![
            "proxy_set_header" "proxy_set_headers" "header_up" "set_header" "set_headers" "request_header"
            "request_headers" "customrequestheaders" "proxy_headers"
        ],
        ANY,
        Route,
        &["request: { header: { set: { x-a: \"1\" } } }"],
        "",
    ),
    write(
        words!["add_header" "add_headers" "response_header" "response_headers" "customresponseheaders"],
        ROUTE,
        Route,
        &["response: { header: { set: { x-a: \"1\" } } }"],
        "",
    ),
    write(words!["add_header"], ANY, Route, &["response: { header: { set: { x-a: \"1\" } } }"], ""),
    write(
        words!["header_down"],
        ANY,
        Route,
        &["response: { header: { set: { x-a: \"1\" } } }", "response: { header: { remove: [x-a] } }"],
        "",
    ),
    write(
        words!["header" "headers" "set" "add" "remove"],
        ROUTE,
        Here,
        &["request: { header: { set: { x-a: \"1\" } } }", "response: { header: { set: { x-a: \"1\" } } }"],
        "",
    ),
    write(words!["header" "headers"], UPSTREAM, Route, &["request: { header: { set: { x-a: \"1\" } } }"], ""),
    write(words!["headers" "header"], TOP, Route, &["request: { header: { set: { x-a: \"1\" } } }"], ""),
    write(
        words!["proxy_hide_header" "hide_header" "remove_header"],
        ANY,
        Route,
        &["response: { header: { remove: [%] } }"],
        "server",
    ),
    write(words!["status"], RESPONSE, Route, &["respond: { status: % }"], "404"),
    valued(words!["proxy_redirect"], ANY, Route, &["response: { location: % }"], "rewrite", rewrite_or_off),
    write(words!["proxy_cookie_path"], ANY, Route, &["response: { cookie: { path: { /: /api/ } } }"], ""),
    write(
        words!["proxy_cookie_domain"],
        ANY,
        Route,
        &["response: { cookie: { domain: { app.internal: example.com } } }"],
        "",
    ),
    write(
        words!["preserve_host" "passhostheader" "proxy_host" "host_header" "rewrite_host"],
        ANY,
        Route,
        &["request: { host: preserve }", "request: { host: upstream }"],
        "",
    ),
    write(words!["host"], UPSTREAM, Route, &["request: { host: % }"], "app.internal"),
];
