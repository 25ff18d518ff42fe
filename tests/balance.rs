//! Who gets a request: shares, hashes, sticky clients, splits, copies, and limits.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use support::faults::{named, silent};
use support::{Client, Origin, Proxy, Response, await_until};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn origins() -> Vec<Origin> {
    NAMES.iter().map(|name| named(name)).collect()
}

/// `{0}` and so on in the text stand for the origins' addresses.
fn start(origins: &[Origin], upstreams: &str, route: &str) -> Proxy {
    let mut text = format!("listeners: ['{{listen}}']\nupstreams:\n{upstreams}\nroutes: [{{ {route} }}]\n");
    for (index, origin) in origins.iter().enumerate() {
        text = text.replace(&format!("{{{index}}}"), &origin.address.to_string());
    }
    Proxy::start(&text)
}

fn get(proxy: &Proxy, target: &str, fields: &str) -> Response {
    proxy.ask(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"))
}

fn counts(answers: impl Iterator<Item = Response>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        *counts.entry(answer.text()).or_default() += 1;
    }
    counts
}

#[test]
fn weights_are_shares_and_backups_wait_until_all_others_are_gone() {
    let mut origins = origins();
    let up = "  api:\n    servers: [{ address: '{0}', weight: 3 }, '{1}', { address: '{2}', backup: true }]\n";
    let proxy = start(&origins, up, "upstream: api");
    let seen = counts((0..40).map(|_| proxy.get("/")));
    assert_eq!(seen, BTreeMap::from([("a".into(), 30), ("b".into(), 10)]));
    for _ in 0..2 {
        origins.remove(0);
    }
    // Nobody has noticed yet, and no request is lost all the same.
    assert_eq!(counts((0..20).map(|_| proxy.get("/"))), BTreeMap::from([("c".into(), 20)]));
    drop(proxy);
    let up = "  api:\n    servers: ['127.0.0.1:1', { address: '{0}', backup: true }]\n    \
              health: { active: { tcp: true, interval: 100ms, unhealthy_after: 1 } }\n";
    let proxy = start(&origins, up, "upstream: api");
    await_until("the backup takes over", || proxy.get("/").status == 200);
    assert_eq!(counts((0..5).map(|_| proxy.get("/"))), BTreeMap::from([("c".into(), 5)]));
}

#[test]
fn a_hash_keeps_what_is_equal_together() {
    let origins = origins();
    for (by, request) in [
        ("header:x-user", (|n: u32| ("/".to_owned(), format!("X-User: u{n}\r\n"))) as fn(u32) -> (String, String)),
        ("cookie:user", |n| ("/".to_owned(), format!("Cookie: z=1; user=u{n}\r\n"))),
        ("query:user", |n| (format!("/?a=1&user=u{n}"), String::new())),
        ("path", |n| (format!("/u{n}?x={}", n % 3), String::new())),
    ] {
        let up = format!("  api: {{ servers: ['{{0}}', '{{1}}', '{{2}}', '{{3}}'], balance: {{ hash: '{by}' }} }}\n");
        let proxy = start(&origins, &up, "upstream: api");
        let mut homes = BTreeMap::new();
        for round in 0..3 {
            for user in 0..24 {
                let (target, fields) = request(user);
                let home = get(&proxy, &target, &fields).text();
                assert_eq!(homes.entry(user).or_insert_with(|| home.clone()), &home, "{by} {user} {round}");
            }
        }
        let used: std::collections::BTreeSet<&String> = homes.values().collect();
        assert!(used.len() >= 3, "{by}: {homes:?}");
    }
    let proxy =
        start(&origins, "  api: { servers: ['{0}', '{1}', '{2}', '{3}'], balance: ip_hash }\n", "upstream: api");
    assert_eq!(counts((0..8).map(|_| proxy.get("/"))).len(), 1);
}

#[test]
fn a_busy_server_gets_fewer_requests_by_load() {
    for balance in ["least_conn", "p2c"] {
        let origins = [named("a"), silent()];
        let up = format!("  api: {{ servers: ['{{0}}', '{{1}}'], balance: {balance} }}\n");
        let proxy = start(&origins, &up, "upstream: api");
        let mut held: Vec<Client> = Vec::new();
        // Clients of the silent one wait for ever; each makes it less likely to be asked.
        for _ in 0..40 {
            let mut client = proxy.connect();
            client.wire.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut byte = [0];
            if client.wire.stream.peek(&mut byte).is_err() {
                held.push(client);
            }
        }
        assert!((1..=4).contains(&held.len()), "{balance}: {} of 40 went to the busy server", held.len());
    }
}

fn cookie_of(answer: &Response) -> Option<String> {
    let field = answer.all("set-cookie").into_iter().find(|field| field.starts_with("lb="))?;
    field.split(';').next().map(str::to_owned)
}

const STICKY: &str = "  api: { servers: ['{0}', '{1}', '{2}'], sticky: { cookie: lb, max_age: 10m }, \
                      health: { passive: { failures: 1, eject_for: 1h } } }\n";

#[test]
fn a_sticky_client_stays_through_reload_and_upgrade_and_moves_when_its_server_is_gone() {
    let mut origins = origins();
    let mut proxy = start(&origins, STICKY, "upstream: api");
    let first = get(&proxy, "/", "Cookie: x=1\r\n");
    let field = first.all("set-cookie")[0].to_owned();
    assert!(field.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{field}");
    let cookie = cookie_of(&first).unwrap();
    let again = |proxy: &Proxy| {
        let fields = format!("Cookie: x=1; {cookie}; y=2\r\n");
        (0..6).for_each(|_| {
            let answer = get(proxy, "/", &fields);
            assert_eq!((answer.text(), cookie_of(&answer)), (first.text(), None));
        });
    };
    again(&proxy);
    let yaml = proxy.read("proxy.yaml");
    proxy.rewrite(&yaml.replace("max_age: 10m", "max_age: 20m"));
    assert_eq!(proxy.order("reload").0, 0);
    again(&proxy);
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    again(&proxy);
    // Nobody can make one.
    let forged = format!("lb={}", "0".repeat(32));
    assert!(cookie_of(&get(&proxy, "/", &format!("Cookie: {forged}\r\n"))).is_some());
    let index = NAMES.iter().position(|name| *name == first.text()).unwrap();
    drop(origins.remove(index));
    let moved = get(&proxy, "/", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(moved.status, 200);
    let new = cookie_of(&moved).expect("the client has a new server");
    assert_ne!(new, cookie);
    let after = get(&proxy, "/", &format!("Cookie: {new}\r\n"));
    assert_eq!((after.text(), cookie_of(&after)), (moved.text(), None));
    proxy.order("stop");
    proxy.process.0.wait().unwrap();
}

#[test]
fn a_split_follows_its_shares_and_keeps_a_client_at_its_part() {
    let origins = origins();
    let up = "  old: { servers: ['{0}'] }\n  new: { servers: ['{1}'] }\n";
    let proxy = start(&origins, up, "upstream: { old: 80, new: 20 }");
    let seen = counts((0..400).map(|_| proxy.get("/")));
    assert!((40..=125).contains(&seen["b"]), "{seen:?}");
    drop(proxy);
    let proxy = start(&origins, up, "upstream: { old: 50, new: 50 }, split_by: 'cookie:id'");
    let mut parts = BTreeMap::new();
    for _ in 0..3 {
        for id in 0..40 {
            let part = get(&proxy, "/", &format!("Cookie: id={id}\r\n")).text();
            assert_eq!(parts.entry(id).or_insert_with(|| part.clone()), &part);
        }
    }
    let old = parts.values().filter(|part| *part == "a").count();
    assert!((8..=32).contains(&old), "{old} of 40");
}

#[test]
fn a_sticky_client_stays_at_its_part_of_a_split() {
    let mut origins = origins();
    let up = "  old: { servers: ['{0}'], sticky: { cookie: lb }, \
              health: { active: { tcp: true, interval: 100ms, unhealthy_after: 1 } } }\n  \
              new: { servers: ['{1}', '{2}'], sticky: { cookie: lb } }\n";
    let mut cookies = BTreeMap::new();
    for action in ["upstream: { old: 50, new: 50 }", "upstream: { old: 50, new: 50 }, split_by: 'header:x'"] {
        let proxy = start(&origins, up, action);
        cookies.clear();
        while cookies.len() < 3 {
            let first = proxy.get("/");
            let cookie = cookie_of(&first).unwrap();
            for n in 0..6 {
                let again = get(&proxy, "/", &format!("Cookie: {cookie}\r\nX: {n}\r\n"));
                assert_eq!((again.text(), cookie_of(&again)), (first.text(), None), "{action}");
            }
            cookies.insert(first.text(), cookie);
            if action.contains("split_by") {
                break;
            }
        }
    }
    // Who loses the server is a client like others.
    let proxy = start(&origins, up, "upstream: { old: 50, new: 50 }");
    let first = std::iter::repeat_with(|| proxy.get("/")).find(|answer| answer.text() == NAMES[0]).unwrap();
    let fields = format!("Cookie: {}\r\n", cookie_of(&first).unwrap());
    drop(origins.remove(0));
    await_until("the client moves", || {
        let answer = get(&proxy, "/", &fields);
        answer.status == 200 && cookie_of(&answer).is_some()
    });
}

#[test]
fn a_mirror_gets_whole_copies_and_never_delays_or_fails_the_request() {
    let (sender, copies) = mpsc::channel();
    let shadow = Origin::start(move |request, wire| {
        let body = wire.body(&request.headers, false);
        sender.send((request.clone(), body)).unwrap();
        wire.send("HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad");
        true
    });
    let all = [named("real"), shadow, silent()];
    let up = "  real: { servers: ['{0}'] }\n  shadow: { servers: ['{1}'] }\n  stuck: { servers: ['{2}'] }\n  \
              nobody: { servers: ['127.0.0.1:1'] }\n";
    let proxy = start(&all, up, "upstream: real, mirror: { upstream: shadow }");
    let copy = || copies.recv_timeout(support::DEADLINE).expect("no copy came");
    assert_eq!(proxy.get("/x?y=1").text(), "real");
    let (request, _) = copy();
    assert_eq!((request.target(), request.header("x-forwarded-host")), ("/x?y=1", Some("a.test")));
    let sized = "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for request in [sized, chunked] {
        assert_eq!(proxy.ask(request).text(), "real");
        assert_eq!(copy().1, b"hello");
    }
    drop(proxy);
    for broken in ["stuck", "nobody"] {
        let proxy = start(&all, up, &format!("upstream: real, mirror: {{ upstream: {broken} }}"));
        let began = Instant::now();
        let body = "x".repeat(300_000);
        (0..20).for_each(|_| {
            let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
            assert_eq!(proxy.ask(format!("{head}{body}")).text(), "real");
        });
        assert!(began.elapsed() < Duration::from_secs(5), "{broken}: {:?}", began.elapsed());
    }
    let proxy = start(&all, up, "upstream: real, mirror: { upstream: shadow, share: 30% }");
    (0..100).for_each(|_| assert_eq!(proxy.get("/").text(), "real"));
    let mut made = 0;
    while copies.recv_timeout(Duration::from_millis(300)).is_ok() {
        made += 1;
    }
    assert!((10..=55).contains(&made), "{made} of 100");
}

/// Answers after so long, and tells how many it had at once.
fn slow(time: Duration) -> (Origin, std::sync::Arc<std::sync::Mutex<(usize, usize)>>) {
    let busy: std::sync::Arc<std::sync::Mutex<(usize, usize)>> = Default::default();
    let seen = busy.clone();
    let origin = Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        {
            let mut busy = seen.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        thread::sleep(time);
        seen.lock().unwrap().0 -= 1;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        true
    });
    (origin, busy)
}

fn at_once(proxy: &Proxy, count: usize) -> Vec<(u16, String, u128)> {
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let address = proxy.address;
            thread::spawn(move || {
                let began = Instant::now();
                let mut client = Client::connect(address);
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                let answer = client.response();
                (answer.status, answer.text(), began.elapsed().as_millis())
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

#[test]
fn max_connections_holds_and_the_queue_has_its_length_and_its_deadline() {
    let (origin, busy) = slow(Duration::from_millis(600));
    let all = [origin];
    let up = "  api: { servers: ['{0}'], pool: { max_connections: 2, queue: 4, queue_timeout: 10s } }\n";
    let proxy = start(&all, up, "upstream: api");
    let answers = at_once(&proxy, 12);
    let fine = answers.iter().filter(|(status, _, _)| *status == 200).count();
    let full = answers.iter().filter(|(status, text, _)| *status == 503 && text.contains("the queue is full")).count();
    assert_eq!((fine, full, busy.lock().unwrap().1), (6, 6, 2), "{answers:?}");
    assert!(answers.iter().all(|(status, _, took)| *status == 200 || *took < 500), "{answers:?}");
    drop(proxy);
    let up = "  api: { servers: ['{0}'], pool: { max_connections: 1, queue: 9, queue_timeout: 300ms } }\n";
    let proxy = start(&all, up, "upstream: api");
    let answers = at_once(&proxy, 6);
    let late = answers.iter().filter(|(_, text, took)| text.contains("queue_timeout") && (290..900).contains(took));
    assert!(late.count() >= 3, "{answers:?}");
    // Whoever waits in vain takes no room.
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn a_server_that_comes_back_gets_its_share_little_by_little() {
    let mut servers = [support::faults::Server::start("a"), support::faults::Server::start("b")];
    let text = format!(
        "listeners: ['{{listen}}']\nupstreams:\n  api:\n    servers: ['{}', '{}']\n    slow_start: 3s\n    \
         health: {{ active: {{ tcp: true, interval: 100ms, unhealthy_after: 1, healthy_after: 1 }} }}\n\
         routes: [{{ upstream: api }}]\n",
        servers[0].address, servers[1].address
    );
    let proxy = Proxy::start(&text);
    servers[0].kill();
    await_until("down", || proxy.read("stderr").contains("is down"));
    servers[0].start_again();
    await_until("up", || proxy.read("stderr").contains("is up"));
    let share = || (0..60).filter(|_| proxy.get("/").text() == "a").count();
    let cold = share();
    assert!(cold < 25, "{cold} of 60 right after it came back");
    await_until("its whole share", || share() >= 24);
}
