//! Requests over each front, every one of them counted and compared, while the proxy under them is
//! upgraded, reloaded and given new certificates: none is lost. Many more of HTTP/1 in the clear
//! are in `ledger.rs`.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stderr)] // the longer form is read by a person

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use h2::Reason;
use support::front::{Answer, Ask, Exchange, Front, Fronted, Link, every_front, renew_certificate};
use support::{Origin, await_until};

every_front! {
    upgrades_reloads_and_new_certificates_lose_nothing
}

const CLIENTS: usize = 4;

/// By `ROTATION_ROUNDS`, for a longer form that a person starts.
fn rounds() -> usize {
    std::env::var("ROTATION_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap())
}

/// `None` when the proxy has not taken the request, and said so: another connection may (RFC 9113
/// section 6.8).
fn ask(link: &mut Link, ask: &Ask) -> Option<Answer> {
    let Link::Http2(client) = link else { return Some(link.ask(ask)) };
    let mut stream = client.try_begin(ask).ok()?;
    stream.end_with(&ask.body);
    match stream.try_head() {
        Ok(response) => {
            let (body, is_whole) = Exchange::Http2(stream).rest();
            Some(Answer { response: support::Response { body, ..response }, trailers: Vec::new(), is_whole })
        }
        Err(e) if e.reason() == Some(Reason::REFUSED_STREAM) => None,
        Err(e) if e.is_go_away() && e.reason() == Some(Reason::NO_ERROR) => None,
        Err(e) => panic!("a request was lost: {e}"),
    }
}

/// Requests one after the other, on a connection for as long as it lives.
fn traffic(proxy: &Fronted, client: usize, stop: &AtomicBool, answered: &AtomicUsize) {
    let (mut link, mut number) = (proxy.link(), 0usize);
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let body = format!("{client}-{number};").repeat(200 + number % 300);
        let Some(answer) = ask(&mut link, &Ask::post("/", &body)) else {
            link = proxy.link();
            continue;
        };
        assert_eq!((answer.status, answer.is_whole), (200, true), "{}", answer.text());
        assert!(answer.text() == body, "{client}-{number}");
        answered.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == Some("close") || number.is_multiple_of(50) {
            link = proxy.link();
        }
        // Some are asked while their connection was quiet.
        thread::park_timeout(Duration::from_millis(if client == 0 { 300 } else { 2 }));
    }
}

fn upgrades_reloads_and_new_certificates_lose_nothing(front: Front) {
    let origin = Origin::start(|request, wire| {
        let body = wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.send(body);
        true
    });
    let proxy = front.before(origin.address);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let (proxy, stop, answered) = (&proxy, &stop, &answered);
                    move || traffic(proxy, client, stop, answered)
                })
            })
            .collect();
        let all_rounds = || {
            for round in 0..rounds() {
                let so_far = answered.load(Ordering::SeqCst);
                await_until("traffic", || {
                    clients.iter().any(|client| client.is_finished()) || answered.load(Ordering::SeqCst) > so_far + 20
                });
                if front.is_tls() {
                    renew_certificate(&proxy, round);
                }
                let (code, text) = proxy.order("reload");
                assert_eq!(code, 0, "{text}");
                let (code, text) = proxy.order("upgrade");
                assert_eq!(code, 0, "{text}");
            }
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(all_rounds));
        stop.store(true, Ordering::SeqCst);
        let lost = clients.into_iter().map(|client| client.join()).filter(Result::is_err).count();
        proxy.order("stop");
        assert_eq!(lost, 0, "clients that lost a request");
        done.unwrap();
    });
    eprintln!("{front:?}: {} requests, {} upgrades, none lost", answered.load(Ordering::SeqCst), rounds());
    assert!(answered.load(Ordering::SeqCst) > 20 * rounds());
}
