//! An access record as a line of the operator's own: its template was read with the configuration,
//! so that nothing is looked up by name here. What there is not is `-`.

use std::io::Write as _;
use std::time::Duration;

use super::record::AccessRecord;
use super::time::{CommonTime, push_timestamp};
use super::{bounds, json};
use crate::config::{LinePart, LineTemplate, LogField};
use crate::message::escaping::push_escaped;

pub fn line(out: &mut Vec<u8>, r: &AccessRecord<'_>, LineTemplate(parts): &LineTemplate) {
    for part in parts {
        match part {
            LinePart::Text(text) => out.extend_from_slice(text.as_bytes()),
            LinePart::Field(field) => value(out, r, *field),
            LinePart::Header(name) => {
                let value = r.headers.and_then(|headers| headers.get(name));
                text(out, value.map(|value| value.as_bytes()));
            }
        }
    }
}

fn value(out: &mut Vec<u8>, r: &AccessRecord<'_>, field: LogField) {
    match field {
        LogField::Ts => push_timestamp(out, r.at),
        LogField::TsCommon => push(out, CommonTime(r.at)),
        LogField::Level => out.extend_from_slice(json::level(r).as_bytes()),
        LogField::RequestId => r.request_id.push_to(out),
        LogField::TraceId => text(out, r.trace_id),
        LogField::ClientIp => or_dash(out, r.client_ip),
        LogField::RemoteIp => or_dash(out, r.remote_ip),
        LogField::Method => text(out, Some(bounds::method(r.method.as_bytes()))),
        LogField::Scheme => text(out, Some(r.scheme.as_bytes())),
        LogField::Host => text(out, Some(bounds::host(r.host))),
        LogField::Target => {
            text(out, Some(r.path));
            if !r.query.is_empty() {
                out.push(b'?');
                text(out, Some(r.query));
            }
        }
        LogField::Path => text(out, Some(r.path)),
        LogField::Query => text(out, Some(r.query)),
        LogField::Proto => text(out, Some(bounds::protocol(r.proto.as_bytes()))),
        LogField::Status => number(out, Some(r.status)),
        LogField::BytesIn => number(out, Some(r.bytes_in)),
        LogField::BytesOut => number(out, Some(r.bytes_out)),
        LogField::DurationMs => millis(out, Some(r.duration)),
        LogField::Route => text(out, r.route.map(str::as_bytes)),
        LogField::Upstream => text(out, r.upstream.map(str::as_bytes)),
        LogField::UpstreamStatus => number(out, r.upstream_status),
        LogField::QueueMs => millis(out, r.queue),
        LogField::ConnectMs => millis(out, r.connect),
        LogField::TlsMs => millis(out, r.tls),
        LogField::TtfbMs => millis(out, r.ttfb),
        LogField::TransferMs => millis(out, r.transfer()),
        LogField::Retries => number(out, r.upstream.map(|_| r.retries)),
        LogField::Reused => or_dash(out, r.upstream.map(|_| r.reused)),
        LogField::TlsVersion => text(out, r.tls_version.map(str::as_bytes)),
        LogField::Sni => text(out, r.sni.map(str::as_bytes)),
        LogField::UserAgent => text(out, r.user_agent),
        LogField::Referer => text(out, r.referer),
        LogField::Reason => text(out, r.reason.map(str::as_bytes)),
        LogField::Error => text(out, r.error.map(str::as_bytes)),
        LogField::ErrorSource => text(out, r.error.and(r.error_source).map(|source| source.as_str().as_bytes())),
        LogField::Listener => text(out, r.listener.map(str::as_bytes)),
    }
}

fn text(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => push_escaped(out, bounds::value(value)),
        None => out.push(b'-'),
    }
}

fn number(out: &mut Vec<u8>, value: Option<impl Into<u64>>) {
    match value {
        Some(value) => json::number(out, "", value),
        None => out.push(b'-'),
    }
}

fn millis(out: &mut Vec<u8>, value: Option<Duration>) {
    match value {
        Some(_) => json::millis(out, "", value),
        None => out.push(b'-'),
    }
}

fn push(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a Vec cannot fail.
    write!(out, "{value}").unwrap_or_default();
}

fn or_dash(out: &mut Vec<u8>, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => push(out, value),
        None => out.push(b'-'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::format::tests::record;

    fn rendered(record: &AccessRecord<'_>, parts: Vec<LinePart>) -> String {
        let mut out = Vec::new();
        line(&mut out, record, &LineTemplate(parts));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_template_and_json_call_the_same_things_by_the_same_names() {
        let mut given = record();
        (given.path, given.host, given.query) = (b"/a", b"h", b"q=1");
        (given.remote_ip, given.upstream, given.upstream_status) = (given.client_ip, Some("u:1"), Some(200));
        (given.connect, given.ttfb) = (Some(Duration::from_millis(3)), Some(Duration::from_micros(4567)));
        (given.queue, given.tls) = (given.connect, given.ttfb);
        given.trace_id = Some(b"4bf92f3577b34da6a3ce929d0e0e4736");
        (given.tls_version, given.sni) = (Some("TLSv1.3"), Some("s.test"));
        given.referer = Some(b"http://r/");
        let mut json = Vec::new();
        json::line(&mut json, &given);
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).unwrap();
        for (name, value) in &json {
            let (_, field) = LogField::ALL.iter().find(|(known, _)| known == name).expect(name);
            let shown = rendered(&given, vec![LinePart::Field(*field)]);
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let as_numbers = shown.parse::<f64>().ok().zip(value.parse::<f64>().ok());
            assert!(shown == value || as_numbers.is_some_and(|(a, b)| a == b), "{name}: {shown} {value}");
        }
        let only_here = LogField::ALL.iter().map(|(name, _)| *name).filter(|name| !json.contains_key(*name));
        assert_eq!(only_here.collect::<Vec<_>>(), ["ts_common", "target"]);
    }

    #[test]
    fn what_there_is_not_is_a_dash_and_nothing_is_raw() {
        let given = AccessRecord { error: None, error_source: None, client_ip: None, query: b"", ..record() };
        for field in
            [LogField::Upstream, LogField::UpstreamStatus, LogField::ConnectMs, LogField::Retries, LogField::Reused]
        {
            assert_eq!(rendered(&given, vec![LinePart::Field(field)]), "-", "{field:?}");
        }
        for field in [LogField::ClientIp, LogField::Query, LogField::Error, LogField::ErrorSource] {
            assert_eq!(rendered(&given, vec![LinePart::Field(field)]), "-", "{field:?}");
        }
        let mut headers = http::HeaderMap::new();
        headers.insert("x-a", http::HeaderValue::from_bytes(b"a\"\tb\xff").unwrap());
        let given = AccessRecord { headers: Some(&headers), ..given };
        let header = |name: &'static str| LinePart::Header(http::HeaderName::from_static(name));
        let parts = vec![LinePart::Text("<".into()), header("x-a"), header("x-b"), LinePart::Field(LogField::Target)];
        assert_eq!(rendered(&given, parts), "<a\\x22\\x09b\\xFF-/a\\x1B\\x0A\\xFF");
    }
}
