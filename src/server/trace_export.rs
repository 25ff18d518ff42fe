//! Sends spans to the collector of the configuration in force, by OTLP over HTTP in JSON. No request waits
//! for that: what cannot be sent in time is lost, which the error log says at most every ten seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, header};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_timeout::timeout;

use crate::message::escaping::printable;
use crate::runtime::{Live, Traces};
use crate::telemetry::{SpanBatch, SpanLoss, export_body, note_exported, note_lost};
use crate::upstream::{CallFailure, Connector, Question, call};

/// How long the collector may take for one batch.
const DEADLINE: Duration = Duration::from_secs(5);
/// A batch that was not taken is sent again for so long.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The time before the first new attempt; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(8);
/// How often a wait looks whether the process ends.
const LOOK: Duration = Duration::from_millis(50);
/// How often the configuration is looked at while nothing is traced.
const IDLE: Duration = Duration::from_millis(250);
/// The time between two lines of the error log.
const REPORT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const LARGEST: usize = 64 * 1024;
/// Connections that wait for the next batch.
const MOST_IDLE: usize = 2;

/// Sends until the future is dropped.
pub async fn export_spans(live: Arc<Live>) {
    let mut exporter = Exporter { connector: Connector::new(MOST_IDLE), reports: Reports::default() };
    loop {
        let Some(traces) = live.load().exports.clone() else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        let batch = traces.queue.batch().await;
        if batch.spans > 0 {
            exporter.send(&traces, &batch).await;
        }
    }
}

struct Exporter {
    connector: Connector,
    reports: Reports,
}

/// What became of a batch.
enum Answer {
    /// The collector took it, but for so many spans.
    Taken {
        refused: u64,
        reason: String,
    },
    Refused(String),
    /// It may take it later.
    Later {
        reason: String,
        wait: Option<Duration>,
    },
}

impl Exporter {
    async fn send(&mut self, traces: &Traces, batch: &SpanBatch) {
        let body = Bytes::from(export_body(&traces.service, &batch.groups));
        let (began, mut retry) = (Instant::now(), FIRST_RETRY);
        loop {
            let is_last = traces.queue.is_ending();
            match self.ask(traces, &body).await {
                Answer::Taken { refused, reason } => {
                    let refused = usize::try_from(refused).unwrap_or(usize::MAX).min(batch.spans);
                    note_exported(batch.spans.saturating_sub(refused));
                    return self.reports.taken(traces, refused, &reason);
                }
                Answer::Refused(reason) => return self.reports.lost(traces, SpanLoss::Refused, batch.spans, &reason),
                Answer::Later { reason, wait } => {
                    // Give or take a fifth, so that many proxies do not come back at the same moment.
                    let rest = wait.unwrap_or(retry).mul_f64(0.8 + fastrand::f64() * 0.4);
                    retry = (retry * 2).min(LONGEST_RETRY);
                    if is_last || began.elapsed() + rest > GIVE_UP {
                        return self.reports.lost(traces, SpanLoss::NotSent, batch.spans, &reason);
                    }
                    log::debug!("traces: {}; the next attempt is in {} ms", printable(&reason), rest.as_millis());
                    wait_unless_ending(traces, rest).await;
                }
            }
        }
    }

    async fn ask(&self, traces: &Traces, body: &Bytes) -> Answer {
        let later = |reason: String| Answer::Later { reason, wait: None };
        let request = match request(traces, body.len()) {
            Ok(request) => request,
            Err(e) => return Answer::Refused(e.to_string()),
        };
        let pool = &traces.collector.pool;
        let question = Question::new(&request, LARGEST).with_content(body.clone());
        match timeout(DEADLINE, call(&self.connector, pool, question)).await {
            Err(_) => later(format!("no whole answer within {} s", DEADLINE.as_secs())),
            Ok(Err(CallFailure::Unavailable(_))) => {
                later("no server of it is up, or its name has no address".to_owned())
            }
            Ok(Err(CallFailure::TooLong)) => later("its answer is larger than 64 KiB".to_owned()),
            Ok(Err(CallFailure::Failed(e))) => later(e.to_string()),
            Ok(Ok((head, body))) => of_answer(&head, &body),
        }
    }
}

async fn wait_unless_ending(traces: &Traces, rest: Duration) {
    let until = Instant::now() + rest;
    while Instant::now() < until && !traces.queue.is_ending() {
        tokio::time::sleep(LOOK).await;
    }
}

fn request(traces: &Traces, length: usize) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("POST", traces.collector.target.as_bytes(), Some(4))?;
    request.insert_header("Host", &traces.collector.host)?;
    request.insert_header("Content-Type", "application/json")?;
    request.insert_header("Content-Length", length)?;
    request.insert_header("User-Agent", concat!("pingora-proxy/", env!("CARGO_PKG_VERSION")))?;
    Ok(request)
}

/// What OTLP's specification says of an answer ("OTLP/HTTP Response").
fn of_answer(head: &ResponseHeader, body: &[u8]) -> Answer {
    let status = head.status;
    let reason = format!("it answered {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Answer::Later { reason, wait: seconds.map(Duration::from_secs) }
        }
        _ if status.is_success() => partial_success(body),
        _ => Answer::Refused(reason),
    }
}

/// How many spans the collector did not take, and why. It may answer without a body.
fn partial_success(body: &[u8]) -> Answer {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let part = |name: &str| answer.get("partialSuccess").and_then(|part| part.get(name));
    // A number of 64 bits is a string in the JSON of Protobuf.
    let number = |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let refused = part("rejectedSpans").and_then(number).unwrap_or(0);
    let reason = part("errorMessage").and_then(serde_json::Value::as_str).unwrap_or("it did not say why");
    Answer::Taken { refused, reason: reason.to_owned() }
}

/// What the error log says of spans that were lost.
#[derive(Default)]
struct Reports {
    told: Option<Instant>,
    /// Since the last line.
    untold: usize,
    in_trouble: bool,
}

impl Reports {
    fn lost(&mut self, traces: &Traces, why: SpanLoss, spans: usize, reason: &str) {
        note_lost(why, spans);
        self.untold += spans;
        self.in_trouble = true;
        if self.told.is_none_or(|told| told.elapsed() >= REPORT) {
            let (host, target) = (&traces.collector.host, &traces.collector.target);
            log::error!("traces: {} spans lost: {host}{target}: {}", self.untold, printable(reason));
            (self.told, self.untold) = (Some(Instant::now()), 0);
        }
    }

    fn taken(&mut self, traces: &Traces, refused: usize, reason: &str) {
        if refused > 0 {
            return self.lost(traces, SpanLoss::Refused, refused, reason);
        }
        if std::mem::take(&mut self.in_trouble) {
            let more = std::mem::take(&mut self.untold);
            log::info!("traces: the collector takes spans again; {more} more were lost meanwhile");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: &str, body: &str) -> Answer {
        let mut head = ResponseHeader::build(status, None).unwrap();
        head.insert_header("Retry-After", retry_after).unwrap();
        of_answer(&head, body.as_bytes())
    }

    #[test]
    fn answers_are_told_apart_as_otlp_has_it() {
        for body in ["", "{}", r#"{"partialSuccess":{}}"#, "not json"] {
            assert!(matches!(answer(200, "", body), Answer::Taken { refused: 0, .. }), "{body}");
        }
        for number in ["3", "\"3\""] {
            let body = format!(r#"{{"partialSuccess":{{"rejectedSpans":{number},"errorMessage":"full"}}}}"#);
            let taken = answer(200, "", &body);
            assert!(matches!(taken, Answer::Taken { refused: 3, reason } if reason == "full"), "{body}");
        }
        for status in [429, 502, 503, 504] {
            assert!(matches!(answer(status, "", ""), Answer::Later { wait: None, .. }), "{status}");
        }
        let two = Some(Duration::from_secs(2));
        assert!(matches!(answer(503, "2", ""), Answer::Later { wait, .. } if wait == two));
        for status in [400, 404, 500] {
            assert!(matches!(answer(status, "", ""), Answer::Refused(_)), "{status}");
        }
    }
}
