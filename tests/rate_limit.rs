//! How many requests a route lets pass, and what clients are told of that. What proxies do that
//! count together is in tests/store.rs.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::TcpListener;
use std::time::Instant;

use support::front::{Ask, Front, every_front};
use support::store::{FakeStore, Says};
use support::{Origin, Proxy, Response, await_until, call_for};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A route `a`, before an origin, that has this limit.
fn yaml(origin: &Origin, limit: &str) -> String {
    format!(
        "listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.1]\n\
         routes: [{{ name: a, rate_limit: {limit}, upstream: '{}' }}]\n",
        origin.address
    )
}

fn ask_as(proxy: &Proxy, client: &str) -> Response {
    proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n"))
}

fn clients_are_told_what_is_left_and_when_to_come_back(front: Front) {
    let origin = Origin::fixed(OK);
    let route = format!("{{ rate_limit: {{ rate: 2/h }}, upstream: '{}' }}", origin.address);
    let proxy = front.start(&format!("listeners: ['{{listen}}']\nroutes: [{route}]\n"));
    let mut link = proxy.link();
    let mut ask = || link.ask(&Ask::get("/"));
    for (status, left) in [(200, "r=1;t=1800"), (200, "r=0;t=1800"), (429, "r=0;t=1800"), (429, "r=0;t=1800")] {
        let answer = ask();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"client_ip\";q=2;w=3600"));
        // As a second may pass while this runs.
        let told = answer.header("ratelimit").unwrap().replace("t=1799", "t=1800");
        assert_eq!(told, format!("\"client_ip\";{left}"));
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
        if status == 429 {
            let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1790..=1800).contains(&wait), "{wait}");
            assert!(answer.text().contains("see `rate_limit` of the route"), "{}", answer.text());
        }
    }
    // The connection goes on, and nothing of what was refused went up.
    assert_eq!(origin.count(), 2);
}

every_front! { clients_are_told_what_is_left_and_when_to_come_back }

#[test]
fn each_client_has_a_limit_of_its_own() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "{ rate: 3/h }"));
    for client in ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1"] {
        let statuses: Vec<u16> = (0..4).map(|_| ask_as(&proxy, client).status).collect();
        assert_eq!(statuses, [200, 200, 200, 429], "{client}");
    }
    // Another address of the same subscriber.
    assert_eq!(ask_as(&proxy, "2001:db8::ffff:1").status, 429);
    let log = proxy.access_log(17);
    let refused: Vec<_> = log.iter().filter(|line| line["status"] == 429).collect();
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|line| line["error"].as_str().unwrap().contains("`rate_limit`")), "{refused:?}");
}

#[test]
fn workers_count_together_and_exactly() {
    let proxy = Proxy::start(
        "server: { threads: 4 }\nlisteners: ['{listen}']\n\
         routes: [{ rate_limit: { rate: 100/h, key: route }, respond: { body: ok } }]\n",
    );
    let passed: usize = std::thread::scope(|scope| {
        let ask = || {
            (0..8)
                .flat_map(|_| {
                    // New connections, so that every worker has some.
                    let mut client = proxy.connect();
                    (0..5).map(move |_| {
                        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                        client.response().status
                    })
                })
                .filter(|status| *status == 200)
                .count()
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    // 36 seconds bring one more.
    assert!((100..=102).contains(&passed), "{passed}");
}

/// What is refused of a flood uses nothing up of what all share, whoever counts it.
#[test]
fn a_flood_that_one_limit_refuses_takes_nothing_of_another() {
    let away = format!(", store: 'redis://127.0.0.1:{}'", support::free_port());
    for store in ["", &away] {
        let proxy = Proxy::start(&format!(
            "server: {{ threads: 2 }}\nlisteners: ['{{listen}}']\nroutes: [{{ name: a, rate_limit: \
             [{{ rate: 20/h, key: route{store} }}, {{ rate: 1/h, key: 'header:x-key'{store} }}], respond: {{ body: ok }} }}]\n",
        ));
        let passed = |keys: std::ops::Range<usize>, times: usize| -> usize {
            let ask = |key: usize| {
                let mut client = proxy.connect();
                let asked = (0..times).map(|_| {
                    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n"));
                    client.response().status
                });
                asked.filter(|status| *status == 200).count()
            };
            std::thread::scope(|scope| {
                let clients: Vec<_> = keys.map(|key| scope.spawn(move || ask(key))).collect();
                clients.into_iter().map(|client| client.join().unwrap()).sum()
            })
        };
        assert_eq!(passed(0..4, 50), 4, "{store}");
        // What is under way at the same moment may be held for that long, so these come one by one.
        assert_eq!((4..30).map(|key| passed(key..key + 1, 2)).sum::<usize>(), 16, "{store}");
    }
}

/// The store is asked once for each limit, and is not told that another one refused.
#[test]
fn a_refusal_of_the_store_gives_back_what_this_proxy_counted() {
    let origin = Origin::fixed(OK);
    let store = FakeStore::start(Says::Passes(1));
    let proxy =
        Proxy::start(&yaml(&origin, &format!("[{{ rate: 1000/h, key: route }}, {}]", shared(store.address.port()))));
    let told = |answer: &Response, at: usize| answer.all("ratelimit")[at].split(";t=").next().unwrap().to_owned();
    let mut before = String::new();
    await_until("a connection", || {
        before = told(&ask_as(&proxy, "10.9.0.1"), 0);
        !store.keys().is_empty()
    });
    store.say(Says::Refused(3_600_000_000 + 30_000_000));
    for (client, asked) in [("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.2", 0)] {
        let keys = store.keys().len();
        let refused = ask_as(&proxy, client);
        assert_eq!((refused.status, store.keys().len() - keys), (429, asked));
        assert_eq!((told(&refused, 0), told(&refused, 1)), (before.clone(), "\"client_ip\";r=0".to_owned()));
    }
}

#[test]
fn what_was_counted_survives_a_reload_and_a_changed_limit_begins_anew() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "{ rate: 2/h }"));
    let statuses = || [(); 3].map(|()| ask_as(&proxy, "10.0.0.1").status);
    assert_eq!(statuses(), [200, 200, 429]);
    proxy.rewrite(&format!("{}errors: {{ pages: {{}} }}\n", yaml(&origin, "{ rate: 2/h }")));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(statuses(), [429; 3]);
    proxy.rewrite(&yaml(&origin, "{ rate: 1/h }"));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(statuses(), [200, 429, 429]);
}

#[test]
fn dry_run_lets_everybody_pass_and_says_whom_it_would_refuse() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "{ rate: 1/h, dry_run: true }"));
    for _ in 0..4 {
        let answer = ask_as(&proxy, "10.0.0.1");
        assert_eq!((answer.status, answer.header("ratelimit"), answer.header("ratelimit-policy")), (200, None, None));
    }
    let said = "limit] route `a`: a request of 10.0.0.1 would be refused by `rate_limit` (1/h by client_ip), and passes by `dry_run`";
    let lines = || proxy.read("stderr").matches(said).count();
    await_until("the line", || lines() > 0);
    assert_eq!(lines(), 1, "{}", proxy.read("stderr"));
}

#[test]
fn access_comes_before_the_limit() {
    let origin = Origin::fixed(OK);
    let text = yaml(&origin, "{ rate: 1/h, key: route }");
    let proxy = Proxy::start(&text.replace("name: a", "name: a, access: { deny: [10.0.0.1] }"));
    assert_eq!([(); 3].map(|()| ask_as(&proxy, "10.0.0.1").status), [403; 3]);
    assert_eq!([(); 2].map(|()| ask_as(&proxy, "10.0.0.2").status), [200, 429]);
}

/// A limit that several proxies share, whose store is at this port.
fn shared(port: u16) -> String {
    format!("{{ rate: 2/h, store: 'redis://:s3cret@127.0.0.1:{port}', store_timeout: 100ms }}")
}

#[test]
fn without_its_store_a_proxy_counts_by_itself_and_says_so_once() {
    let origin = Origin::fixed(OK);
    let port = support::free_port();
    let proxy = Proxy::start(&yaml(&origin, &shared(port)));
    let away = format!("the store of limits at redis://127.0.0.1:{port} is away: ");
    await_until("the line", || proxy.read("stderr").contains(&away));
    assert_eq!([(); 4].map(|()| ask_as(&proxy, "10.0.0.1").status), [200, 200, 429, 429]);
    // It tries again meanwhile.
    assert_eq!(proxy.read("stderr").matches(&away).count(), 1, "{}", proxy.read("stderr"));
    assert!(!proxy.read("stderr").contains("s3cret"), "{}", proxy.read("stderr"));
}

#[test]
fn the_store_decides_while_it_answers_and_the_proxy_goes_on_when_it_does_not() {
    let origin = Origin::fixed(OK);
    let store = FakeStore::start(Says::Passes(1));
    // The rate of `shared`: 1800 seconds for each request, 3600 for all of a burst.
    let proxy = Proxy::start(&yaml(&origin, &shared(store.address.port())));
    let mut turn = 0;
    await_until("a connection", || {
        turn += 1;
        ask_as(&proxy, &format!("10.9.0.{turn}"));
        !store.keys().is_empty()
    });
    // Here these would be too many.
    assert_eq!([(); 5].map(|()| ask_as(&proxy, "10.0.0.1").status), [200; 5]);
    let keys = store.keys();
    let name = keys.last().unwrap();
    assert!(name.starts_with("pingora-proxy:limit:a:client_ip:2/h:2:") && !name.contains("10.0.0"), "{name}");

    store.say(Says::Refused(3_600_000_000 + 30_000_000));
    let refused = ask_as(&proxy, "10.0.0.2");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!((refused.status, wait), (429, 30));
    assert_eq!(refused.header("ratelimit"), Some("\"client_ip\";r=0;t=30"));
    // It is known here until then, whatever the store would say.
    store.say(Says::Passes(1));
    let asked = store.keys().len();
    assert_eq!([(); 3].map(|()| ask_as(&proxy, "10.0.0.2").status), [429; 3]);
    assert_eq!(store.keys().len(), asked);

    let away = |reason: &str| format!("the store of limits at redis://{} is away: {reason}", store.address);
    let lines = |what: &str| proxy.read("stderr").matches(what).count();
    store.say(Says::Nothing);
    assert_eq!([(); 10].map(|()| ask_as(&proxy, "10.0.0.3").status).iter().filter(|status| **status == 200).count(), 2);
    assert_eq!(lines(&away("no answer within 100ms")), 1, "{}", proxy.read("stderr"));
    store.say(Says::Passes(1));
    await_until("it is back", || lines("answers again") == 1);
    assert_eq!([(); 5].map(|()| ask_as(&proxy, "10.0.0.4").status), [200; 5]);
    store.say(Says::Error("OOM command not allowed"));
    assert_eq!([(); 3].map(|()| ask_as(&proxy, "10.0.0.5").status), [200, 200, 429]);
    await_until("the reason", || lines(&away("")) == 2 && proxy.read("stderr").contains("OOM"));
    store.say(Says::Passes(1));
    await_until("it is back again", || lines("answers again") == 2);
    // A debt that nobody can have is no answer, and nobody is locked out by it.
    store.say(Says::Refused(i64::MAX.unsigned_abs()));
    assert_eq!([(); 3].map(|()| ask_as(&proxy, "10.0.0.6").status), [200, 200, 429]);
    assert_eq!(lines("more than the limit lets a key owe"), 1, "{}", proxy.read("stderr"));
}

#[test]
fn a_store_that_says_nothing_makes_nobody_wait() {
    let origin = Origin::fixed(OK);
    // It accepts, as a process that is stopped does.
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&yaml(&origin, &shared(store.local_addr().unwrap().port())));
    let (_held, _) = store.accept().unwrap();
    let start = Instant::now();
    let statuses = [(); 20].map(|()| ask_as(&proxy, "10.0.0.1").status);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2);
    // Twenty times the deadline would be two seconds more.
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    await_until("the line", || proxy.read("stderr").contains("is away: no answer within 2s"));
}

#[test]
fn explain_asks_no_store_and_counts_nothing() {
    let origin = Origin::fixed(OK);
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = store.local_addr().unwrap().port();
    let proxy = Proxy::start(&yaml(&origin, "{ rate: 1/h }"));
    proxy.rewrite(&yaml(&origin, &shared(port)));
    let text = call_for(&proxy.folder, &["explain", "GET", "http://a/"]).1;
    assert!(text.contains("is taken by\n  route:      a"), "{text}");
    let line = format!("  rate limit: 2/h by client_ip, burst 2, counted in redis://127.0.0.1:{port}\n");
    assert!(text.contains(&line), "{text}");
    store.set_nonblocking(true).unwrap();
    assert_eq!(store.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!([(); 2].map(|()| ask_as(&proxy, "127.0.0.1").status), [200, 429]);
}

#[test]
fn no_password_of_a_store_is_printed() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&yaml(&origin, "{ rate: 1/h }"));
    proxy.rewrite(&yaml(&origin, &shared(1)));
    let (code, printed) = call_for(&proxy.folder, &["-T"]);
    assert!(code == 0 && printed.contains("redis://:***@127.0.0.1:1") && !printed.contains("s3cret"), "{printed}");
}
