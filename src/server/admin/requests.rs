//! `GET /requests`: the newest requests, as the access log has them, by what they were and by what
//! became of them. A path stays what it is there, a string of JSON, whoever asked for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use super::answer::Answer;
use crate::message::query;
use crate::telemetry::RecentRequests;

/// Lines of one answer.
const MOST: usize = 1000;
const DEFAULT: usize = 200;
/// How long a caller may wait for a line.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between two looks of a caller who waits for a line that has not come yet: there may be
/// thousands of others in a second.
const BREATH: Duration = Duration::from_millis(50);

/// Which requests are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From this number on; without it the newest.
    pub after: Option<u64>,
    limit: usize,
    wait: Duration,
    filter: Filter,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    status: Option<StatusFilter>,
    route: Option<String>,
    reason: Option<String>,
    client: Option<String>,
    /// The beginning of the path.
    path: Option<String>,
    /// Whether it is only those that failed.
    errors: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusFilter {
    Is(u16),
    /// The first digit.
    Class(u16),
}

/// What a filter looks at.
#[derive(Deserialize)]
struct Line {
    status: u16,
    #[serde(default)]
    level: String,
    #[serde(default)]
    path: String,
    route: Option<String>,
    reason: Option<String>,
    client_ip: Option<String>,
}

/// Lines that fit, the oldest first.
#[derive(Debug, Default)]
pub struct Found {
    pub lines: VecDeque<(u64, Bytes)>,
    /// To go on with.
    pub next: u64,
    /// How many that were asked for are not kept any more, or were left out.
    pub lost: u64,
}

impl Wanted {
    /// # Errors
    /// Which parameter is not understood.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut wanted = Self { limit: DEFAULT, ..Self::default() };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = query::decode(value).into_owned();
            let wrong = || format!("`{name}={value}` is not understood");
            if value.is_empty() {
                continue;
            }
            match name {
                "after" => wanted.after = Some(value.parse().map_err(|_| wrong())?),
                "limit" => wanted.limit = value.parse::<usize>().map_err(|_| wrong())?.clamp(1, MOST),
                "wait" => wanted.wait = duration(&value).ok_or_else(wrong)?.min(LONGEST_WAIT),
                "status" => wanted.filter.status = Some(StatusFilter::read(&value).ok_or_else(wrong)?),
                "route" => wanted.filter.route = Some(value),
                "reason" => wanted.filter.reason = Some(value),
                "client" => wanted.filter.client = Some(value),
                "path" => wanted.filter.path = Some(value),
                "errors" => wanted.filter.errors = matches!(value.as_str(), "1" | "true"),
                other => {
                    return Err(format!(
                        "there is no parameter `{other}`: after, limit, wait, status, route, reason, client, path, errors"
                    ));
                }
            }
        }
        Ok(wanted)
    }

    /// The same for a caller that does not wait.
    pub fn without_wait(self) -> Self {
        Self { wait: Duration::ZERO, ..self }
    }

    /// What is there now.
    pub fn look(&self, recent: &RecentRequests) -> Found {
        let tail = match self.after {
            Some(after) => recent.after(after, usize::MAX),
            None if self.filter == Filter::default() => recent.last(self.limit),
            None => recent.last(usize::MAX),
        };
        let mut found = Found { lines: VecDeque::new(), next: tail.next, lost: tail.lost };
        for line in tail.lines.into_iter().filter(|(_, line)| self.filter.takes(line)) {
            if found.lines.len() == self.limit {
                found.lines.pop_front();
                found.lost += u64::from(self.after.is_some());
            }
            found.lines.push_back(line);
        }
        found
    }

    /// What is there, or comes while the caller waits.
    pub async fn await_some(mut self, recent: &RecentRequests) -> Found {
        let end = Instant::now() + self.wait;
        let mut lost = 0;
        loop {
            let mut found = self.look(recent);
            lost += found.lost;
            found.lost = lost;
            let waits = found.lines.is_empty() && Instant::now() < end;
            if !waits || tokio::time::timeout_at(end, recent.wait_for(found.next)).await.is_err() {
                return found;
            }
            self.after = Some(found.next);
            tokio::time::sleep(BREATH).await;
        }
    }
}

impl StatusFilter {
    fn read(text: &str) -> Option<Self> {
        match text.strip_suffix("xx").filter(|class| class.len() == 1) {
            Some(class) => class.parse().ok().map(Self::Class),
            None => text.parse().ok().map(Self::Is),
        }
    }

    fn takes(self, status: u16) -> bool {
        match self {
            Self::Is(wanted) => status == wanted,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl Filter {
    fn takes(&self, line: &[u8]) -> bool {
        if *self == Self::default() {
            return true;
        }
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return false };
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.status.is_none_or(|status| status.takes(line.status))
            && is(&self.route, &line.route)
            && is(&self.reason, &line.reason)
            && is(&self.client, &line.client_ip)
            && self.path.as_ref().is_none_or(|path| line.path.starts_with(path.as_str()))
            && (!self.errors || line.status >= 500 || line.level == "error")
    }
}

/// `10s`, `500ms`, or seconds alone.
fn duration(text: &str) -> Option<Duration> {
    let millis = |digits: &str| digits.parse::<u64>().ok().map(Duration::from_millis);
    let seconds = |digits: &str| digits.parse::<u64>().ok().map(Duration::from_secs);
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => millis(digits),
        (None, Some(digits)) => seconds(digits),
        (None, None) => seconds(text),
    }
}

/// A line with its number in it.
pub fn numbered(seq: u64, line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match text.strip_prefix('{') {
        Some(rest) => format!("{{\"seq\":{seq},{rest}"),
        None => format!("{{\"seq\":{seq}}}"),
    }
}

pub async fn answer(recent: &Arc<RecentRequests>, wanted: Wanted) -> Answer {
    let found = wanted.await_some(recent).await;
    let lines: Vec<String> = found.lines.iter().map(|(seq, line)| numbered(*seq, line)).collect();
    let (next, lost) = (found.next, found.lost);
    let text = format!("{{\"next\":{next},\"lost\":{lost},\"requests\":[{}]}}", lines.join(","));
    Answer::json_text(StatusCode::OK, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent() -> RecentRequests {
        let recent = RecentRequests::new(100);
        for (path, status, more) in [
            ("/a", 200, r#","route":"one""#),
            ("/a/b", 404, r#","route":"one","reason":"no_route","client_ip":"10.0.0.1""#),
            ("/c", 502, r#","level":"error","reason":"upstream_refused""#),
            ("/a\\u0022<img>", 200, ""),
        ] {
            recent.push(format!(r#"{{"path":"{path}","status":{status}{more}}}"#).as_bytes());
        }
        recent
    }

    fn numbers(query: &str) -> Vec<u64> {
        Wanted::read(query).unwrap().look(&recent()).lines.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn each_filter_takes_what_it_says() {
        for (query, wanted) in [
            ("", vec![0, 1, 2, 3]),
            ("limit=2", vec![2, 3]),
            ("after=1&limit=2", vec![2, 3]),
            ("status=404", vec![1]),
            ("status=5xx", vec![2]),
            ("status=2xx&route=one", vec![0]),
            ("route=", vec![0, 1, 2, 3]),
            ("reason=upstream_refused", vec![2]),
            ("client=10.0.0.1", vec![1]),
            ("path=%2Fa%2F", vec![1]),
            ("path=/a%22%3C", vec![3]),
            ("errors=1", vec![2]),
            ("after=4", vec![]),
            ("route=two", vec![]),
        ] {
            assert_eq!(numbers(query), wanted, "{query}");
        }
        let found = Wanted::read("after=0&limit=1").unwrap().look(&recent());
        assert_eq!((found.next, found.lost), (4, 3));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for query in ["status=5x", "status=x", "limit=-1", "after=x", "wait=soon"] {
            let reason = Wanted::read(query).unwrap_err();
            assert_eq!(reason, format!("`{query}` is not understood"));
        }
        assert!(Wanted::read("stauts=404").unwrap_err().contains("no parameter `stauts`"));
        let wanted = Wanted::read("limit=99999&wait=1h").unwrap_err();
        assert_eq!(wanted, "`wait=1h` is not understood");
        let wanted = Wanted::read("limit=99999&wait=99s").unwrap();
        assert_eq!((wanted.limit, wanted.wait), (MOST, LONGEST_WAIT));
    }

    #[test]
    fn a_number_joins_the_line() {
        assert_eq!(numbered(7, br#"{"a":1}"#), r#"{"seq":7,"a":1}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_line_that_fits() {
        let recent = Arc::new(recent());
        let wanted = Wanted::read("after=4&status=500&wait=20s").unwrap();
        let waiting = tokio::spawn({
            let recent = Arc::clone(&recent);
            async move { wanted.await_some(&recent).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        recent.push(br#"{"path":"/","status":200}"#);
        tokio::time::sleep(Duration::from_secs(1)).await;
        recent.push(br#"{"path":"/","status":500}"#);
        let found = waiting.await.unwrap();
        assert_eq!((found.lines[0].0, found.next), (5, 6));
        let began = Instant::now();
        let found = Wanted::read("after=6&wait=2s").unwrap().await_some(&recent).await;
        assert_eq!((found.lines.len(), began.elapsed().as_secs()), (0, 2));
    }
}
