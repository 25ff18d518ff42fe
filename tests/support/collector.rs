//! A collector of spans.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Origin, await_until};

/// Takes spans as OTLP over HTTP has it.
pub struct Collector {
    pub origin: Origin,
    pub spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    /// Answers with these, one after the other, and with `{}` from then on.
    pub fn start(answers: &'static [&'static str]) -> Self {
        let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (taken, next) = (Arc::clone(&spans), Mutex::new(answers.iter()));
        let origin = Origin::start(move |request, wire| {
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
            let body: Value = serde_json::from_slice(&wire.body(&request.headers, false)).unwrap();
            let answer = next.lock().unwrap().next().copied();
            if answer.is_none_or(|answer| answer.starts_with("HTTP/1.1 200")) {
                let told = &body["resourceSpans"][0];
                assert_eq!(told["resource"]["attributes"][0]["value"]["stringValue"], "shop");
                taken.lock().unwrap().extend(told["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
            }
            wire.send(answer.unwrap_or("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
            true
        });
        Self { origin, spans }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", self.origin.address)
    }

    /// The spans once there are so many.
    pub fn spans(&self, count: usize) -> Vec<Value> {
        await_until("spans", || self.spans.lock().unwrap().len() >= count);
        self.spans.lock().unwrap().clone()
    }
}

pub fn attribute<'s>(span: &'s Value, key: &str) -> Option<&'s str> {
    let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == key)?;
    found["value"].as_object().unwrap().values().next().unwrap().as_str()
}
