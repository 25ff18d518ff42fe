//! An access record as one line: in the combined format, or as short text for a terminal;
//! the other formats are in `json` and `template`. Cookies and Authorization are not logged.

use std::io::Write as _;

use super::record::AccessRecord;
use super::time::{ClockTime, CommonTime};
use super::{bounds, json, template};
use crate::config::AccessFormat;
use crate::message::escaping::push_escaped;

/// Appends the line with its newline. Only the text format has colours.
pub fn render(out: &mut Vec<u8>, record: &AccessRecord<'_>, format: &AccessFormat, colour: bool) {
    match format {
        AccessFormat::Json => json::line(out, record),
        AccessFormat::Combined => combined(out, record),
        AccessFormat::Text => text(out, record, colour),
        AccessFormat::Template(template) => template::line(out, record, template),
    }
    out.push(b'\n');
}

fn put(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    out.write_fmt(arguments).unwrap_or_default();
}

fn target(out: &mut Vec<u8>, r: &AccessRecord<'_>) {
    push_escaped(out, bounds::value(r.path));
    if !r.query.is_empty() {
        out.push(b'?');
        push_escaped(out, bounds::value(r.query));
    }
}

fn combined(out: &mut Vec<u8>, r: &AccessRecord<'_>) {
    match r.client_ip {
        Some(ip) => put(out, format_args!("{ip}")),
        None => out.push(b'-'),
    }
    put(out, format_args!(" - - [{}] \"", CommonTime(r.at)));
    push_escaped(out, bounds::method(r.method.as_bytes()));
    out.push(b' ');
    target(out, r);
    out.push(b' ');
    push_escaped(out, bounds::protocol(r.proto.as_bytes()));
    put(out, format_args!("\" {} {}", r.status, r.bytes_out));
    for value in [r.referer, r.user_agent] {
        out.extend_from_slice(b" \"");
        match value {
            Some(value) => push_escaped(out, bounds::value(value)),
            None => out.push(b'-'),
        }
        out.push(b'"');
    }
}

fn text(out: &mut Vec<u8>, r: &AccessRecord<'_>, colour: bool) {
    let code = match r.status {
        500.. => "31",
        400..500 => "33",
        300..400 => "36",
        _ => "32",
    };
    let (on, bold, dim, off) =
        if colour { (format!("\x1b[{code}m"), "\x1b[1m", "\x1b[2m", "\x1b[0m") } else { (String::new(), "", "", "") };
    put(out, format_args!("{dim}{}{off} {on}{}{off} {bold}", ClockTime(r.at), r.status));
    let method = bounds::method(r.method.as_bytes());
    push_escaped(out, method);
    // Six columns hold every usual method but two.
    put(out, format_args!("{:1$}{off} ", "", 6_usize.saturating_sub(method.len())));
    target(out, r);
    put(out, format_args!(" {dim}{:.1}ms", r.duration.as_secs_f64() * 1000.0));
    if let Some(upstream) = r.upstream {
        out.extend_from_slice(b" -> ");
        push_escaped(out, upstream.as_bytes());
    }
    out.extend_from_slice(off.as_bytes());
    if let Some(error) = r.error {
        put(out, format_args!(" {on}"));
        push_escaped(out, error.as_bytes());
        out.extend_from_slice(off.as_bytes());
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::LazyLock;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::message::request_id::RequestId;
    use crate::telemetry::record::ErrorSource;

    static EXAMPLE: LazyLock<RequestId> = LazyLock::new(RequestId::example);

    pub fn record<'r>() -> AccessRecord<'r> {
        AccessRecord {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_210_096_789),
            request_id: &EXAMPLE,
            trace_id: None,
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
            queue: None,
            connect: None,
            tls: None,
            ttfb: None,
            retries: 0,
            reused: false,
            tls_version: None,
            sni: None,
            user_agent: Some(b"ua"),
            referer: None,
            reason: Some("upstream_refused"),
            error: Some("refused"),
            error_source: Some(ErrorSource::Upstream),
            listener: Some("127.0.0.1:80"),
            headers: None,
        }
    }

    fn line(format: &AccessFormat) -> String {
        let mut out = Vec::new();
        render(&mut out, &record(), format, false);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_json_and_holds_the_fields() {
        let value: serde_json::Value = serde_json::from_str(&line(&AccessFormat::Json)).unwrap();
        assert_eq!(value["ts"], "2024-02-29T12:34:56.789Z");
        assert_eq!(value["request_id"], RequestId::example().to_string());
        assert_eq!(value["host"], "h\"");
        assert_eq!(value["path"], "/a\u{1b}\n\u{fffd}");
        assert_eq!(value["duration_ms"], 1.234);
        assert_eq!((&value["reason"], &value["error_source"]), (&"upstream_refused".into(), &"upstream".into()));
        assert_eq!(value["listener"], "127.0.0.1:80");
    }

    #[test]
    fn nothing_that_a_client_chose_is_raw_or_without_bound() {
        let long = "\x1b\"".repeat(50_000);
        let mut hostile = record();
        (hostile.method, hostile.proto, hostile.host) = (&long, &long, long.as_bytes());
        (hostile.path, hostile.query) = (long.as_bytes(), long.as_bytes());
        (hostile.user_agent, hostile.referer) = (Some(long.as_bytes()), Some(long.as_bytes()));
        for format in [AccessFormat::Json, AccessFormat::Combined, AccessFormat::Text] {
            let mut out = Vec::new();
            render(&mut out, &hostile, &format, false);
            assert!(!out.contains(&b'\x1b') && out.len() < 100_000, "{format:?}: {}", out.len());
        }
        let mut out = Vec::new();
        render(&mut out, &hostile, &AccessFormat::Combined, false);
        // Those that delimit its six values.
        assert_eq!(out.iter().filter(|byte| **byte == b'"').count(), 6);
    }

    #[test]
    fn one_request_is_one_line_in_every_format() {
        for format in [AccessFormat::Json, AccessFormat::Combined, AccessFormat::Text] {
            let line = line(&format);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(!line.contains('\x1b'), "{line}");
        }
        assert!(line(&AccessFormat::Combined).starts_with(
            "1.2.3.4 - - [29/Feb/2024:12:34:56 +0000] \"GET /a\\x1B\\x0A\\xFF?q=1 HTTP/1.1\" 502 2 \"-\" \"ua\""
        ));
    }
}
