//! An access record as a line of JSON. It is written by hand and not by `serde_json`,
//! because it is most of what a logged request costs: fixed text, digits, and strings that
//! rarely need an escape.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::bounds;
use super::record::{AccessRecord, ErrorSource};
use super::time::{push_timestamp, put_digits};
use crate::message::escaping::{PLAIN, is_dangerous};

pub fn line(out: &mut Vec<u8>, r: &AccessRecord<'_>) {
    raw(out, "{\"ts\":\"");
    push_timestamp(out, r.at);
    raw(out, if failed(r) { "\",\"level\":\"error\"" } else { "\",\"level\":\"info\"" });
    raw(out, ",\"request_id\":\"");
    r.request_id.push_to(out);
    raw(out, "\"");
    optional(out, ",\"trace_id\":\"", r.trace_id);
    let client = address(out, ",\"client_ip\":\"", r.client_ip);
    if r.client_ip == r.remote_ip && r.client_ip.is_some() {
        raw(out, ",\"remote_ip\":\"");
        out.extend_from_within(client);
    } else {
        address(out, ",\"remote_ip\":\"", r.remote_ip);
    }
    string(out, ",\"method\":\"", bounds::method(r.method.as_bytes()));
    string(out, ",\"scheme\":\"", r.scheme.as_bytes());
    string(out, ",\"host\":\"", bounds::host(r.host));
    string(out, ",\"path\":\"", r.path);
    string(out, ",\"query\":\"", r.query);
    string(out, ",\"proto\":\"", bounds::protocol(r.proto.as_bytes()));
    number(out, ",\"status\":", r.status);
    number(out, ",\"bytes_in\":", r.bytes_in);
    number(out, ",\"bytes_out\":", r.bytes_out);
    millis(out, ",\"duration_ms\":", Some(r.duration));
    optional(out, ",\"route\":\"", r.route.map(str::as_bytes));
    optional(out, ",\"upstream\":\"", r.upstream.map(str::as_bytes));
    if let Some(status) = r.upstream_status {
        number(out, ",\"upstream_status\":", status);
    }
    millis(out, ",\"queue_ms\":", r.queue);
    millis(out, ",\"connect_ms\":", r.connect);
    millis(out, ",\"tls_ms\":", r.tls);
    millis(out, ",\"ttfb_ms\":", r.ttfb);
    millis(out, ",\"transfer_ms\":", r.transfer());
    if r.upstream.is_some() {
        number(out, ",\"retries\":", r.retries);
        raw(out, if r.reused { ",\"reused\":true" } else { ",\"reused\":false" });
    }
    optional(out, ",\"tls_version\":\"", r.tls_version.map(str::as_bytes));
    optional(out, ",\"sni\":\"", r.sni.map(str::as_bytes));
    optional(out, ",\"user_agent\":\"", r.user_agent);
    optional(out, ",\"referer\":\"", r.referer);
    if let Some(error) = r.error {
        optional(out, ",\"reason\":\"", r.reason.map(str::as_bytes));
        string(out, ",\"error\":\"", error.as_bytes());
        string(out, ",\"error_source\":\"", r.error_source.unwrap_or(ErrorSource::Proxy).as_str().as_bytes());
        optional(out, ",\"listener\":\"", r.listener.map(str::as_bytes));
    }
    raw(out, "}");
}

fn failed(r: &AccessRecord<'_>) -> bool {
    r.error.is_some() && r.error_source != Some(ErrorSource::Client)
}

pub fn level(r: &AccessRecord<'_>) -> &'static str {
    if failed(r) { "error" } else { "info" }
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

pub fn number(out: &mut Vec<u8>, key: &str, value: impl Into<u64>) {
    raw(out, key);
    raw(out, itoa::Buffer::new().format(value.into()));
}

pub fn millis(out: &mut Vec<u8>, key: &str, value: Option<Duration>) {
    if let Some(value) = value {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        number(out, key, micros / 1000);
        let mut fraction = *b".000";
        put_digits(&mut fraction[1..], micros % 1000);
        out.extend_from_slice(&fraction);
    }
}

/// Appends an address and returns where it is in `out`, with its closing quote.
fn address(out: &mut Vec<u8>, key: &str, ip: Option<IpAddr>) -> std::ops::Range<usize> {
    let Some(ip) = ip else {
        return 0..0;
    };
    raw(out, key);
    let start = out.len();
    match ip {
        IpAddr::V4(ip) => {
            for (i, octet) in ip.octets().into_iter().enumerate() {
                number(out, if i == 0 { "" } else { "." }, octet);
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(ip) => write!(out, "{ip}").unwrap_or_default(),
    }
    out.push(b'"');
    start..out.len()
}

pub fn optional(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    if let Some(value) = value {
        string(out, key, value);
    }
}

pub fn string(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    raw(out, key);
    let value = bounds::value(value);
    // What a JSON string holds as it is, a line of any log does.
    if value.iter().all(|b| PLAIN[usize::from(*b)]) {
        out.extend_from_slice(value);
    } else {
        escape(out, &String::from_utf8_lossy(value));
    }
    out.push(b'"');
}

pub fn escape(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            c if is_dangerous(c) => write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
