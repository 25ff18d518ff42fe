//! What becomes of hostile and rare requests here, in nginx and in HAProxy: docs/hazards.md. A test
//! keeps our column true; `make hazards` writes the page anew, with the others as they are installed.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stdout)] // what was done, for who asks

#[path = "conformance/ask.rs"]
mod ask;
#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/origin.rs"]
mod origin;
#[path = "conformance/page.rs"]
mod page;
#[path = "conformance/proxies.rs"]
mod proxies;
mod support;

use std::time::Duration;

use cases::{Expected, cases};
use origin::StrictOrigin;
use page::{Column, Page, column};
use proxies::{haproxy, nginx, ours, version_of};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hazards.md");

/// The origin gets no request that nobody sent, none that is refused, and each other one whole.
#[test]
fn nothing_that_is_refused_reaches_the_origin() {
    let origin = StrictOrigin::start();
    let proxy = ours(origin.address);
    let mut wrong = Vec::new();
    for case in cases() {
        let came = ask::ask(&case, proxy.http1, &origin, support::DEADLINE);
        let expected = match case.expected {
            Expected::Refused => 0,
            Expected::Forwarded(count) => count,
        };
        let is_answered =
            came.statuses.iter().all(|status| (*status < 300) == (expected > 0)) && !came.statuses.is_empty();
        if came.smuggled || !came.canary || came.seen.len() != expected || !is_answered {
            wrong.push(format!("{}: {}", case.name, ask::words(&case, &came)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn our_column_of_the_page_is_true() {
    let origin = StrictOrigin::start();
    let column = column("pingora-proxy", &ours(origin.address), &origin, support::DEADLINE);
    let page = std::fs::read_to_string(FILE).unwrap();
    let wrong = Page::differences(&page, &column);
    assert!(wrong.is_empty(), "{}\n`make hazards` writes the page anew", wrong.join("\n"));
}

/// Needs the other proxies: `make hazards`.
#[test]
#[ignore = "writes docs/hazards.md"]
fn the_page_is_written() {
    let origin = StrictOrigin::start();
    let mut columns: Vec<Column> = vec![column("pingora-proxy", &ours(origin.address), &origin, support::DEADLINE)];
    for (name, program, start) in
        [("nginx", "nginx", nginx as fn(&std::path::Path, _) -> _), ("HAProxy", "haproxy", haproxy)]
    {
        match version_of(program) {
            Some((path, version)) => {
                columns.push(column(
                    &format!("{name} {version}"),
                    &start(&path, origin.address),
                    &origin,
                    Duration::from_secs(2),
                ));
            }
            None => println!("{name} is not installed and left out"),
        }
    }
    std::fs::write(FILE, Page::text(&columns)).unwrap();
}
