//! Servers that fail: who notices, who is asked instead, and what a client sees of it.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::faults::{self, BlackHole, Server, answering, named, refusing, resetting, silent};
use support::{Client, Origin, Proxy, Response, await_until};

/// All requests to one upstream with these servers and settings.
fn before(servers: &[String], settings: &str) -> Proxy {
    let servers: Vec<String> = servers.iter().map(|server| format!("'{server}'")).collect();
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\nlog: {{ level: info }}\nupstreams:\n  api:\n    servers: [{}]\n{settings}\
         routes: [{{ upstream: api }}]\n",
        servers.join(", ")
    ))
}

fn list(servers: &[&dyn std::fmt::Display]) -> Vec<String> {
    servers.iter().map(|server| server.to_string()).collect()
}

fn post(proxy: &Proxy, body: &str) -> Response {
    proxy.ask(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn reason(response: &Response) -> &str {
    response.header("proxy-status").unwrap_or("")
}

const NO_EJECTION: &str = "    health: { passive: 'off' }\n";

#[test]
fn a_refusing_server_is_passed_over_for_every_method() {
    let good = named("good");
    let proxy = before(&list(&[&refusing(), &good.address, &refusing()]), NO_EJECTION);
    for _ in 0..6 {
        assert_eq!((proxy.get("/").text(), post(&proxy, "x").text()), ("good".into(), "good".into()));
    }
    assert_eq!(good.count(), 12);
    let log = proxy.access_log(12);
    assert!(log.iter().any(|line| line["retries"].as_u64() >= Some(1)), "{log:?}");
}

#[test]
fn a_black_hole_is_left_after_the_connect_timeout() {
    let (hole, good) = (BlackHole::open(), named("good"));
    let proxy = before(
        &list(&[&hole.address, &good.address]),
        "    timeouts: { connect: 300ms }\n    health: { passive: { failures: 1, eject_for: 1h } }\n",
    );
    let began = Instant::now();
    assert_eq!(post(&proxy, "x").text(), "good");
    assert!((300..2000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // Ejected by that one failure.
    let began = Instant::now();
    (0..6).for_each(|_| assert_eq!(proxy.get("/").text(), "good"));
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn a_reset_is_tried_again_for_get_and_never_for_post() {
    let (bad, good) = (resetting(), named("good"));
    let proxy = before(&list(&[&bad.address, &good.address]), NO_EJECTION);
    let mut refused = 0;
    for n in 0..8 {
        assert_eq!(proxy.get(&format!("/{n}")).text(), "good");
        let answer = post(&proxy, "x");
        if answer.status == 502 {
            refused += 1;
            assert!(reason(&answer).contains("connection_terminated"), "{answer:?}");
        }
    }
    let posts = |origin: &Origin| origin.seen.lock().unwrap().iter().filter(|r| r.line.starts_with("POST")).count();
    assert_eq!((refused, posts(&bad) + posts(&good)), (posts(&bad), 8));
    assert!(refused > 0);
}

/// Answers the first request of each connection and closes at the second.
fn forgetful() -> Origin {
    let served: Arc<Mutex<std::collections::HashSet<std::net::SocketAddr>>> = Arc::default();
    Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        if !served.lock().unwrap().insert(wire.stream.peer_addr().unwrap()) {
            return false;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        true
    })
}

#[test]
fn a_connection_that_died_in_the_pool_is_replaced_once_for_get_and_not_for_post() {
    let origin = forgetful();
    let proxy = Proxy::before(origin.address);
    let mut client = proxy.connect();
    for n in 0..5 {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().status, 200, "{n}");
    }
    assert_eq!(proxy.get("/pooled").status, 200);
    let before = origin.count();
    // Whatever is in the pool now is dead, or there is none.
    let statuses: Vec<u16> = (0..4).map(|_| post(&proxy, "x").status).collect();
    assert!(statuses.contains(&502), "{statuses:?}");
    assert_eq!(origin.count() - before, 4, "a POST was sent twice");
}

/// A server that is about to die lets go of its idle connections first, and of those in
/// its backlog a moment later.
#[test]
fn a_connection_that_died_in_the_pool_is_no_try_of_the_request() {
    let to_fail = Arc::new(AtomicUsize::new(0));
    let left = to_fail.clone();
    let origin = Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return false;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        true
    });
    let proxy = before(&list(&[&origin.address]), NO_EJECTION);
    // A connection is back in its pool a moment after its answer was read.
    await_until("a pooled connection that dies, and the next one, cost nothing", || {
        assert_eq!(proxy.get("/").status, 200);
        let before = origin.count();
        to_fail.store(2, Ordering::SeqCst);
        proxy.get("/").status == 200 && origin.count() - before == 3
    });
}

#[test]
fn an_origin_that_was_restarted_with_a_full_pool_costs_no_request() {
    let origin = named("one");
    let address = origin.address;
    let proxy = Proxy::before(address);
    let mut clients: Vec<Client> = (0..32).map(|_| proxy.connect()).collect();
    let ask = |clients: &mut Vec<Client>| -> Vec<u16> {
        clients.iter_mut().for_each(|c| c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        clients.iter_mut().map(|c| c.response().status).collect()
    };
    assert_eq!(ask(&mut clients), [200; 32]);
    drop(origin);
    let answer = |request: &support::Request, wire: &mut support::Wire| {
        wire.body(&request.headers, false);
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
        true
    };
    let _again = Origin::start_at(address, answer);
    assert_eq!(ask(&mut clients), [200; 32]);
}

#[test]
fn a_pool_full_of_dead_connections_does_not_use_up_the_retry_budget() {
    thread_local! {
        static ANSWERED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    // Each connection takes one request and is closed under the second.
    let origin = Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        let is_first = !ANSWERED.replace(true);
        if is_first {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
        }
        is_first
    });
    let proxy = Proxy::before(origin.address);
    // Far more than the ten retries that are allowed without any request.
    let mut clients: Vec<Client> = (0..40).map(|_| proxy.connect()).collect();
    for _ in 0..2 {
        clients.iter_mut().for_each(|c| c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answers: Vec<u16> = clients.iter_mut().map(|c| c.response().status).collect();
        assert_eq!(answers, [200; 40]);
    }
}

#[test]
fn one_server_that_is_gone_with_its_pooled_connections_is_one_that_refuses() {
    let mut server = Server::start("a");
    let proxy = before(&list(&[&server.address]), NO_EJECTION);
    for _ in 0..5 {
        assert_eq!(proxy.get("/").status, 200);
        server.kill();
        let answer = proxy.get("/");
        assert!(answer.status == 502 && reason(&answer).contains("connection_refused"), "{answer:?}");
        server.start_again();
    }
}

#[test]
fn a_body_within_the_buffer_is_sent_again_whole_and_a_longer_one_is_not() {
    let got: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let good = {
        let got = got.clone();
        Origin::start(move |request, wire| {
            got.lock().unwrap().push(wire.body(&request.headers, false));
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
            true
        })
    };
    let bad = resetting();
    let proxy = before(
        &list(&[&bad.address, &good.address]),
        "    health: { passive: 'off' }\n    retry: { body_buffer: 20KiB }\n",
    );
    let put = |length: usize, chunked: bool| {
        let body: Vec<u8> = (0..length).map(|i| b'a' + u8::try_from(i % 26).unwrap()).collect();
        let framed = if chunked {
            [format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
        } else {
            body.clone()
        };
        let framing = if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {length}") };
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        (proxy.ask([head.as_bytes(), &framed].concat()).status, body)
    };
    for (length, chunked) in [(20_000, false), (20_000, false), (9_000, true), (9_000, true)] {
        let (status, body) = put(length, chunked);
        assert_eq!(status, 200);
        assert!(got.lock().unwrap().last().unwrap() == &body, "another body arrived");
    }
    let statuses: Vec<u16> = (0..4).map(|_| put(30_000, false).0).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
}

#[test]
fn a_silent_server_is_left_for_get_and_costs_a_post_its_answer() {
    let (bad, good) = (silent(), named("good"));
    let settings = format!("    timeouts: {{ response_header: 300ms }}\n{NO_EJECTION}");
    let proxy = before(&list(&[&bad.address, &good.address]), &settings);
    for _ in 0..4 {
        let began = Instant::now();
        assert_eq!(proxy.get("/").text(), "good");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    let statuses: Vec<u16> = (0..4).map(|_| post(&proxy, "x").status).collect();
    assert!(statuses.contains(&504) && statuses.contains(&200), "{statuses:?}");
    let posts = |origin: &Origin| origin.seen.lock().unwrap().iter().filter(|r| r.line.starts_with("POST")).count();
    assert_eq!(posts(&bad) + posts(&good), 4);
}

#[test]
fn chosen_statuses_are_tried_again_and_the_last_answer_is_passed_on() {
    let (bad, good) = (answering(503), named("good"));
    let settings = format!("    retry: {{ statuses: [503] }}\n{NO_EJECTION}");
    let proxy = before(&list(&[&bad.address, &good.address]), &settings);
    (0..4).for_each(|_| assert_eq!(proxy.get("/").text(), "good"));
    let statuses: Vec<u16> = (0..2).map(|_| post(&proxy, "x").status).collect();
    assert!(statuses.contains(&503), "{statuses:?}");
    drop(proxy);
    let proxy = before(&list(&[&bad.address]), &settings);
    let answer = proxy.get("/");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("proxy-status")), (503, "sad\n", None));
    assert_eq!(proxy.access_log(1)[0]["retries"], 1);
}

/// Sends requests that all fail, and checks how many more than these reach the origins.
fn storm(make: fn() -> Origin, settings: &str) {
    const REQUESTS: usize = 1_000;
    let origins = [make(), make(), make()];
    let proxy = before(&list(&[&origins[0].address, &origins[1].address, &origins[2].address]), settings);
    let began = Instant::now();
    for n in 0..REQUESTS {
        assert!(proxy.get(&format!("/{n}")).status >= 500);
    }
    let retries = origins.iter().map(Origin::count).sum::<usize>() - REQUESTS;
    // In each five seconds ten are allowed, be there ever so few requests: on a busy machine there are few.
    let windows = usize::try_from(began.elapsed().as_secs() / 5).unwrap();
    let most = REQUESTS / 5 + 10 * windows;
    assert!((1..=most).contains(&retries), "{retries} of {most} retries");
}

#[test]
fn a_storm_of_5xx_or_resets_adds_a_fifth_of_load_at_most() {
    storm(|| answering(503), "    retry: { attempts: 5, statuses: [503] }\n");
    storm(resetting, "    retry: { attempts: 5 }\n");
}

#[test]
fn when_all_are_down_503_comes_at_once_and_one_good_check_brings_them_back() {
    let mut servers = [Server::start("a"), Server::start("b"), Server::start("c")];
    let proxy = before(
        &list(&[&servers[0].address, &servers[1].address, &servers[2].address]),
        "    health: { active: { path: /, interval: 500ms, timeout: 500ms, healthy_after: 5, unhealthy_after: 2 } }\n",
    );
    assert_eq!(proxy.get("/").status, 200);
    servers.iter_mut().for_each(Server::kill);
    await_until("all down", || proxy.read("stderr").contains("no server is left"));
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        let answer = proxy.get("/");
        slowest = slowest.max(began.elapsed());
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert!(reason(&answer).contains("destination_unavailable"), "{answer:?}");
    }
    assert!(slowest < Duration::from_millis(50), "{slowest:?}");
    servers[1].start_again();
    let began = Instant::now();
    await_until("back", || proxy.get("/").status == 200);
    // Five checks would take two seconds.
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[test]
fn when_no_server_can_be_connected_to_it_says_so() {
    let proxy = before(&list(&[&refusing(), &refusing()]), "");
    let answer = post(&proxy, "x");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(reason(&answer).contains("destination_unavailable"), "{answer:?}");
    // One alone was refused, and nobody else was asked.
    let proxy = before(&list(&[&refusing()]), "");
    let answer = proxy.get("/");
    assert!(answer.status == 502 && reason(&answer).contains("connection_refused"), "{answer:?}");
}

#[test]
fn the_deadline_of_a_request_holds_over_all_tries_and_not_for_event_streams() {
    let (one, other) = (silent(), silent());
    let settings = format!("    timeouts: {{ response_header: 400ms, request: 700ms }}\n{NO_EJECTION}");
    let proxy = before(&list(&[&one.address, &other.address]), &settings);
    let began = Instant::now();
    let answer = proxy.get("/");
    let took = began.elapsed().as_millis();
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("timeouts.request"), "{answer:?}");
    assert!((690..1500).contains(&took), "{took}");

    let slow = Origin::start(|request, wire| {
        let events = request.target() == "/events";
        let kind = if events { "text/event-stream" } else { "text/plain" };
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 12\r\n\r\n"));
        for _ in 0..6 {
            wire.send("x\n");
            thread::sleep(Duration::from_millis(200));
        }
        false
    });
    let proxy = before(&list(&[&slow.address]), &settings);
    assert_eq!(proxy.get("/events").body.len(), 12);
    let mut client = proxy.connect();
    client.send("GET /body HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let rest = client.wire.until_end();
    assert!(rest.len() < 12, "the body was not cut: {}", rest.len());
}

#[test]
fn every_try_sends_the_same_request() {
    let (bad, good) = (resetting(), named("good"));
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams:\n  api: {{ servers: ['{}', '{}'], health: {{ passive: 'off' }} }}\n\
         routes: [{{ upstream: api, request: {{ header: {{ add: {{ X-Added: one }} }}, query: {{ add: {{ a: 1 }} }}, \
         cookie: {{ set: {{ k: v }} }} }} }}]\n",
        bad.address, good.address
    ));
    let request = "PUT /x?y=1 HTTP/1.1\r\nHost: a.test\r\nCookie: c=d\r\nContent-Length: 3\r\n\r\nabc";
    (0..2).for_each(|_| assert_eq!(proxy.ask(request).status, 200));
    let first = bad.last();
    let is_first = |other: &&support::Request| other.header("x-request-id") == first.header("x-request-id");
    let second = good.seen.lock().unwrap().iter().find(is_first).cloned().unwrap();
    assert_eq!((&first.line, &first.headers), (&second.line, &second.headers));
}

#[test]
fn a_failing_server_is_ejected_for_longer_each_time_and_never_the_last_one() {
    let (bad, good) = (answering(503), named("good"));
    let settings = "    health: { passive: { failures: 3, eject_for: 1500ms } }\n";
    let proxy = before(&list(&[&bad.address, &good.address]), settings);
    let count_of_bad = |requests: usize| (0..requests).filter(|_| proxy.get("/").status == 503).count();
    assert_eq!(count_of_bad(20), 3);
    let log = proxy.read("stderr");
    let line =
        format!("server {} gets no requests for 1.5 s: 3 failures in a row, the last: it answered 503", bad.address);
    assert!(log.contains(&line), "{log}");
    // On trial: one failure is enough, and it is out for twice as long.
    await_until("its trial", || proxy.get("/").status == 503);
    assert_eq!(count_of_bad(20), 0);
    assert!(proxy.read("stderr").contains("gets no requests for 3 s"), "{}", proxy.read("stderr"));
    drop(good);
    let (one, other) = (answering(503), answering(503));
    let proxy = before(&list(&[&one.address, &other.address]), settings);
    (0..20).for_each(|_| assert_eq!(proxy.get("/").text(), "sad\n"));
    assert_eq!(proxy.read("stderr").matches("gets no requests").count(), 1);
}

#[test]
fn an_ejected_server_is_asked_before_a_request_fails_for_lack_of_another() {
    let mut servers = [Server::start("a"), Server::start("b")];
    let settings = "    health: { passive: { failures: 1, eject_for: 1h } }\n";
    let proxy = before(&list(&[&servers[0].address, &servers[1].address]), settings);
    servers[0].kill();
    await_until("ejected", || {
        assert_eq!(proxy.get("/").status, 200);
        proxy.read("stderr").contains("gets no requests")
    });
    servers[0].start_again();
    servers[1].kill();
    (0..5).for_each(|_| assert_eq!((proxy.get("/").text(), post(&proxy, "").text()), ("a".into(), "a".into())));
}

#[test]
fn what_is_known_of_a_server_outlives_a_reload() {
    let (bad, good) = (answering(503), named("good"));
    let yaml = |attempts: u8| {
        format!(
            "listeners: ['{{listen}}']\nupstreams:\n  api: {{ servers: ['{}', '{}'], retry: {{ attempts: {attempts} }}, \
             health: {{ passive: {{ failures: 2, eject_for: 1h }} }} }}\nroutes: [{{ upstream: api }}]\n",
            bad.address, good.address
        )
    };
    let proxy = Proxy::start(&yaml(2));
    (0..8).for_each(|_| drop(proxy.get("/")));
    assert_eq!(bad.count(), 2);
    proxy.rewrite(&yaml(3));
    assert_eq!(proxy.order("reload").0, 0);
    (0..8).for_each(|_| assert_eq!(proxy.get("/").status, 200));
    assert_eq!(bad.count(), 2);
}

#[test]
fn a_status_that_is_healthy_for_checks_is_what_the_config_says() {
    let picky = Origin::start(|request, wire| {
        let status = if request.target() == "/healthz" { "404 Not Found" } else { "200 OK" };
        wire.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        true
    });
    let active = |status: &str| {
        format!(
            "    health: {{ active: {{ path: /healthz, interval: 100ms, unhealthy_after: 1, status: '{status}' }} }}\n"
        )
    };
    let proxy = before(&list(&[&picky.address]), &active("200-399"));
    await_until("down", || proxy.read("stderr").contains("is down: 1 check failed: /healthz answered 404"));
    assert_eq!(proxy.get("/").status, 503);
    drop(proxy);
    let seen = picky.count();
    let proxy = before(&list(&[&picky.address]), &active("404"));
    await_until("checks", || picky.count() > seen + 3);
    assert_eq!(proxy.get("/").status, 200);
    let check = picky.seen.lock().unwrap().iter().find(|r| r.target() == "/healthz").cloned().unwrap();
    assert_eq!(check.header("host"), Some(picky.address.to_string().as_str()));
    // Each change once, and no line for what stays as it is.
    assert!(!proxy.read("stderr").contains("is up"), "{}", proxy.read("stderr"));
}

/// Clients that ask all the while, each with requests that are told apart.
struct Traffic {
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
    pub gets: Arc<AtomicUsize>,
}

impl Traffic {
    fn start(proxy: &Proxy, clients: usize) -> Self {
        let (stop, gets): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let clients = (0..clients).map(|client| {
            let (address, stop, gets) = (proxy.address, stop.clone(), gets.clone());
            thread::spawn(move || {
                let mut wrong = Vec::new();
                let mut connection = Client::connect(address);
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let is_post = n % 8 == 7;
                    let method = if is_post { "POST" } else { "GET" };
                    let length = if is_post { "Content-Length: 0\r\n" } else { "" };
                    connection.send(format!("{method} /?id={client}.{n} HTTP/1.1\r\nHost: a\r\n{length}\r\n"));
                    let answer = connection.response();
                    gets.fetch_add(usize::from(!is_post), Ordering::Relaxed);
                    if answer.status != 200 && !is_post {
                        wrong.push(format!("GET {client}.{n}: {} {:?}", answer.line, answer.header("proxy-status")));
                    }
                    if answer.header("connection") == Some("close") {
                        connection = Client::connect(address);
                    }
                }
                wrong
            })
        });
        Self { clients: clients.collect(), stop, gets }
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

fn twice(servers: &[Server]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let all = servers.iter().flat_map(Server::seen);
    // Each eighth is a POST.
    let is_post = |id: &String| id.rsplit('.').next().and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n % 8 == 7);
    all.filter(is_post).filter(|id| !seen.insert(id.clone())).collect()
}

#[test]
fn one_of_three_that_is_killed_or_frozen_under_load_costs_no_get_and_no_post_is_sent_twice() {
    let mut servers = [Server::start("a"), Server::start("b"), Server::start("c")];
    let proxy = before(
        &list(&[&servers[0].address, &servers[1].address, &servers[2].address]),
        "    health: { active: { path: /, interval: 200ms, timeout: 200ms, healthy_after: 1, unhealthy_after: 2 } }\n    \
         timeouts: { connect: 500ms, response_header: 500ms }\n",
    );
    let traffic = Traffic::start(&proxy, 8);
    for cycle in 0..6 {
        let more = |count: usize| {
            let seen = traffic.gets.load(Ordering::Relaxed);
            await_until("traffic", || traffic.gets.load(Ordering::Relaxed) > seen + count);
        };
        more(200);
        let server = &mut servers[cycle % 3];
        if cycle % 2 == 0 {
            server.kill();
            more(200);
            server.start_again();
        } else {
            server.freeze();
            more(200);
            server.thaw();
        }
    }
    let wrong = traffic.end();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let twice = twice(&servers);
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn a_server_says_how_long_it_keeps_idle_connections_and_they_are_closed_before_it_does() {
    let origin = Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        wire.send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok");
        true
    });
    let proxy = Proxy::before(origin.address);
    let connections = || origin.connections.load(Ordering::SeqCst);
    assert_eq!(proxy.get("/").status, 200);
    await_until("the pool is used", || {
        let before = connections();
        proxy.get("/").status == 200 && connections() == before
    });
    let before = connections();
    thread::sleep(Duration::from_millis(1300));
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(connections(), before + 1, "an idle connection was used after its time");
}

#[test]
fn faults_are_what_they_are_called() {
    let hole = BlackHole::open();
    let began = Instant::now();
    let tried = std::net::TcpStream::connect_timeout(&hole.address, Duration::from_millis(200));
    assert!(tried.is_err() && began.elapsed() >= Duration::from_millis(190));
    assert!(std::net::TcpStream::connect(faults::refusing()).is_err());
}
