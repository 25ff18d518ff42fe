//! Hostile and rare requests of HTTP/1, as bytes: one table for every proxy that is asked.

use std::fmt::Write as _;

/// A request only for a reader that ends the one before it early.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// What we do with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The origin gets no whole request.
    Refused,
    /// The origin gets this many.
    Forwarded(usize),
}

pub struct Case {
    pub section: &'static str,
    pub name: String,
    /// The specification that decides.
    pub clause: &'static str,
    pub bytes: Vec<u8>,
    pub expected: Expected,
    /// Fields of which the page says what the origin got; `target` is that of the request.
    pub shown: &'static [&'static str],
}

#[derive(Default)]
struct Table {
    cases: Vec<Case>,
    section: &'static str,
    clause: &'static str,
}

impl Table {
    /// The cases that follow are of this section and decided by this clause.
    fn by(&mut self, section: &'static str, clause: &'static str) {
        (self.section, self.clause) = (section, clause);
    }

    fn add(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>, expected: Expected) -> &mut Case {
        let (section, clause, bytes) = (self.section, self.clause, bytes.as_ref().to_vec());
        self.cases.push(Case { section, name: name.into(), clause, bytes, expected, shown: &[] });
        self.cases.last_mut().unwrap()
    }

    fn refused(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>) {
        self.add(name, bytes, Expected::Refused);
    }

    fn forwarded(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>) -> &mut Case {
        self.add(name, bytes, Expected::Forwarded(1))
    }

    /// Of each value of a field: a POST that is refused, with another request in what may be its body.
    fn refused_values(&mut self, field: &str, values: &[&str]) {
        for value in values {
            let name = format!("`{field}: {}`", value.escape_debug());
            self.refused(name, post(&format!("{field}: {value}"), &format!("0\r\n\r\n{SMUGGLED}")));
        }
    }
}

fn get(fields: &str) -> String {
    request("GET", "/case", fields)
}

fn request(method: &str, target: &str, fields: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n");
    if !fields.is_empty() {
        write!(text, "{fields}\r\n").unwrap();
    }
    text + "\r\n"
}

fn post(fields: &str, body: &str) -> String {
    request("POST", "/case", fields) + body
}

fn chunks(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

pub fn cases() -> Vec<Case> {
    let mut table = Table::default();
    lengths(&mut table);
    codings(&mut table);
    bodies(&mut table);
    chunk_sizes(&mut table);
    lines(&mut table);
    versions(&mut table);
    hosts(&mut table);
    targets(&mut table);
    fields(&mut table);
    upgrades(&mut table);
    table.cases
}

const FRAMING: &str = "Framing";

fn lengths(table: &mut Table) {
    table.by(FRAMING, "RFC 9112 §6.3");
    let both = |first: &str, second: &str| post(&format!("{first}\r\n{second}"), &format!("0\r\n\r\n{SMUGGLED}"));
    table.refused("Content-Length, then Transfer-Encoding", both("Content-Length: 4", "Transfer-Encoding: chunked"));
    table.refused("Transfer-Encoding, then Content-Length", both("Transfer-Encoding: chunked", "Content-Length: 4"));
    table.refused("two lengths that differ", post("Content-Length: 5\r\nContent-Length: 6", "hello!"));
    table.refused("two equal lengths", post("Content-Length: 5\r\nContent-Length: 5", "hello"));
    for value in ["5, 6", "5, 5", "+5", "-0", "0x5", "1_0", "5a", "5 0", "", "05", "99999999999999999999"] {
        table.refused(format!("`Content-Length: {value}`"), post(&format!("Content-Length: {value}"), "hello"));
    }
}

fn codings(table: &mut Table) {
    table.by(FRAMING, "RFC 9112 §6.1");
    table.refused_values(
        "Transfer-Encoding",
        &[
            "gzip, chunked",
            "chunked, gzip",
            "gzip",
            "x",
            "identity",
            "chunked, chunked",
            ",chunked",
            "chunked;x",
            "xchunked",
            "chunke\u{e4}",
            "\u{b}chunked",
            "\u{c}chunked",
            "chunked\0",
        ],
    );
    table.refused("Transfer-Encoding folded", post("Transfer-Encoding:\r\n chunked", &format!("0\r\n\r\n{SMUGGLED}")));
    table
        .refused("`Transfer-Encoding : chunked`", post("Transfer-Encoding : chunked", &format!("0\r\n\r\n{SMUGGLED}")));
    table.refused(
        "Transfer-Encoding in two fields",
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", &format!("0\r\n\r\n{SMUGGLED}")),
    );
    table.refused(
        "Transfer-Encoding in HTTP/1.0",
        format!("POST /case HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
    );
    table.refused("`Transfer-Encoding:\\tchunked`", post("Transfer-Encoding:\tchunked", "5\r\nhello\r\n0\r\n\r\n"));
}

fn bodies(table: &mut Table) {
    table.by(FRAMING, "RFC 9110 §9.3.1");
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let sized = request(method, "/case", "Content-Length: 5") + "hello";
        table.forwarded(format!("{method} with a body of a length"), sized);
        let chunked = request(method, "/case", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n";
        table.forwarded(format!("{method} with a chunked body"), chunked);
    }
    table.by(FRAMING, "RFC 9110 §10.1.1");
    table.forwarded("`Expect: 100-continue`", post("Content-Length: 5\r\nExpect: 100-continue", "hello"));
    table.forwarded("`Expect: , 100-continue`", post("Content-Length: 5\r\nExpect: , 100-continue", "hello"));
    table.refused("an unknown expectation", get("Expect: magic"));
}

fn chunk_sizes(table: &mut Table) {
    table.by(FRAMING, "RFC 9112 §7.1");
    for size in ["+5", "-5", "0x5", "1_0", "", " 5", "00000000000000005", "5\u{b}"] {
        let name = format!("a chunk size of `{}`", size.escape_debug());
        table.refused(name, chunks(&format!("{size}\r\nhello\r\n0\r\n\r\n")));
    }
    table.refused("a chunk without its CR LF", chunks("5\r\nhello0\r\n\r\n"));
    table.refused("a chunk that is longer than it says", chunks("5\r\nhello!\r\n0\r\n\r\n"));
    table.refused("a bare LF behind a chunk size", chunks("5\nhello\r\n0\r\n\r\n"));
    table.refused("a bare CR behind a chunk size", chunks("5\rhello\r\n0\r\n\r\n"));
    table.refused("a bare LF behind a chunk", chunks("5\r\nhello\n0\r\n\r\n"));
    table.refused("a bare LF at the end of the body", chunks("5\r\nhello\r\n0\n\n"));
    table.by(FRAMING, "RFC 9112 §7.1.1");
    table.forwarded("a chunk extension", chunks("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"));
    table.refused("a chunk extension with a control byte", chunks("5;a\u{1}\r\nhello\r\n0\r\n\r\n"));
    table.refused("a chunk extension with a bare LF", chunks(&format!("5;a\nhello\r\n0\r\n\r\n{SMUGGLED}")));
    table.refused("a chunk extension of 64 KiB", chunks(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(64 << 10))));
    table.by(FRAMING, "RFC 9110 §6.5.1");
    let trailers = "0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b.test\r\nAuthorization: x\r\n\r\n";
    let case =
        table.forwarded("trailers that frame, route and authorize", chunks(&format!("5\r\nhello\r\n{trailers}")));
    case.shown = &["host", "authorization"];
    table.refused("a trailer that is no field", chunks("0\r\nGET / HTTP/1.1\r\n\r\n"));
}

fn lines(table: &mut Table) {
    table.by(FRAMING, "RFC 9112 §2.2");
    table.refused("a head with bare LF", "GET /case HTTP/1.1\nHost: a.test\n\n");
    table.refused("a field that ends with a bare LF", get("X: 1\nY: 2"));
    table.refused("a bare CR in a field", get("X: 1\rY: 2"));
    table.refused("NUL in a field", get("X: 1\0"));
    table.refused("NUL in the request line", request("GET", "/ca\0se", ""));
    table.refused("a blank before the first field", "GET /case HTTP/1.1\r\n Host: a.test\r\nHost: a.test\r\n\r\n");
    table.forwarded("an empty line before the request", format!("\r\n{}", get("")));
    table.by(FRAMING, "RFC 9112 §5");
    table.refused("a folded field", get("X: 1\r\n 2"));
    table.refused("a blank before the colon", get("X : 1"));
    table.refused("an empty name", get(": 1"));
    table.refused("a name with a blank", get("X Y: 1"));
    table.refused("a name that is no token", get("X(: 1"));
    table.refused("a field without a colon", get("X"));
    table.refused("a name outside ASCII", get("X\u{e4}: 1"));
    table.by(FRAMING, "RFC 9110 §15.5");
    table.refused("a request line of 9 KiB", request("GET", &format!("/{}", "p".repeat(9 << 10)), ""));
    table.refused("a head of 40 KiB", get(&format!("X: {}", "v".repeat(40 << 10))));
    table.refused("101 fields", get(&vec!["X: 1"; 101].join("\r\n")));
}

fn versions(table: &mut Table) {
    table.by(FRAMING, "RFC 9112 §2.3");
    for version in ["HTTP/1", "http/1.1", "HTTP/01.1", "HTTP/1.10", "HTTP/1.1x", "HTTP /1.1", "HTTP/2.0", "HTTP/3.0"] {
        table.refused(format!("`{version}`"), format!("GET /case {version}\r\nHost: a.test\r\n\r\n"));
    }
    table.refused("no version (HTTP/0.9)", "GET /case\r\n\r\n");
    table.refused("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    table.forwarded("HTTP/1.0", "GET /case HTTP/1.0\r\nHost: a.test\r\n\r\n");
}

const TARGET: &str = "Target and Host";

fn hosts(table: &mut Table) {
    table.by(TARGET, "RFC 9112 §3.2");
    let with = |host: &str| format!("GET /case HTTP/1.1\r\n{host}\r\n");
    table.refused("no Host", with(""));
    table.refused("two equal Hosts", with("Host: a.test\r\nHost: a.test\r\n"));
    table.refused("two Hosts", with("Host: a.test\r\nHost: b.test\r\n"));
    for host in [
        "",
        "a.test, b.test",
        "u@a.test",
        "a test",
        "a<b",
        "a.test/x",
        "a.test:99999",
        "a.test:x",
        "[::1",
        "a.test\u{e4}",
    ] {
        table.refused(format!("`Host: {host}`"), with(&format!("Host: {host}\r\n")));
    }
    table.by(TARGET, "RFC 9112 §3.2.2");
    let absolute = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    table.refused("absolute form of another host", absolute("http://b.test/case", "a.test"));
    table.refused("absolute form with userinfo", absolute("http://u@a.test/case", "a.test"));
    let case = table.forwarded(
        "absolute form of the same host, in capitals and with its port",
        absolute("http://A.test:80/case", "a.test"),
    );
    case.shown = &["target"];
}

fn targets(table: &mut Table) {
    table.by(TARGET, "RFC 9112 §3.2.4");
    table.refused("`GET *`", request("GET", "*", ""));
    table.forwarded("`OPTIONS *`", request("OPTIONS", "*", ""));
    table.by(TARGET, "RFC 9110 §9.3");
    table.refused("CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
    table.refused("TRACE", request("TRACE", "/case", ""));
    table.refused("a method that is no token", request("GE(T", "/case", ""));
    table.by(TARGET, "RFC 3986 §3");
    for target in [
        "/ca#se",
        "/ca\\se",
        "/caf\u{e9}",
        "/ca%00se",
        "/ca%0d%0ase",
        "/ca%zzse",
        "/ca%2",
        "/ca se",
        "case",
        "/ca\u{7f}se",
    ] {
        table.refused(format!("`{}`", target.escape_debug()), request("GET", target, ""));
    }
    table.by(TARGET, "RFC 3986 §6.2");
    for target in ["/x/../y", "/x/%2e%2e/y", "//x", "/x%2fy", "/x%5cy", "/x;a=b/y", "/%7Ex", "/x?y=%7e&&z"] {
        let case =
            table.forwarded(format!("`{target}`, where all readings have one route"), request("GET", target, ""));
        case.shown = &["target"];
    }
}

const HEADERS: &str = "Headers";

fn fields(table: &mut Table) {
    table.by(HEADERS, "RFC 9110 §7.6.1");
    let own = "Connection: x-own, keep-alive\r\nX-Own: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers";
    table.forwarded("fields that end at this hop", get(own)).shown = &["x-own", "keep-alive", "proxy-connection", "te"];
    for name in ["Host", "Authorization", "X-Forwarded-For", "Content-Length"] {
        let length = if name == "Content-Length" { "Content-Length: 0\r\n" } else { "" };
        table.refused(format!("`Connection: {name}`"), get(&format!("{length}Authorization: x\r\nConnection: {name}")));
    }
    table.by(HEADERS, "RFC 7239 §8.1");
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6";
    table.forwarded("what a stranger says of the client", get(forged)).shown =
        &["x-forwarded-for", "x-forwarded-proto", "x-real-ip", "forwarded"];
    table.by(HEADERS, "RFC 3875 §4.1.18");
    table.forwarded("a name with an underscore", get("X_User: admin")).shown = &["x_user"];
    table.by(HEADERS, "RFC 9110 §5.5");
    table.forwarded(
        "bytes outside ASCII in a value",
        [b"GET /case HTTP/1.1\r\nHost: a.test\r\nX: caf", &b"\xe9\r\n\r\n"[..]].concat(),
    );
    table.refused("a control byte in a value", get("X: a\u{1}b"));
    table.by(HEADERS, "RFC 9110 §11.7");
    table.forwarded("Proxy-Authorization", get("Proxy-Authorization: Basic eDp5")).shown = &["proxy-authorization"];
    table.by(HEADERS, "RFC 9110 §5.6.1");
    table.forwarded("a list with empty elements", get("Connection: , keep-alive ,"));
}

const UPGRADES: &str = "Upgrades";

const WEBSOCKET: &str =
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

fn upgrades(table: &mut Table) {
    table.by(UPGRADES, "RFC 9110 §7.8");
    let shown = &["connection", "upgrade"];
    let asked = get(&format!("Connection: Upgrade\r\n{WEBSOCKET}"));
    table.forwarded("an upgrade that the origin does not take", &asked).shown = shown;
    table.forwarded("Upgrade that Connection does not name", get(WEBSOCKET)).shown = shown;
    let old = format!("GET /case HTTP/1.0\r\nHost: a.test\r\nConnection: Upgrade\r\n{WEBSOCKET}\r\n\r\n");
    table.forwarded("an upgrade in HTTP/1.0", old).shown = shown;
    let next = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";
    table.add("another request behind an upgrade that is not taken", asked + next, Expected::Forwarded(2));
    table.by(UPGRADES, "RFC 9113 §3.1");
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__";
    table.forwarded("an upgrade to HTTP/2", get(h2c)).shown = &["connection", "upgrade", "http2-settings"];
}
