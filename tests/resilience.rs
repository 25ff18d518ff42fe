//! Where failures, queues, reloads and names meet: each of these was a bug once.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use support::dns::Dns;
use support::faults::{named, refusing, silent};
use support::{Client, Origin, Proxy, Response, await_until, call_for, free_port};

fn yaml(servers: &str, settings: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\nupstreams:\n  api:\n    servers: [{servers}]\n{settings}routes: [{{ upstream: api }}]\n"
    )
}

fn reload(proxy: &Proxy, text: &str) {
    proxy.rewrite(text);
    let (code, said) = proxy.order("reload");
    assert_eq!(code, 0, "{said}");
}

fn report(proxy: &Proxy) -> serde_json::Value {
    let (code, text) = call_for(&proxy.folder, &["upstreams", "--json"]);
    assert_eq!(code, 0, "{text}");
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["upstreams"][0].clone()
}

/// Answers after `/wait/milliseconds`, at once otherwise.
fn patient(name: &'static str, address: SocketAddr) -> Origin {
    Origin::start_at(address, move |request, wire| {
        wire.body(&request.headers, false);
        if let Some(time) = request.target().strip_prefix("/wait/") {
            thread::sleep(Duration::from_millis(time.parse().unwrap()));
        }
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
        true
    })
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A request whose answer is asked for later.
fn begin(proxy: &Proxy, target: &str, fields: &str) -> Client {
    let mut client = proxy.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client
}

fn resolving(dns: &Dns, servers: &str, settings: &str) -> Proxy {
    let dns = format!("dns: {{ nameservers: ['{}'], timeout: 300ms }}\n", dns.address());
    Proxy::start(&(dns + &yaml(servers, settings)))
}

#[test]
fn a_server_whose_weight_changes_in_its_srv_record_is_still_the_same() {
    let ports = [free_port(), free_port()];
    let origins = ports.map(|port| patient("ok", ([127, 0, 0, 1], port).into()));
    let dns = Dns::start();
    dns.set_a("node.test", &[[127, 0, 0, 1].into()]);
    let weigh = |weight: u16| {
        dns.set_srv("s.test", &[(1, weight + 1, ports[0], "node.test"), (1, weight, ports[1], "node.test")])
    };
    weigh(10);
    let proxy = resolving(&dns, "{ srv: s.test, refresh: 1s }", "    health: { passive: 'off' }\n");
    let disabled = origins[0].address.to_string();
    assert_eq!(call_for(&proxy.folder, &["upstreams", "disable", "api", &disabled]).0, 0);
    let mut busy: Vec<Client> = (0..3).map(|_| begin(&proxy, "/wait/3000", "")).collect();
    await_until("they are under way", || origins[1].count() >= 3);
    weigh(30);
    await_until("the new weight", || report(&proxy)["servers"][1]["weight"] == 30);
    // The pool's connections are lent to others meanwhile.
    let mut later: Vec<Client> = (0..3).map(|_| begin(&proxy, "/wait/3000", "")).collect();
    busy.append(&mut later);
    for client in &mut busy {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!((origins[0].count(), report(&proxy)["servers"][0]["state"].as_str()), (0, Some("disabled")));
    assert!(!proxy.read("stderr").contains(&format!("-{disabled}")), "{}", proxy.read("stderr"));
}

#[test]
fn an_address_that_leaves_its_name_and_comes_back_cuts_nobody() {
    let port = free_port();
    let origins = [1, 2].map(|last| patient("ok", ([127, 0, 0, last], port).into()));
    let dns = Dns::start();
    let both = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
    dns.set_a("f.test", &both);
    let proxy = resolving(&dns, &format!("{{ dns: 'f.test:{port}', refresh: 1s }}"), "    retry: { attempts: 1 }\n");
    let mut busy: Vec<Client> = (0..4).map(|_| begin(&proxy, "/wait/2500", "")).collect();
    await_until("they are under way", || origins.iter().map(Origin::count).sum::<usize>() == 4);
    let servers = |count: usize| report(&proxy)["servers"].as_array().unwrap().len() == count;
    dns.set_a("f.test", &both[..1]);
    await_until("one is gone", || servers(1));
    dns.set_a("f.test", &both);
    await_until("it is back", || servers(2));
    busy.extend((0..6).map(|_| begin(&proxy, "/wait/2500", "")));
    for client in &mut busy {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_server_that_checks_took_out_is_back_when_they_are_gone_or_the_operator_says_so() {
    let origin = named("a");
    let check = "    health: { active: { path: /x, status: '201', interval: 100ms, unhealthy_after: 1 } }\n";
    let servers = format!("'{}'", origin.address);
    let proxy = Proxy::start(&yaml(&servers, check));
    await_until("it is down", || proxy.get("/").status == 503);
    reload(&proxy, &yaml(&servers, ""));
    assert_eq!(proxy.get("/").status, 200);
    reload(&proxy, &yaml(&servers, &check.replace("100ms", "1h")));
    await_until("it is down again", || {
        proxy.read("stderr").matches("is down").count() == 1 || proxy.get("/").status == 503
    });
    drop(proxy);
    let proxy = Proxy::start(&yaml(&servers, &check.replace("100ms", "1h")));
    await_until("it is down", || proxy.get("/").status == 503);
    let (code, text) = call_for(&proxy.folder, &["upstreams", "enable", "api", &origin.address.to_string()]);
    assert!(code == 0 && text.contains("1 of 1 get requests"), "{text}");
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn who_waits_is_served_when_a_request_of_the_configuration_before_makes_room() {
    let origin = patient("ok", anywhere());
    let servers = |weight: u8| format!("{{ address: '{}', weight: {weight} }}", origin.address);
    let limits = "    pool: { max_connections: 1, queue: 10, queue_timeout: 10s }\n";
    let proxy = Proxy::start(&yaml(&servers(1), limits));
    let mut first = begin(&proxy, "/wait/4000", "");
    await_until("it is under way", || origin.count() == 1);
    let mut second = begin(&proxy, "/", "");
    await_until("one waits", || report(&proxy)["queued"] == 1);
    reload(&proxy, &yaml(&servers(2), limits));
    let mut third = begin(&proxy, "/", "");
    await_until("two wait", || report(&proxy)["queued"] == 2);
    let began = Instant::now();
    assert_eq!([first.response().status, second.response().status, third.response().status], [200; 3]);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    await_until("all is done", || {
        let report = report(&proxy);
        report["queued"] == 0 && report["servers"][0]["in_flight"] == 0
    });
}

#[test]
fn what_a_request_of_the_configuration_before_finds_is_known_to_the_next() {
    let bad = Origin::start(|_, _| {
        thread::sleep(Duration::from_millis(600));
        false
    });
    let good = named("good");
    let servers = format!("'{}', '{}'", bad.address, good.address);
    let settings = |budget: u8| {
        format!(
            "    retry: {{ budget: {budget}%, on: [] }}\n    health: {{ passive: {{ failures: 1, eject_for: 3s }} }}\n"
        )
    };
    let proxy = Proxy::start(&yaml(&servers, &settings(20)));
    let mut clients: Vec<Client> = (0..2).map(|_| begin(&proxy, "/", "")).collect();
    await_until("it is under way", || bad.count() == 1);
    reload(&proxy, &yaml(&servers, &settings(30)));
    clients.iter_mut().for_each(|client| drop(client.response()));
    assert_eq!(report(&proxy)["servers"][0]["state"], "ejected");
    assert_eq!((0..4).map(|_| proxy.get("/").text()).collect::<String>(), "goodgoodgoodgood");
    await_until("it is on trial", || proxy.get("/").status == 502);
    assert_eq!(report(&proxy)["servers"][0]["state"], "ejected");
}

fn cookie(answer: &Response) -> Option<String> {
    let field = answer.all("set-cookie").into_iter().find(|field| field.starts_with("lb="))?;
    field.split(';').next().map(str::to_owned)
}

#[test]
fn a_sticky_cookie_that_a_reload_brings_is_signed_with_a_key_that_is_kept() {
    let (a, b) = (named("a"), named("b"));
    let servers = format!("'{}', '{}'", a.address, b.address);
    let proxy = Proxy::start(&yaml(&servers, ""));
    reload(&proxy, &yaml(&servers, "    sticky: { cookie: lb }\n"));
    let first = proxy.get("/");
    let held = cookie(&first).unwrap();
    assert!(std::fs::metadata(proxy.folder.0.join("sticky.key")).unwrap().len() >= 32);
    assert_eq!(proxy.order("upgrade").0, 0);
    for fields in [held.clone(), format!("lb=bogus; {held}")] {
        let again = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {fields}\r\n\r\n"));
        assert_eq!((again.text(), cookie(&again)), (first.text(), None), "{fields}");
    }
    proxy.order("stop");
}

#[test]
fn a_server_that_only_the_deadline_of_the_request_finds_is_ejected_and_a_slow_client_blames_nobody() {
    let (bad, good) = (silent(), named("good"));
    let settings = "    timeouts: { request: 300ms }\n    health: { passive: { failures: 2, eject_for: 1h } }\n";
    let proxy = Proxy::start(&yaml(&format!("'{}', '{}'", bad.address, good.address), settings));
    let lost = (0..12).filter(|_| proxy.get("/").status == 504).count();
    assert_eq!(lost, 2);
    let mut slow = proxy.connect();
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    let answer = slow.response();
    assert!(answer.status == 408 && answer.text().contains("timeouts.request"), "{answer:?}");
    assert_eq!(report(&proxy)["servers"][1]["failures"], 0);
}

#[test]
fn a_server_that_dies_in_the_middle_of_its_answers_is_ejected() {
    let bad = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
        false
    });
    let good = named("good");
    let proxy = Proxy::start(&yaml(&format!("'{}', '{}'", bad.address, good.address), ""));
    for _ in 0..20 {
        let mut client = begin(&proxy, "/", "");
        assert_eq!(client.head().status, 200);
        client.wire.until_end_or(Duration::from_millis(200));
    }
    let server = &report(&proxy)["servers"][0];
    assert_eq!((server["state"].as_str(), server["failures"].as_u64()), (Some("ejected"), Some(5)));
}

#[test]
fn a_sticky_client_that_waits_stands_in_nobodys_way_and_follows_the_operator() {
    let origins = [patient("a", anywhere()), patient("b", anywhere())];
    let servers = format!("'{}', '{}'", origins[0].address, origins[1].address);
    let limits = "    sticky: { cookie: lb }\n    pool: { max_connections: 1, queue: 1, queue_timeout: 10s }\n";
    let proxy = Proxy::start(&yaml(&servers, limits));
    let held = loop {
        let answer = proxy.get("/");
        if answer.text() == "a" {
            break cookie(&answer).unwrap();
        }
    };
    let own = format!("Cookie: {held}\r\n");
    let mut first = begin(&proxy, "/wait/5000", &own);
    await_until("it is under way", || report(&proxy)["servers"][0]["in_flight"] == 1);
    let mut second = begin(&proxy, "/", &own);
    await_until("one waits", || report(&proxy)["queued"] == 1);
    for _ in 0..5 {
        // The room of a request is free a moment after its answer was read.
        await_until("the other one has room", || report(&proxy)["servers"][1]["in_flight"] == 0);
        assert_eq!(proxy.get("/").text(), "b");
    }
    call_for(&proxy.folder, &["upstreams", "disable", "api", &origins[0].address.to_string()]);
    // It is not sent to a server that is disabled by now.
    assert_eq!(second.response().text(), "b");
    assert_eq!(first.response().text(), "a");
    drop(proxy);
    let limits = "    sticky: { cookie: lb }\n    pool: { max_connections: 1 }\n";
    let proxy = Proxy::start(&yaml(&servers, limits));
    let held = cookie(&proxy.get("/")).unwrap();
    let _busy = begin(&proxy, "/wait/1000", &format!("Cookie: {held}\r\n"));
    await_until("it is under way", || report(&proxy).to_string().contains("\"in_flight\":1"));
    assert_eq!(proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {held}\r\n\r\n")).status, 200);
}

#[test]
fn a_client_that_leaves_the_queue_leaves_its_place_and_a_refused_one_its_room() {
    let origin = patient("ok", anywhere());
    let limits = "    pool: { max_connections: 1, queue: 2, queue_timeout: 20s }\n    retry: { attempts: 1 }\n";
    let proxy = Proxy::start(&yaml(&format!("'{}'", origin.address), limits));
    let mut busy = begin(&proxy, "/wait/4000", "");
    await_until("it is under way", || origin.count() == 1);
    let waiting: Vec<Client> = (0..2).map(|_| begin(&proxy, "/", "")).collect();
    await_until("they wait", || report(&proxy)["queued"] == 2);
    // Who only closes its direction may wait for an answer: these are gone.
    let reset = |client: &Client| socket2::SockRef::from(&client.wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
    waiting.iter().for_each(reset);
    drop(waiting);
    await_until("they are gone", || report(&proxy)["queued"] == 0);
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!((busy.response().status, origin.count()), (200, 2));
    drop(proxy);
    let closing = Origin::start(|_, _| false);
    let proxy = Proxy::start(&yaml(&format!("'{}'", closing.address), "    pool: { max_connections: 1 }\n"));
    let mut slow = proxy.connect();
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    assert_eq!(slow.response().status, 502);
    let answered = Instant::now();
    await_until("it has its room back", || report(&proxy)["servers"][0]["in_flight"] == 0);
    assert!(answered.elapsed() < Duration::from_secs(2), "{:?}", answered.elapsed());
}

#[test]
fn the_deadlines_of_an_earlier_request_do_not_count_in_the_queue() {
    let origin = patient("ok", anywhere());
    let settings = "    pool: { max_connections: 1, queue: 5 }\n    timeouts: { response_header: 3s }\n";
    let proxy = Proxy::start(&yaml(&format!("'{}'", origin.address), settings));
    let mut client = begin(&proxy, "/", "");
    assert_eq!(client.response().status, 200);
    let mut others: Vec<Client> = (0..2).map(|_| begin(&proxy, "/wait/2000", "")).collect();
    await_until("one waits", || report(&proxy)["queued"] == 1);
    // It waits for longer than an answer may take.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    others.iter_mut().for_each(|other| assert_eq!(other.response().status, 200));
}

#[test]
fn a_request_waits_for_a_server_with_room_rather_than_ask_a_dead_one_again() {
    let (dead, origin) = (refusing(), patient("ok", anywhere()));
    let settings = "    pool: { max_connections: 1, queue: 10 }\n    health: { passive: 'off' }\n";
    let proxy = Proxy::start(&yaml(&format!("'{dead}', '{}'", origin.address), settings));
    let mut busy = begin(&proxy, "/wait/700", "");
    await_until("it is under way", || origin.count() == 1);
    let before = report(&proxy)["servers"][0]["requests"].as_u64().unwrap();
    assert_eq!(proxy.get("/").status, 200);
    assert!(report(&proxy)["servers"][0]["requests"].as_u64().unwrap() <= before + 1);
    assert_eq!(busy.response().status, 200);
}

#[test]
fn one_server_that_lives_among_thirty_dead_ones_is_found() {
    let good = named("good");
    let mut servers: Vec<String> = (0..30).map(|_| format!("'{}'", refusing())).collect();
    servers.push(format!("'{}'", good.address));
    let settings = "    balance: { hash: path }\n    health: { passive: 'off' }\n";
    let proxy = Proxy::start(&yaml(&servers.join(", "), settings));
    (0..20).for_each(|n| assert_eq!(proxy.get(&format!("/{n}")).status, 200));
}
