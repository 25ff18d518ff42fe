//! One request as one line: JSON, combined, or short text for a terminal.
//! Cookies and Authorization never appear.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::config::AccessFormat;

/// Of one value in a line.
const MOST_BYTES: usize = 4096;

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    Client,
    Proxy,
    Upstream,
}

impl ErrorSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Proxy => "proxy",
            Self::Upstream => "upstream",
        }
    }
}

/// A finished request.
#[derive(Clone, Debug)]
pub struct Record<'r> {
    pub at: SystemTime,
    pub request_id: u64,
    pub client_ip: Option<IpAddr>,
    pub remote_ip: Option<IpAddr>,
    pub method: &'r str,
    pub scheme: &'r str,
    pub host: &'r [u8],
    pub path: &'r [u8],
    pub query: &'r [u8],
    pub proto: &'r str,
    /// 499 when the client left before an answer.
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration: Duration,
    pub route: Option<&'r str>,
    pub upstream: Option<&'r str>,
    pub upstream_status: Option<u16>,
    pub connect: Option<Duration>,
    pub ttfb: Option<Duration>,
    pub retries: u32,
    pub reused: bool,
    pub user_agent: Option<&'r [u8]>,
    pub referer: Option<&'r [u8]>,
    pub error: Option<&'r str>,
    pub error_source: Option<ErrorSource>,
}

/// Appends the line, with its newline. `colour` is asked only by the text format.
pub fn render(out: &mut Vec<u8>, record: &Record<'_>, format: AccessFormat, colour: bool) {
    match format {
        AccessFormat::Json => json(out, record),
        AccessFormat::Combined => combined(out, record),
        AccessFormat::Text => text(out, record, colour),
    }
    out.push(b'\n');
}

fn put(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    out.write_fmt(arguments).unwrap_or_default();
}

fn json(out: &mut Vec<u8>, r: &Record<'_>) {
    put(out, format_args!("{{\"ts\":\"{}\"", Timestamp(r.at)));
    let level = if r.error.is_some() && r.error_source != Some(ErrorSource::Client) { "error" } else { "info" };
    put(out, format_args!(",\"level\":\"{level}\",\"request_id\":\"{:016x}\"", r.request_id));
    optional(out, "client_ip", r.client_ip);
    optional(out, "remote_ip", r.remote_ip);
    string(out, "method", r.method.as_bytes());
    string(out, "scheme", r.scheme.as_bytes());
    string(out, "host", r.host);
    string(out, "path", r.path);
    string(out, "query", r.query);
    string(out, "proto", r.proto.as_bytes());
    put(out, format_args!(",\"status\":{},\"bytes_in\":{},\"bytes_out\":{}", r.status, r.bytes_in, r.bytes_out));
    millis(out, "duration_ms", r.duration);
    for (key, value) in [("route", r.route), ("upstream", r.upstream)] {
        if let Some(value) = value {
            string(out, key, value.as_bytes());
        }
    }
    if let Some(status) = r.upstream_status {
        put(out, format_args!(",\"upstream_status\":{status}"));
    }
    for (key, value) in [("connect_ms", r.connect), ("ttfb_ms", r.ttfb)] {
        if let Some(value) = value {
            millis(out, key, value);
        }
    }
    if r.upstream.is_some() {
        put(out, format_args!(",\"retries\":{},\"reused\":{}", r.retries, r.reused));
    }
    for (key, value) in [("user_agent", r.user_agent), ("referer", r.referer)] {
        if let Some(value) = value {
            string(out, key, value);
        }
    }
    if let Some(error) = r.error {
        string(out, "error", error.as_bytes());
        string(out, "error_source", r.error_source.unwrap_or(ErrorSource::Proxy).as_str().as_bytes());
    }
    out.push(b'}');
}

fn optional(out: &mut Vec<u8>, key: &str, ip: Option<IpAddr>) {
    if let Some(ip) = ip {
        put(out, format_args!(",\"{key}\":\"{ip}\""));
    }
}

fn millis(out: &mut Vec<u8>, key: &str, value: Duration) {
    let micros = value.as_micros();
    put(out, format_args!(",\"{key}\":{}.{:03}", micros / 1000, micros % 1000));
}

/// Clients choose these; the queue is bounded in lines, so a line must be too.
fn bounded(value: &[u8]) -> &[u8] {
    value.get(..MOST_BYTES).unwrap_or(value)
}

fn string(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let value = bounded(value);
    put(out, format_args!(",\"{key}\":\""));
    match std::str::from_utf8(value) {
        Ok(text) => escape(out, text, true),
        Err(_) => escape(out, &String::from_utf8_lossy(value), true),
    }
    out.push(b'"');
}

/// Control bytes would let a client write lines of its own.
fn escape(out: &mut Vec<u8>, text: &str, json: bool) {
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                if json {
                    put(out, format_args!("\\u{:04x}", u32::from(c)));
                } else {
                    put(out, format_args!("\\x{:02x}", u32::from(c)));
                }
            }
            c => {
                let mut buffer = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
}

fn target(out: &mut Vec<u8>, r: &Record<'_>) {
    escape(out, &String::from_utf8_lossy(bounded(r.path)), false);
    if !r.query.is_empty() {
        out.push(b'?');
        escape(out, &String::from_utf8_lossy(bounded(r.query)), false);
    }
}

fn combined(out: &mut Vec<u8>, r: &Record<'_>) {
    match r.client_ip {
        Some(ip) => put(out, format_args!("{ip}")),
        None => out.push(b'-'),
    }
    put(out, format_args!(" - - [{}] \"{} ", CommonTime(r.at), r.method));
    target(out, r);
    put(out, format_args!(" {}\" {} {}", r.proto, r.status, r.bytes_out));
    for value in [r.referer, r.user_agent] {
        out.extend_from_slice(b" \"");
        match value {
            Some(value) => escape(out, &String::from_utf8_lossy(bounded(value)), false),
            None => out.push(b'-'),
        }
        out.push(b'"');
    }
}

fn text(out: &mut Vec<u8>, r: &Record<'_>, colour: bool) {
    let code = match r.status {
        500.. => "31",
        400..500 => "33",
        300..400 => "36",
        _ => "32",
    };
    let (on, bold, dim, off) =
        if colour { (format!("\x1b[{code}m"), "\x1b[1m", "\x1b[2m", "\x1b[0m") } else { (String::new(), "", "", "") };
    put(out, format_args!("{dim}{}{off} {on}{}{off} {bold}{:<6}{off} ", ClockTime(r.at), r.status, r.method));
    target(out, r);
    put(out, format_args!(" {dim}{:.1}ms", r.duration.as_secs_f64() * 1000.0));
    if let Some(upstream) = r.upstream {
        put(out, format_args!(" -> {upstream}"));
    }
    out.extend_from_slice(off.as_bytes());
    if let Some(error) = r.error {
        put(out, format_args!(" {on}"));
        escape(out, error, false);
        out.extend_from_slice(off.as_bytes());
    }
}

struct Timestamp(SystemTime);
struct CommonTime(SystemTime);
struct ClockTime(SystemTime);

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let c = Civil::from(self.0);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second, c.milli
        )
    }
}

impl std::fmt::Display for CommonTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let c = Civil::from(self.0);
        let month = MONTHS.get(c.month as usize - 1).copied().unwrap_or("Jan");
        write!(f, "{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000", c.day, c.year, c.hour, c.minute, c.second)
    }
}

impl std::fmt::Display for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let c = Civil::from(self.0);
        write!(f, "{:02}:{:02}:{:02}", c.hour, c.minute, c.second)
    }
}

struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u32,
}

impl From<SystemTime> for Civil {
    /// Howard Hinnant's `civil_from_days`, in UTC.
    fn from(at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let days = i64::try_from(seconds / 86_400).unwrap_or(0) + 719_468;
        let era = days.div_euclid(146_097);
        let doe = days.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Self {
            year: yoe + era * 400 + i64::from(month <= 2),
            month: u32::try_from(month).unwrap_or(1),
            day: u32::try_from(doy - (153 * mp + 2) / 5 + 1).unwrap_or(1),
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            milli: since.subsec_millis(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'r>() -> Record<'r> {
        Record {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_210_096_789),
            request_id: 0xab,
            client_ip: "1.2.3.4".parse().ok(),
            remote_ip: None,
            method: "GET",
            scheme: "http",
            host: b"h\"",
            path: b"/a\x1b\n\xff",
            query: b"q=1",
            proto: "HTTP/1.1",
            status: 502,
            bytes_in: 1,
            bytes_out: 2,
            duration: Duration::from_micros(1_234),
            route: Some("r"),
            upstream: None,
            upstream_status: None,
            connect: None,
            ttfb: None,
            retries: 0,
            reused: false,
            user_agent: Some(b"ua"),
            referer: None,
            error: Some("refused"),
            error_source: Some(ErrorSource::Upstream),
        }
    }

    fn line(format: AccessFormat) -> String {
        let mut out = Vec::new();
        render(&mut out, &record(), format, false);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_json_and_holds_the_fields() {
        let value: serde_json::Value = serde_json::from_str(&line(AccessFormat::Json)).unwrap();
        assert_eq!(value["ts"], "2024-02-29T12:34:56.789Z");
        assert_eq!(value["request_id"], "00000000000000ab");
        assert_eq!(value["host"], "h\"");
        assert_eq!(value["path"], "/a\u{1b}\n\u{fffd}");
        assert_eq!(value["duration_ms"], 1.234);
        assert_eq!(value["error_source"], "upstream");
    }

    #[test]
    fn one_request_is_one_line_in_every_format() {
        for format in [AccessFormat::Json, AccessFormat::Combined, AccessFormat::Text] {
            let line = line(format);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(!line.contains('\x1b'), "{line}");
        }
        assert!(line(AccessFormat::Combined).starts_with(
            "1.2.3.4 - - [29/Feb/2024:12:34:56 +0000] \"GET /a\\x1b\\x0a\u{fffd}?q=1 HTTP/1.1\" 502 2 \"-\" \"ua\""
        ));
    }
}
