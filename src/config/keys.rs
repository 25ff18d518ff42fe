//! Every key a configuration may hold: its shape, default and meaning in one line.
//! `decode` refuses what is not here and `schema` prints it. Must not know how a
//! key is read or what becomes of it.

pub use super::keys_process::{ACCESS, ACCESS_FORMATS, ADMIN, DRAIN, LOG, LOG_LEVELS, SERVER};
pub use super::keys_upstream::{
    ACTIVE, BALANCE, BALANCE_HASH, DNS, HEALTH, MIRROR, PASSIVE, POOL, RETRY, RETRY_METHODS, RETRY_ON, STICKY,
    UPSTREAM, UPSTREAM_SERVER, UPSTREAM_TIMEOUTS, UPSTREAM_TLS,
};
pub use super::shape::{Key, Section, Shape};
use super::shape::{bare, key, later};

pub const SAME_SITE: &[&str] = &["strict", "lax", "none"];
const TEXTS: Shape = Shape::List(&Shape::Text);
const TEXT_OR_TEXTS: Shape = Shape::Any(&[Shape::Text, Shape::Some(&Shape::Text)]);
const TEXT_MAP: Shape = Shape::Map(&Shape::Text);

/// Of these a route has exactly one.
pub const ACTIONS: [&str; 3] = ["upstream", "redirect", "respond"];

pub static ROOT: Section = Section {
    title: "the configuration",
    keys: &[
        key("server", Shape::Section(&SERVER), "{}", "The process."),
        key("admin", Shape::Section(&ADMIN), "{}", "Where the process tells how it is."),
        key("log", Shape::Section(&LOG), "{}", "What is logged, and where."),
        bare(
            "listeners",
            Shape::Some(&Shape::Any(&[Shape::Text, Shape::Section(&LISTENER)])),
            "Where clients connect: `0.0.0.0:8080`, `:8080`, `[::]:8080` or `unix:/path`.",
        ),
        key(
            "trusted_proxies",
            TEXTS,
            "[]",
            "Networks whose X-Forwarded-* and Forwarded headers are believed; from anyone else they are replaced.",
        ),
        key("limits", Shape::Section(&LIMITS), "{}", "Bounds of what a client may send."),
        key("timeouts", Shape::Section(&TIMEOUTS), "{}", "A client's side."),
        key("dns", Shape::Section(&DNS), "{}", "Who is asked for the names of servers."),
        key("upstreams", Shape::Map(&Shape::Section(&UPSTREAM)), "{}", "Groups of servers, by name."),
        bare("routes", Shape::Some(&Shape::Section(&ROUTE)), "Which request goes where. The most specific match wins."),
        later("cache"),
        key("errors", Shape::Section(&ERRORS), "{}", "What a client sees when the proxy itself answers."),
    ],
};

pub static LISTENER: Section = Section {
    title: "a listener",
    keys: &[
        bare("address", Shape::Text, "`IP:port`, `:port` or `unix:/path`."),
        later("tls"),
        later("http2"),
        later("proxy_protocol"),
    ],
};

pub static LIMITS: Section = Section {
    title: "`limits`",
    keys: &[
        key("request_line", Shape::Size, "\"8KiB\"", "Of method, target and version, 256B to 64KiB: 414."),
        key("request_headers", Shape::Size, "\"32KiB\"", "Of the whole head, 1KiB to 1MiB: 431."),
        key("request_header_count", Shape::Integer(1, 256), "100", "Fields in the head: 431."),
        later("request_body"),
        later("response_headers"),
        later("connections"),
        later("connections_per_ip"),
    ],
};

pub static TIMEOUTS: Section = Section {
    title: "`timeouts`",
    keys: &[
        key(
            "request_header",
            Shape::Duration,
            "\"10s\"",
            "From the first byte of a request to the end of its head: 408. Also how long a new connection may keep silent.",
        ),
        key("request_body_idle", Shape::Duration, "\"60s\"", "Since the last byte of a request's body."),
        later("min_rate"),
        key("keepalive", Shape::Duration, "\"75s\"", "An idle connection between two requests."),
        key("tunnel_idle", Shape::Duration, "\"1h\"", "A WebSocket, or another upgrade, in which neither side speaks."),
        later("tls_handshake"),
    ],
};

pub static ROUTE: Section = Section {
    title: "a route",
    keys: &[
        bare("name", Shape::Text, "For logs and `explain`."),
        key("match", Shape::Section(&MATCH), "{}", "All conditions must hold; none is every request."),
        key("priority", Shape::Integer(-1_000_000, 1_000_000), "0", "A higher one is tried first."),
        key("request", Shape::Section(&REQUEST), "{}", "What is changed before it goes to the upstream."),
        key("response", Shape::Section(&RESPONSE), "{}", "What is changed before it goes to the client."),
        later("limits"),
        later("timeouts"),
        later("rate_limit"),
        later("concurrency"),
        later("access"),
        later("auth"),
        later("cors"),
        later("compress"),
        later("cache"),
        bare("mirror", Shape::Section(&MIRROR), "Copies of requests to another upstream, whatever becomes of them."),
        bare(
            "upstream",
            Shape::Any(&[Shape::Text, Shape::Map(&Shape::Integer(1, 1_000_000))]),
            "An upstream's name, `host:port`, `http://host:port`, or a split: names to shares.",
        ),
        bare("split_by", Shape::Text, "What keeps a client at its part of a split: as `balance.hash`."),
        bare("redirect", Shape::Any(&[Shape::Text, Shape::Section(&REDIRECT)]), "Where the client is sent."),
        bare("respond", Shape::Section(&RESPOND), "An answer by the proxy itself."),
        later("files"),
    ],
};

pub static MATCH: Section = Section {
    title: "`match`",
    keys: &[
        bare("host", TEXT_OR_TEXTS, "`example.com`, `*.example.com` or `*`; without port."),
        bare("path", Shape::Any(&[Shape::Text, Shape::Section(&MATCH_PATH)]), "A prefix, by segment."),
        bare("method", TEXT_OR_TEXTS, "One of these methods."),
        bare("header", Shape::Map(&VALUE), "Conditions on headers, by name."),
        bare("query", Shape::Map(&VALUE), "Conditions on query parameters, by name."),
        bare("cookie", Shape::Map(&VALUE), "Conditions on cookies, by name."),
        bare("client_ip", TEXT_OR_TEXTS, "Networks or addresses the client is in."),
    ],
};

const VALUE: Shape = Shape::Any(&[Shape::Text, Shape::Section(&MATCH_VALUE)]);

pub static MATCH_PATH: Section = Section {
    title: "`path`",
    keys: &[
        bare("exact", Shape::Text, "This path and no other."),
        bare("regex", Shape::Text, "A path in which this regex is found."),
    ],
};

pub static MATCH_VALUE: Section = Section {
    title: "a condition",
    keys: &[
        bare("regex", Shape::Text, "A value in which this regex is found."),
        bare("present", Shape::Bool, "Whether it must be there, or must not."),
    ],
};

pub static REQUEST: Section = Section {
    title: "`request`",
    keys: &[
        bare("path", Shape::Section(&PATH_EDIT), "One change of the path."),
        key("header", Shape::Section(&HEADER_EDIT), "{}", "Changes of headers."),
        key("query", Shape::Section(&QUERY_EDIT), "{}", "Changes of query parameters."),
        key("cookie", Shape::Section(&COOKIE_EDIT), "{}", "Changes of cookies."),
        key("host", Shape::Text, "\"preserve\"", "The Host header: `preserve`, `upstream` or a name."),
    ],
};

pub static PATH_EDIT: Section = Section {
    title: "`path`",
    keys: &[
        bare("strip_prefix", Shape::Text, "Takes this off the front."),
        bare("add_prefix", Shape::Text, "Puts this in front."),
        bare("replace", Shape::Text, "Puts this path in its place."),
        bare("regex", Shape::Text, "What is found by this is replaced by `with`."),
        bare("with", Shape::Text, "`$1` and `$${name}` are the regex's groups."),
    ],
};

pub static HEADER_EDIT: Section = Section {
    title: "`header`",
    keys: &[
        key("set", TEXT_MAP, "{}", "Replaces every header of the name."),
        key("add", TEXT_MAP, "{}", "Adds one more."),
        key("remove", TEXTS, "[]", "Removes every header of the name."),
    ],
};

pub static QUERY_EDIT: Section = Section {
    title: "`query`",
    keys: &[
        key("set", TEXT_MAP, "{}", "Replaces every parameter of the name."),
        key("add", TEXT_MAP, "{}", "Adds one more."),
        key("remove", TEXTS, "[]", "Removes every parameter of the name."),
    ],
};

pub static COOKIE_EDIT: Section = Section {
    title: "`cookie`",
    keys: &[
        key("set", TEXT_MAP, "{}", "Replaces or adds the cookie."),
        key("remove", TEXTS, "[]", "Removes the cookie."),
    ],
};

pub static RESPONSE: Section = Section {
    title: "`response`",
    keys: &[
        key("header", Shape::Section(&HEADER_EDIT), "{}", "Changes of headers."),
        key("cookie", Shape::Section(&SET_COOKIE), "{}", "Changes of the cookies the upstream sets."),
        key(
            "location",
            Shape::Word(&["rewrite", "off"]),
            "\"rewrite\"",
            "Redirects to the upstream's own address come back as ours.",
        ),
    ],
};

pub static SET_COOKIE: Section = Section {
    title: "`cookie`",
    keys: &[
        key("domain", TEXT_MAP, "{}", "From one domain to another; to nothing drops the attribute."),
        key("path", TEXT_MAP, "{}", "From one path prefix to another."),
        key(
            "secure",
            Shape::Any(&[Shape::Bool, Shape::Word(&["auto", "keep"])]),
            "\"auto\"",
            "`auto` drops it for clients on plain HTTP, `keep` leaves it.",
        ),
        key("http_only", Shape::Any(&[Shape::Bool, Shape::Null]), "null", "Adds or drops HttpOnly; `null` leaves it."),
        key(
            "same_site",
            Shape::Any(&[Shape::Word(SAME_SITE), Shape::Null]),
            "null",
            "Sets SameSite; `null` leaves it.",
        ),
    ],
};

pub static REDIRECT: Section = Section {
    title: "`redirect`",
    keys: &[
        bare("to", Shape::Text, "With {scheme} {host} {path} {query} {method} {client_ip} {request_id}."),
        key("status", Shape::Integer(301, 308), "308", "301, 302, 303, 307 or 308."),
    ],
};

pub static RESPOND: Section = Section {
    title: "`respond`",
    keys: &[
        key("status", Shape::Integer(200, 599), "200", "The status."),
        key("body", Shape::Text, "\"\"", "The body."),
        key("header", TEXT_MAP, "{}", "Its headers."),
    ],
};

pub static ERRORS: Section = Section {
    title: "`errors`",
    keys: &[key(
        "pages",
        TEXT_MAP,
        "{}",
        "A status such as `502`, or a class such as `5xx`, to a .html, .json or .txt file.",
    )],
};
