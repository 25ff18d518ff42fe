//! Spans in the JSON of OTLP (opentelemetry-proto, "JSON Protobuf Encoding"): ids are hex, numbers of 64
//! bits are strings, and enums are numbers. They are written by hand, as lines of the access log are. Every collector
//! takes JSON as it takes Protobuf, and it needs neither a crate nor code that is generated.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::json::{self, number, string};
use crate::message::trace_context::{SpanId, TraceId, hex};

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Server,
    Client,
}

/// What every span has.
#[derive(Debug)]
pub struct Span<'s> {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// `tracestate` as it came.
    pub state: Option<&'s [u8]>,
    pub kind: SpanKind,
    /// The method, or `HTTP` for an unknown one.
    pub name: &'s str,
    /// What follows the method in the name: the route.
    pub of: Option<&'s str>,
    pub start: SystemTime,
    pub duration: Duration,
    /// The sentence that says why it failed, where it did.
    pub failure: Option<&'s str>,
}

/// Writes the spans of one request, one behind the other.
#[derive(Debug, Default)]
pub struct SpanWriter {
    out: Vec<u8>,
    spans: usize,
    has_attributes: bool,
}

impl SpanWriter {
    /// Begins a span; its attributes follow, then [`Self::end`].
    pub fn begin(&mut self, span: &Span<'_>) {
        let out = &mut self.out;
        raw(out, if self.spans > 0 { ",{\"traceId\":\"" } else { "{\"traceId\":\"" });
        out.extend_from_slice(&hex::<16, 32>(span.trace));
        raw(out, "\",\"spanId\":\"");
        out.extend_from_slice(&hex::<8, 16>(span.id));
        raw(out, "\"");
        let parent = span.parent.map(hex::<8, 16>);
        json::optional(out, ",\"parentSpanId\":\"", parent.as_ref().map(<[u8; 16]>::as_slice));
        json::optional(out, ",\"traceState\":\"", span.state);
        string(out, ",\"name\":\"", span.name.as_bytes());
        if let Some(of) = span.of {
            // The closing quote is written anew.
            out.pop();
            string(out, " ", of.as_bytes());
        }
        raw(out, if span.kind == SpanKind::Server { ",\"kind\":2" } else { ",\"kind\":3" });
        let start = span.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        number(out, ",\"startTimeUnixNano\":\"", nanos(start));
        number(out, "\",\"endTimeUnixNano\":\"", nanos(start + span.duration));
        raw(out, "\"");
        if let Some(failure) = span.failure {
            string(out, ",\"status\":{\"code\":2,\"message\":\"", failure.as_bytes());
            raw(out, "}");
        }
        raw(out, ",\"attributes\":[");
        self.has_attributes = false;
        self.spans += 1;
    }

    pub fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        string(&mut self.out, "{\"stringValue\":\"", value);
        raw(&mut self.out, "}}");
    }

    pub fn optional(&mut self, key: &str, value: Option<&[u8]>) {
        value.into_iter().for_each(|value| self.text(key, value));
    }

    pub fn address(&mut self, key: &str, value: Option<IpAddr>) {
        value.into_iter().for_each(|value| self.text(key, value.to_string().as_bytes()));
    }

    pub fn number(&mut self, key: &str, value: impl Into<u64>) {
        self.key(key);
        number(&mut self.out, "{\"intValue\":\"", value);
        raw(&mut self.out, "\"}}");
    }

    pub fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        raw(&mut self.out, if value { "{\"boolValue\":true}}" } else { "{\"boolValue\":false}}" });
    }

    /// In milliseconds; what did not happen is left out.
    pub fn millis(&mut self, key: &str, value: Option<Duration>) {
        if value.is_some() {
            self.key(key);
            json::millis(&mut self.out, "{\"doubleValue\":", value);
            raw(&mut self.out, "}}");
        }
    }

    pub fn end(&mut self) {
        raw(&mut self.out, "]}");
    }

    /// The spans, and how many they are.
    pub fn finish(self) -> (Vec<u8>, usize) {
        (self.out, self.spans)
    }

    fn key(&mut self, key: &str) {
        raw(&mut self.out, if self.has_attributes { ",{\"key\":\"" } else { "{\"key\":\"" });
        raw(&mut self.out, key);
        raw(&mut self.out, "\",\"value\":");
        self.has_attributes = true;
    }
}

/// The body of a request to the collector, an `ExportTraceServiceRequest`.
pub fn export_body(service: &str, spans: &[Vec<u8>]) -> Vec<u8> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let mut out = Vec::with_capacity(spans.iter().map(|spans| spans.len() + 1).sum::<usize>() + 512);
    raw(&mut out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (key, value) in [
        ("{\"key\":\"service.name\",\"value\":{\"stringValue\":\"", service.as_bytes()),
        ("}},{\"key\":\"service.version\",\"value\":{\"stringValue\":\"", VERSION.as_bytes()),
    ] {
        string(&mut out, key, value);
    }
    number(&mut out, "}},{\"key\":\"process.pid\",\"value\":{\"intValue\":\"", std::process::id());
    string(
        &mut out,
        "\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"pingora-proxy\",\"version\":\"",
        VERSION.as_bytes(),
    );
    raw(&mut out, "},\"spans\":[");
    for (index, spans) in spans.iter().enumerate() {
        raw(&mut out, if index > 0 { "," } else { "" });
        out.extend_from_slice(spans);
    }
    raw(&mut out, "]}]}]}");
    out
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn spans_are_json_whatever_a_client_wrote() {
        let mut writer = SpanWriter::default();
        let span = Span {
            trace: [0x4b; 16],
            id: [1; 8],
            parent: Some([2; 8]),
            state: Some(b"a=1,b=\"2\""),
            kind: SpanKind::Server,
            name: "GET",
            of: Some("a \"route\""),
            start: UNIX_EPOCH + Duration::from_nanos(1_764_000_000_123_456_789),
            duration: Duration::from_nanos(11),
            failure: Some("no"),
        };
        writer.begin(&span);
        writer.text("url.path", b"/\xff\"\\\n");
        writer.number("http.response.status_code", 502_u16);
        writer.millis("m", Some(Duration::from_micros(1_500)));
        writer.millis("none", None);
        writer.flag("reused", true);
        writer.end();
        writer.begin(&Span { kind: SpanKind::Client, parent: None, state: None, of: None, failure: None, ..span });
        writer.end();
        let (spans, count) = writer.finish();
        let body: Value = serde_json::from_slice(&export_body("shop", &[spans.clone(), spans])).unwrap();
        let told = &body["resourceSpans"][0];
        assert_eq!(told["resource"]["attributes"][0]["value"]["stringValue"], "shop");
        let spans = told["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!((count, spans.len()), (2, 4));
        assert_eq!(
            spans[0],
            json!({
                "traceId": "4b".repeat(16), "spanId": "01".repeat(8), "parentSpanId": "02".repeat(8),
                "traceState": "a=1,b=\"2\"", "name": "GET a \"route\"", "kind": 2,
                "startTimeUnixNano": "1764000000123456789", "endTimeUnixNano": "1764000000123456800",
                "status": { "code": 2, "message": "no" },
                "attributes": [
                    { "key": "url.path", "value": { "stringValue": "/\u{fffd}\"\\\n" } },
                    { "key": "http.response.status_code", "value": { "intValue": "502" } },
                    { "key": "m", "value": { "doubleValue": 1.5 } },
                    { "key": "reused", "value": { "boolValue": true } },
                ],
            })
        );
        assert_eq!((&spans[1]["kind"], spans[1].get("status"), spans[1].get("parentSpanId")), (&json!(3), None, None));
    }
}
