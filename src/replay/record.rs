//! One recorded request: a line of the access log, and the request that it tells of.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;

use crate::telemetry::{LONGEST_VALUE, REDACTED};

/// Why a line is no recorded request, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood(pub String);

/// What a line holds of a request, as docs/logs.md has it.
#[derive(Debug, Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    method: Cow<'l, str>,
    #[serde(borrow, default)]
    scheme: Cow<'l, str>,
    #[serde(borrow, default)]
    host: Cow<'l, str>,
    #[serde(borrow)]
    path: Cow<'l, str>,
    #[serde(borrow, default)]
    query: Cow<'l, str>,
    #[serde(borrow, default)]
    proto: Cow<'l, str>,
    client_ip: Option<IpAddr>,
    remote_ip: Option<IpAddr>,
    #[serde(default)]
    bytes_in: u64,
    #[serde(borrow)]
    tls_version: Option<Cow<'l, str>>,
    #[serde(borrow)]
    sni: Option<Cow<'l, str>>,
    #[serde(borrow)]
    user_agent: Option<Cow<'l, str>>,
    #[serde(borrow)]
    referer: Option<Cow<'l, str>>,
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Record {
    pub method: String,
    pub host: String,
    /// Without its query.
    pub path: String,
    /// Its head as far as the log has it, as it would come over the wire.
    pub head: Vec<u8>,
    /// The other end of the connection.
    pub remote_ip: Option<IpAddr>,
    pub is_tls: bool,
    /// The name that the client asked for in the handshake.
    pub sni: Option<String>,
    /// Whether a parameter's value was hidden from the log.
    pub has_hidden_query: bool,
    /// Whether a trusted proxy told who the client is.
    pub is_forwarded: bool,
    /// Why nothing can be told of it, whatever the configurations say.
    pub untold: Option<&'static str>,
}

impl Record {
    /// Reads a line of the access log in the format `json`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(line: &[u8]) -> Result<Self, NotUnderstood> {
        let line = line.trim_ascii();
        if !line.starts_with(b"{") {
            let why = "it is no JSON; other formats do not hold the host (`log.access.format: json` does)";
            return Err(NotUnderstood(why.to_owned()));
        }
        let line: Line<'_> = serde_json::from_slice(line).map_err(|e| NotUnderstood(e.to_string()))?;
        Ok(Self::of(&line))
    }

    fn of(line: &Line<'_>) -> Self {
        let is_tls = line.tls_version.is_some();
        let own_scheme = if is_tls { "https" } else { "http" };
        let is_forwarded = line.client_ip != line.remote_ip && line.remote_ip.is_some()
            || !line.scheme.is_empty() && line.scheme != own_scheme;
        Self {
            method: line.method.as_ref().to_owned(),
            host: line.host.as_ref().to_owned(),
            path: line.path.as_ref().to_owned(),
            head: head(line, is_forwarded),
            remote_ip: line.remote_ip.or(line.client_ip),
            is_tls,
            sni: line.sni.as_ref().map(|name| name.as_ref().to_owned()),
            has_hidden_query: line.query.contains(REDACTED),
            is_forwarded,
            untold: untold(line),
        }
    }
}

fn untold(line: &Line<'_>) -> Option<&'static str> {
    let optional = [&line.user_agent, &line.referer].into_iter().flatten();
    let values = || [&line.host, &line.path, &line.query].into_iter().chain(optional.clone());
    if line.method.is_empty() || line.path.is_empty() {
        return Some("the log does not hold the request: it was refused before it was read");
    }
    if values().any(|value| value.len() >= LONGEST_VALUE) {
        return Some("a value was cut in the log");
    }
    if values().any(|value| value.contains(|c: char| c == '\u{fffd}' || c.is_control())) {
        return Some("a value has bytes that the log does not hold as they were");
    }
    None
}

/// The request's head as far as the log has it. What a trusted proxy has said of the client is
/// said again.
fn head(line: &Line<'_>, is_forwarded: bool) -> Vec<u8> {
    let version = if line.proto == "HTTP/1.0" { "1.0" } else { "1.1" };
    let mut head = Vec::with_capacity(256);
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
    push(&[&line.method, " ", &line.path]);
    if !line.query.is_empty() {
        push(&["?", &line.query]);
    }
    push(&[" HTTP/", version, "\r\n"]);
    if !line.host.is_empty() {
        push(&["Host: ", &line.host, "\r\n"]);
    }
    if let Some(agent) = &line.user_agent {
        push(&["User-Agent: ", agent, "\r\n"]);
    }
    if let Some(referer) = &line.referer {
        push(&["Referer: ", referer, "\r\n"]);
    }
    if line.bytes_in > 0 {
        push(&["Content-Length: ", &line.bytes_in.to_string(), "\r\n"]);
    }
    if let Some(client) = line.client_ip.filter(|_| is_forwarded) {
        push(&["X-Forwarded-For: ", &client.to_string(), "\r\nX-Forwarded-Proto: ", &line.scheme, "\r\n"]);
    }
    push(&["\r\n"]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_the_head_that_it_tells_of() {
        let line = r#"{"method":"POST","scheme":"https","host":"a.example","path":"/x","query":"q=1","proto":"HTTP/1.1",
            "client_ip":"9.9.9.9","remote_ip":"10.0.0.1","bytes_in":3,"user_agent":"u \"x\"","later":[1]}"#;
        let record = Record::parse(line.as_bytes()).unwrap();
        let wanted = "POST /x?q=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: u \"x\"\r\nContent-Length: 3\r\n\
                      X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&record.head), wanted);
        assert!(record.untold.is_none() && record.is_forwarded && !record.is_tls);
        assert_eq!(record.remote_ip, "10.0.0.1".parse().ok());
    }

    #[test]
    fn what_the_log_does_not_hold_is_said() {
        let untold = |line: &str| Record::parse(line.as_bytes()).unwrap().untold.is_some();
        assert!(untold(r#"{"method":"","path":""}"#));
        assert!(untold(&format!(r#"{{"method":"GET","path":"/{}"}}"#, "x".repeat(LONGEST_VALUE))));
        assert!(untold("{\"method\":\"GET\",\"path\":\"/\u{fffd}\"}"));
        assert!(untold(r#"{"method":"GET","path":"/","user_agent":"a\r\nHost: b"}"#));
        assert!(!untold(r#"{"method":"GET","path":"/"}"#));
        assert!(Record::parse(b"1.2.3.4 - - [x] \"GET / HTTP/1.1\" 200 1").unwrap_err().0.contains("host"));
        assert!(Record::parse(b"{\"method\":1}").is_err());
    }
}
