//! docs/hazards.md: a table of cases and answers for each section.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use super::ask;
use super::cases::cases;
use super::origin::StrictOrigin;
use super::proxies::Running;
use crate::support::Wire;
use crate::support::frames::{END_STREAM, Frames, Outcome};
use crate::support::hostile_heads::{hostile_heads, usual_head};

/// A row: the section, the case, the clause that decides, and what one proxy made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    section: &'static str,
    name: String,
    clause: &'static str,
    words: String,
}

/// What one proxy made of all cases.
pub struct Column {
    proxy: String,
    rows: Vec<Row>,
}

pub fn column(proxy: &str, running: &Running, origin: &StrictOrigin, patience: Duration) -> Column {
    let http1 = cases().into_iter().map(|case| {
        let came = ask::ask(&case, running.http1, origin, patience);
        let words = ask::words(&case, &came);
        Row { section: case.section, name: case.name, clause: case.clause, words }
    });
    let mut rows: Vec<Row> = http1.collect();
    for (clause, name, fields) in hostile_heads() {
        origin.take();
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| stream(running, &fields)));
        let seen = !origin.take().is_empty();
        let words = format!(
            "{}{}",
            if seen { "forwarded, " } else { "" },
            outcome.map_or_else(|_| "an answer that was not understood".to_owned(), said)
        );
        rows.push(Row { section: "HTTP/2", name: name.to_owned(), clause, words });
    }
    Column { proxy: proxy.to_owned(), rows }
}

fn stream(running: &Running, fields: &[(&str, &[u8])]) -> Outcome {
    let mut frames = Frames::over(Wire::new(TcpStream::connect(running.http2).unwrap()), &[]);
    frames.head(1, fields, END_STREAM);
    frames.outcome(1)
}

fn said(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(status, _) => status.to_string(),
        Outcome::Reset(code) => format!("stream reset ({})", code_name(code)),
        Outcome::GoAway(code) => format!("connection ended ({})", code_name(code)),
        Outcome::Closed => "closed".to_owned(),
    }
}

/// RFC 9113 section 7.
fn code_name(code: u32) -> String {
    let name = match code {
        0 => "NO_ERROR",
        1 => "PROTOCOL_ERROR",
        2 => "INTERNAL_ERROR",
        7 => "REFUSED_STREAM",
        8 => "CANCEL",
        9 => "COMPRESSION_ERROR",
        11 => "ENHANCE_YOUR_CALM",
        _ => return code.to_string(),
    };
    name.to_owned()
}

const HEAD: &str = "# Hazards: what becomes of hostile and rare requests

Each case is sent as bytes, on a connection of its own, to an origin that takes strictly what it gets. Then another
request follows on the same connection. `make hazards` writes this page; `tests/conformance.rs` keeps our column true, and
that nothing which is refused reaches the origin. The other proxies have the configurations of
[benches/compare/conf](../benches/compare/conf), which are close to their defaults.

A number is the status of the answer. *closed*: the connection serves no other request. *forwarded*: the origin got the
request whole; behind `;` stands what it got. **two requests**: the proxy took the bytes for two requests, which a reader
that is stricter, or lenient in another way, takes for one.
";

const STRICTER: &str = "
## Where another one is stricter

- nginx closes the connection after each 400. Here one whose framing is sound goes on where only Host, the target or
  Connection was wrong: where the next request begins is beyond doubt.
- nginx answers 501 to a tab before `chunked`. That is optional white space (RFC 9110 \u{a7}5.6.3); the coding goes on in our
  own words.
- HAProxy refuses trailers that frame or route. Here they are dropped (RFC 9110 \u{a7}6.5.1), and never merged.
- nginx answers 400 to `OPTIONS *`, which is a request (RFC 9110 \u{a7}9.3.7).
- Names and values that no type of the crate `h2` can hold end the whole connection of HTTP/2 here, and only the stream in the
  others: RFC 9113 \u{a7}8.1.1 allows both.
";

pub struct Page;

impl Page {
    pub fn text(columns: &[Column]) -> String {
        let mut text = HEAD.to_owned();
        let ours = &columns[0];
        let mut section = "";
        for (index, row) in ours.rows.iter().enumerate() {
            if row.section != section {
                section = row.section;
                let names: Vec<&str> = columns.iter().map(|column| column.proxy.as_str()).collect();
                let lines = "| --- ".repeat(columns.len() + 2);
                write!(text, "\n## {section}\n\n| case | decided by | {} |\n{lines}|\n", names.join(" | ")).unwrap();
            }
            let answers: Vec<&str> = columns.iter().map(|column| column.rows[index].words.as_str()).collect();
            writeln!(text, "| {} | {} | {} |", cell(&row.name), row.clause, answers.join(" | ")).unwrap();
        }
        text + STRICTER
    }

    /// Where a page says something else of our proxy than this column.
    pub fn differences(page: &str, ours: &Column) -> Vec<String> {
        let cells =
            |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
        let rows: Vec<Vec<String>> = rows.filter(|line| !line.starts_with("| case |")).map(cells).collect();
        let expected: Vec<[String; 3]> =
            ours.rows.iter().map(|row| [cell(&row.name), row.clause.to_owned(), row.words.clone()]).collect();
        let told = |row: &Vec<String>| row.get(..3).map(<[String]>::to_vec).unwrap_or_default();
        let mut wrong: Vec<String> = rows
            .iter()
            .zip(&expected)
            .filter(|(row, expected)| told(row) != expected.as_slice())
            .map(|(row, expected)| format!("the page says {:?}, and it is {expected:?}", told(row)))
            .collect();
        if rows.len() != expected.len() {
            wrong.push(format!("the page has {} rows of {}", rows.len(), expected.len()));
        }
        wrong
    }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The table is of heads that are wrong: the usual one must be right.
#[test]
fn the_usual_head_is_taken() {
    let origin = StrictOrigin::start();
    let running = super::ours(origin.address);
    assert_eq!(stream(&running, &usual_head(&[])), Outcome::Answered(200, b"ok".to_vec()));
    assert_eq!(origin.take().len(), 1);
}
