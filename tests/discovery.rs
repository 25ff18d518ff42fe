//! Servers that are found by name: A, AAAA and SRV, names that change, fail and are slow.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::dns::{Dns, Failure};
use support::faults::BlackHole;
use support::{Origin, Proxy, Request, Wire, await_until, free_port};

/// Origins at 127.0.0.1, .2 and so on, all at one port; each answers with its address.
fn origins(count: u8) -> (u16, Vec<Origin>) {
    let port = free_port();
    (port, (1..=count).map(|last| origin_at(ip(last), port)).collect())
}

fn origin_at(ip: IpAddr, port: u16) -> Origin {
    Origin::start_at((ip, port).into(), move |request: &Request, wire: &mut Wire| {
        wire.body(&request.headers, false);
        let body = ip.to_string();
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        true
    })
}

fn ip(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

fn start(dns: &Dns, servers: &str) -> Proxy {
    Proxy::start(&text(dns, servers))
}

/// With one thread, on which a connection that is given back can always be taken again: the
/// watcher of an idle one is Pingora's and may otherwise live on another thread.
fn start_on_one_thread(dns: &Dns, servers: &str) -> Proxy {
    Proxy::start(&format!("server: {{ threads: 1 }}\n{}", text(dns, servers)))
}

fn text(dns: &Dns, servers: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\ndns: {{ nameservers: ['{}'], timeout: 300ms }}\nupstreams:\n  api:\n    \
         servers: [{servers}]\n    retry: {{ attempts: 1 }}\nroutes:\n  - upstream: api\n  \
         - {{ match: {{ path: /other }}, respond: {{ body: other }} }}\n",
        dns.address()
    )
}

fn answers(proxy: &Proxy) -> BTreeSet<String> {
    (0..12).map(|_| proxy.get("/").text()).collect()
}

fn set(lasts: &[u8]) -> BTreeSet<String> {
    lasts.iter().map(|last| format!("127.0.0.{last}")).collect()
}

#[test]
fn every_address_of_a_name_is_a_server_and_changes_are_followed() {
    let (port, origins) = origins(3);
    let dns = Dns::start();
    dns.set_a("app.test", &[[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let proxy = start(&dns, &format!("{{ dns: 'app.test:{port}', refresh: 1s }}"));
    assert_eq!(answers(&proxy), set(&[1, 2]));
    let mut busy = proxy.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(busy.response().status, 200);
    dns.set_a("app.test", &[[127, 0, 0, 2].into(), [127, 0, 0, 3].into()]);
    await_until("the change", || answers(&proxy) == set(&[2, 3]));
    let log = proxy.read("stderr");
    assert!(
        log.contains(&format!("app.test:{port} has 2 addresses now: +127.0.0.3:{port} -127.0.0.1:{port}")),
        "{log}"
    );
    // The one that is gone is rid of its idle connections at once.
    await_until("its connections end", || !connected(&proxy, ([127, 0, 0, 1], port).into()));
    assert!(connected(&proxy, ([127, 0, 0, 2], port).into()));
    drop(origins);
}

/// Whether the proxy has an established connection to it, as the kernel sees it.
fn connected(proxy: &Proxy, to: SocketAddr) -> bool {
    let SocketAddr::V4(to) = to else { panic!() };
    let wanted = format!("{:08X}:{:04X} 01", u32::from_ne_bytes(to.ip().octets()), to.port());
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", proxy.pid())).unwrap();
    table.lines().any(|line| line.contains(&format!(" {wanted}")))
}

#[test]
fn a_name_that_is_not_there_stops_nothing_and_is_found_later() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    let proxy = start(&dns, &format!("{{ dns: 'late.test:{port}', refresh: 1s }}"));
    assert_eq!(proxy.get("/other").text(), "other");
    let began = Instant::now();
    let answer = proxy.get("/");
    assert!(began.elapsed() < Duration::from_millis(200));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.header("proxy-status").unwrap().contains("dns_error"), "{answer:?}");
    let log = proxy.read("stderr");
    assert!(log.contains(&format!("cannot look up late.test:{port}: no such name; it has no address")), "{log}");
    dns.set_a("late.test", &[[127, 0, 0, 1].into()]);
    await_until("it is found", || proxy.get("/").status == 200);
}

#[test]
fn a_slow_or_silent_nameserver_holds_up_neither_start_nor_requests() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    dns.set_a("slow.test", &[[127, 0, 0, 1].into()]);
    dns.fail("slow.test", Failure::Silent);
    let began = Instant::now();
    let proxy = start(&dns, &format!("{{ dns: 'slow.test:{port}', refresh: 1s }}, '127.0.0.1:{port}'"));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(proxy.get("/").status, 200);
    await_until("it is said", || proxy.read("stderr").contains("cannot look up slow.test"));
}

#[test]
fn the_last_good_answer_stands_while_a_name_fails_and_over_a_reload() {
    let (port, _origins) = origins(2);
    let dns = Dns::start();
    dns.set_a("app.test", &[[127, 0, 0, 2].into()]);
    let proxy = start(&dns, &format!("{{ dns: 'app.test:{port}', refresh: 1s }}"));
    assert_eq!(answers(&proxy), set(&[2]));
    dns.fail("app.test", Failure::ServFail);
    await_until("it fails", || proxy.read("stderr").contains("the nameserver failed (SERVFAIL)"));
    assert_eq!(answers(&proxy), set(&[2]));
    proxy.rewrite(&proxy.read("proxy.yaml").replace("attempts: 1", "attempts: 2"));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(answers(&proxy), set(&[2]));
    let seen = dns.queries("app.test");
    await_until("it is asked on", || dns.queries("app.test") > seen + 2);
    assert_eq!(proxy.read("stderr").matches("SERVFAIL").count(), 1, "{}", proxy.read("stderr"));
    dns.heal("app.test");
    dns.set_a("app.test", &[[127, 0, 0, 1].into()]);
    await_until("it is back", || answers(&proxy) == set(&[1]));
}

#[test]
fn a_plain_name_is_one_server_that_stays_where_it_is_while_it_may() {
    let (port, origins) = origins(3);
    let dns = Dns::start();
    dns.set_a("one.test", &[[127, 0, 0, 2].into(), [127, 0, 0, 3].into()]);
    let proxy = start(&dns, &format!("{{ address: 'one.test:{port}', refresh: 1s }}"));
    assert_eq!(answers(&proxy), set(&[2]));
    dns.set_a("one.test", &[[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let seen = dns.queries("one.test");
    await_until("it is asked again", || dns.queries("one.test") >= seen + 4);
    assert_eq!(answers(&proxy), set(&[2]));
    dns.set_a("one.test", &[[127, 0, 0, 1].into()]);
    await_until("it moves", || answers(&proxy) == set(&[1]));
    // A client sees no name of a server, but the log does.
    assert!(proxy.access_log(1)[0]["upstream"].as_str().unwrap().starts_with("one.test:"));
    assert_eq!(origins[0].last().header("host"), Some("a.test"));
}

#[test]
fn a_name_whose_first_address_refuses_is_reached_at_its_next_one() {
    let port = free_port();
    let origin = origin_at(ip(2), port);
    let dns = Dns::start();
    dns.set_a("two.test", &[[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let proxy = start_on_one_thread(&dns, &format!("{{ address: 'two.test:{port}', refresh: 1s }}"));
    // Nothing was sent, so that no attempt was used up and any method goes on.
    let mut client = proxy.connect();
    for _ in 0..4 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        let posted = client.response();
        assert_eq!((posted.status, posted.text().as_str()), (200, "127.0.0.2"));
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1, "the connection is kept and reused");
    assert_eq!(answers(&proxy), set(&[2]));
    let told = format!("upstream api: server two.test:{port} is reached at 127.0.0.2:{port} now");
    assert_eq!(proxy.read("stderr").matches(&told).count(), 1, "{}", proxy.read("stderr"));
    let (_, report) = support::call_for(&proxy.folder, &["upstreams", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["upstreams"][0]["servers"][0]["failures"], 0, "{report}");
    assert_eq!(proxy.access_log(1)[0]["retries"], 0);
    // What was learnt outlives a lookup and a reload, and the address may leave the name.
    proxy.rewrite(&proxy.read("proxy.yaml").replace("attempts: 1", "attempts: 2"));
    assert_eq!(proxy.order("reload").0, 0);
    let back = origin_at(ip(1), port);
    assert_eq!(answers(&proxy), set(&[2]));
    dns.set_a("two.test", &[[127, 0, 0, 1].into()]);
    await_until("it moves", || answers(&proxy) == set(&[1]));
    await_until("its connections end", || !connected(&proxy, (ip(2), port).into()));
    drop((origin, back));
}

#[test]
fn a_name_that_is_served_in_one_family_only_is_reached() {
    let port = free_port();
    let origin = origin_at(std::net::Ipv6Addr::LOCALHOST.into(), port);
    let dns = Dns::start();
    dns.set_a("both.test", &[[127, 0, 0, 1].into()]);
    dns.set_aaaa("both.test", &[std::net::Ipv6Addr::LOCALHOST]);
    let checked = "health: { active: { path: /check, interval: 100ms, unhealthy_after: 1 } }\n    retry:";
    let proxy = Proxy::start(&text(&dns, &format!("'both.test:{port}'")).replace("retry:", checked));
    assert_eq!(proxy.get("/").text(), "::1");
    let checks = || origin.seen.lock().unwrap().iter().filter(|request| request.target() == "/check").count();
    await_until("three checks", || checks() >= 3);
    assert!(!proxy.read("stderr").contains("is down"), "{}", proxy.read("stderr"));
    let v4 = free_port();
    let _other = origin_at(ip(1), v4);
    let proxy = start(&dns, &format!("'both.test:{v4}'"));
    assert_eq!(proxy.get("/").text(), "127.0.0.1");
}

#[test]
fn a_copy_to_a_name_whose_first_address_refuses_arrives() {
    let (port, mirrored) = (free_port(), free_port());
    let (_origin, shadow) = (origin_at(ip(1), port), origin_at(ip(2), mirrored));
    let dns = Dns::start();
    dns.set_a("two.test", &[[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let copied = format!("'127.0.0.1:{port}'] }}\n  shadow: {{ servers: ['two.test:{mirrored}'] }}\n");
    let yaml = format!(
        "listeners: ['{{listen}}']\ndns: {{ nameservers: ['{}'], timeout: 300ms }}\nupstreams:\n  \
         api: {{ servers: [{copied}routes: [{{ upstream: api, mirror: {{ upstream: shadow }} }}]\n",
        dns.address()
    );
    let proxy = Proxy::start(&yaml);
    assert_eq!(proxy.get("/x").text(), "127.0.0.1");
    await_until("the copy", || shadow.count() == 1);
}

#[test]
fn a_black_hole_at_one_address_of_a_name_costs_a_moment_and_only_once() {
    let hole = BlackHole::open();
    let port = hole.address.port();
    let _origin = origin_at(ip(2), port);
    let dns = Dns::start();
    dns.set_a("two.test", &[[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let proxy = start(&dns, &format!("'two.test:{port}'"));
    let time = |proxy: &Proxy| {
        let began = Instant::now();
        // A connection of its own, as those of upgrades are.
        let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        assert_eq!(proxy.ask(asked).text(), "127.0.0.2");
        began.elapsed()
    };
    let first = time(&proxy);
    assert!(first >= Duration::from_millis(250) && first < Duration::from_secs(3), "{first:?}");
    let least = (0..5).map(|_| time(&proxy)).min().unwrap();
    assert!(least < Duration::from_millis(200), "{least:?}");
}

#[test]
fn what_the_operator_said_of_a_server_with_a_name_stands_through_an_upgrade() {
    let (port, _origins) = origins(2);
    let dns = Dns::start();
    dns.set_a("one.test", &[[127, 0, 0, 1].into()]);
    let mut proxy = start(&dns, &format!("'one.test:{port}', '127.0.0.2:{port}'"));
    let (code, said) = support::call_for(&proxy.folder, &["upstreams", "disable", "api", &format!("one.test:{port}")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(proxy.order("upgrade").0, 0);
    proxy.process.0.wait().unwrap();
    assert_eq!(answers(&proxy), set(&[2]));
    proxy.order("stop");
}

#[test]
fn srv_records_tell_ports_weights_and_priorities() {
    let (first, heavy) = origins(1);
    let (second, light) = origins(1);
    let (third, spare) = origins(1);
    let dns = Dns::start();
    dns.set_a("node.test", &[[127, 0, 0, 1].into()]);
    dns.set_srv(
        "_http._tcp.app.test",
        &[(1, 3, first, "node.test"), (1, 1, second, "node.test"), (2, 1, third, "node.test")],
    );
    let proxy = start(&dns, "{ srv: _http._tcp.app.test, refresh: 1s }");
    (0..40).for_each(|_| assert_eq!(proxy.get("/").status, 200));
    assert_eq!((heavy[0].count(), light[0].count(), spare[0].count()), (30, 10, 0));
    dns.set_srv("_http._tcp.app.test", &[(2, 1, third, "node.test")]);
    await_until("the change", || {
        let before = spare[0].connections.load(Ordering::SeqCst) + spare[0].count();
        proxy.get("/");
        spare[0].count() > before / 2
    });
}

#[test]
fn a_server_that_a_reload_removes_loses_its_idle_connections() {
    let (port, _origins) = origins(2);
    let yaml = |servers: &str| {
        format!(
            "listeners: ['{{listen}}']\nupstreams: {{ api: {{ servers: [{servers}] }} }}\nroutes: [{{ upstream: api }}]\n"
        )
    };
    let proxy = Proxy::start(&yaml(&format!("'127.0.0.1:{port}', '127.0.0.2:{port}'")));
    assert_eq!(answers(&proxy), set(&[1, 2]));
    let (one, two): (SocketAddr, SocketAddr) = ((ip(1), port).into(), (ip(2), port).into());
    assert!(connected(&proxy, one) && connected(&proxy, two));
    proxy.rewrite(&yaml(&format!("'127.0.0.2:{port}'")));
    assert_eq!(proxy.order("reload").0, 0);
    await_until("its connections end", || !connected(&proxy, one));
    assert!(connected(&proxy, two), "one that stays lost its connections");
}
