//! More connections and more requests than there may be: whoever is one too many is told so at once,
//! and the process lives on.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use support::front::{Ask, Front, every_front};
use support::{Client, DEADLINE, Origin, Proxy, Response, await_until, free_port};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

every_front!(a_connection_too_many_is_told_so);

fn a_connection_too_many_is_told_so(front: Front) {
    let origin = Origin::fixed(OK);
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let text = |most: usize| {
        format!(
            "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\nlimits: {{ connections: {most} }}\nroutes: [{{ upstream: '{}' }}]\n",
            origin.address
        )
    };
    let proxy = front.start(&text(2));
    let ask = Ask::get("/").host("a.test");
    let mut links = [proxy.link(), proxy.link()];
    // The connection by which the test saw that the proxy is ready may still count.
    await_until("two connections are served", || {
        links = [proxy.link(), proxy.link()];
        links.iter_mut().all(|link| link.ask(&ask).status == 200)
    });
    let mut third = proxy.link();
    let refused = third.ask(&Ask::get("/third").host("a.test"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
    assert!(refused.text().contains("`limits.connections`"), "{}", refused.text());
    assert!(third.is_closed(), "no further request of it");
    let mut operator = Client::connect(admin);
    operator.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(operator.response().status, 200);
    assert!(proxy.read("stderr").contains("see `limits.connections`"));
    await_until("its line", || proxy.read("stdout").contains("/third"));
    let log = proxy.access_log(3);
    let told: Vec<_> = log.iter().filter(|line| line["path"] == "/third").collect();
    let [told] = told[..] else { panic!("{told:?}") };
    let said =
        ["status", "reason", "client_ip", "listener", "scheme"].map(|name| told[name].to_string().replace('"', ""));
    assert_eq!(said, ["503", "limit_connections", "127.0.0.1", &proxy.address.to_string(), front.scheme()]);
    // A wider limit holds at once, for who comes after it.
    let listener = front.listener("{listen}");
    proxy.rewrite(&text(3).replace("'{listen}'", &listener));
    assert_eq!(proxy.order("reload").0, 0);
    assert_eq!(proxy.ask(&ask).status, 200);
    proxy.rewrite(&text(2).replace("'{listen}'", &listener));
    assert_eq!(proxy.order("reload").0, 0);
    await_until("the one that came last has left", || proxy.ask(&ask).status == 503);
    // Those that were there stay; who leaves makes room.
    let [first, mut second] = links;
    assert_eq!(second.ask(&ask).status, 200);
    drop(first);
    await_until("there is room again", || proxy.ask(&ask).status == 200);
}

#[test]
fn far_too_many_are_closed_at_once_and_those_who_are_let_in_are_served() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nlimits: {{ connections: 1 }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let mut served = proxy.connect();
    await_until("one connection is served", || {
        served = proxy.connect();
        served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        served.response().status == 200
    });
    // They say nothing, and hold what there is for those that are told.
    let silent: Vec<_> = (0..400).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    let closed = |stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !matches!((&mut &*stream).read(&mut [0; 1]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    };
    await_until("the rest is closed", || silent.iter().filter(|stream| closed(stream)).count() >= 400 - 256);
    served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(served.response().status, 200);
    // Nor do they hold it for long.
    await_until("all are closed", || silent.iter().all(closed));
}

#[test]
fn an_address_has_its_own_limit_behind_a_balancer_too() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: [{{ address: '{{listen}}', proxy_protocol: {{ from: [127.0.0.0/8] }} }}]\nlimits: {{ connections_per_ip: 2 }}\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let come = |address: &str| -> (Client, Response) {
        let mut client = proxy.connect();
        client.send(format!("PROXY TCP4 {address} 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        (client, response)
    };
    let at = proxy.address.to_string();
    let (one, two) = (come("192.0.2.7"), come("192.0.2.7"));
    assert_eq!((one.1.status, two.1.status), (200, 200));
    let (mut third, refused) = come("192.0.2.7");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert!(refused.text().contains("`limits.connections_per_ip`"), "{}", refused.text());
    assert!(third.wire.is_closed());
    assert_eq!(come("192.0.2.8").1.status, 200);
    drop(one);
    await_until("the address has room again", || come("192.0.2.7").1.status == 200);
    assert!(proxy.read("stderr").contains("see `limits.connections_per_ip`"));
    let log = proxy.access_log(3);
    let told = log.iter().find(|line| line["reason"] == "limit_connections_per_ip").unwrap();
    assert_eq!(
        (&told["status"], &told["client_ip"], &told["listener"]),
        (&429.into(), &"192.0.2.7".into(), &at.into())
    );
}

/// The processor time that a process has used, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_process_without_descriptors_rests_and_goes_on_by_itself() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::before(origin.address);
    assert_eq!(proxy.get("/").status, 200);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap().count();
    let pid = rustix::process::Pid::from_raw(proxy.pid().try_into().unwrap());
    let most = u64::try_from(open()).unwrap() + 20;
    let limit = rustix::process::Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    let many: Vec<_> = (0..100).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    await_until("no descriptors are left", || proxy.read("stderr").contains("it goes on trying"));
    let (before, began) = (ticks(proxy.pid()), Instant::now());
    std::thread::park_timeout(Duration::from_secs(2));
    let used = Duration::from_millis((ticks(proxy.pid()) - before) * 10);
    assert!(used < began.elapsed() / 4, "it spins: {used:?} of {:?}", began.elapsed());
    drop(many);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn a_process_takes_as_many_descriptors_as_the_system_lets_it_have() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let own = getrlimit(Resource::Nofile);
    // More than any test here needs.
    setrlimit(Resource::Nofile, Rlimit { current: Some(4000), maximum: own.maximum }).unwrap();
    let proxy = Proxy::start("listeners: ['{listen}']\nlimits: { connections: 10000000 }\nroutes: [{ respond: {} }]\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|field| line.split_whitespace().nth(field).unwrap());
    assert!(soft == hard && soft != "4000", "{line}");
    assert!(proxy.read("stderr").contains("too few for 10000000 connections (`limits.connections`)"));
}

/// An origin that answers `/hold` only once it is let go, and says how many it holds.
struct Holding {
    origin: Origin,
    release: Arc<(Mutex<bool>, Condvar)>,
}

fn holding() -> Holding {
    let release = Arc::new((Mutex::new(false), Condvar::new()));
    let released = Arc::clone(&release);
    let origin = Origin::start(move |request, wire| {
        if request.header("upgrade").is_some() {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            wire.until_end();
            return false;
        }
        if request.target() == "/hold" {
            let guard = released.0.lock().unwrap();
            drop(released.1.wait_timeout_while(guard, DEADLINE, |go| !*go).unwrap());
        }
        wire.send(OK);
        true
    });
    Holding { origin, release }
}

impl Holding {
    fn let_go(&self) {
        *self.release.0.lock().unwrap() = true;
        self.release.1.notify_all();
    }

    fn proxy(&self, concurrency: &str) -> Proxy {
        Proxy::start(&format!(
            "listeners: ['{{listen}}']\nroutes:\n  - {{ name: held, concurrency: {{ {concurrency} }}, upstream: '{0}' }}\n  - {{ match: {{ path: /other }}, upstream: '{0}' }}\n",
            self.origin.address
        ))
    }

    /// A request that its origin holds.
    fn hold(&self, proxy: &Proxy) -> Client {
        let before = self.origin.count();
        let mut client = proxy.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        await_until("the origin has the request", || self.origin.count() > before);
        client
    }
}

#[test]
fn a_request_too_many_of_a_route_is_told_so() {
    let held = holding();
    let proxy = held.proxy("max: 1");
    let mut first = held.hold(&proxy);
    let refused = proxy.get("/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("`concurrency.max`"), "{}", refused.text());
    assert_eq!(proxy.get("/other").status, 200, "another route has its own");
    held.let_go();
    assert_eq!(first.response().status, 200);
    // The connection of who was refused goes on.
    let mut client = proxy.connect();
    await_until("three in a row are served", || {
        (0..3).all(|_| {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.response().status == 200
        })
    });
    let log = proxy.access_log(6);
    assert!(log.iter().any(|line| line["error"].as_str().is_some_and(|error| error.contains("`concurrency.max`"))));
}

#[test]
fn a_client_that_leaves_and_a_tunnel_that_begins_make_room() {
    let held = holding();
    let proxy = held.proxy("max: 1");
    drop(held.hold(&proxy));
    await_until("who left makes room", || proxy.get("/").status == 200);
    let mut tunnel = proxy.connect();
    // Whoever has its answer may have its place for another moment.
    await_until("the tunnel is open", || {
        tunnel = proxy.connect();
        tunnel.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        tunnel.head().status == 101
    });
    await_until("the tunnel does not count", || proxy.get("/").status == 200);
    held.let_go();
}

#[test]
fn requests_wait_for_room_and_not_for_ever() {
    let held = holding();
    let proxy = held.proxy("max: 1, queue: 1, queue_timeout: 20s");
    let mut first = held.hold(&proxy);
    let mut second = proxy.connect();
    let (sender, waited) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A third one that overtook it and left may have its place for another moment.
            let mut status = 503;
            while status == 503 {
                second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                status = second.response().status;
            }
            sender.send(status).unwrap();
        });
        // Whoever comes when the queue is full is told so; that also shows that the second one waits.
        await_until("the queue is full", || {
            let mut third = TcpStream::connect(proxy.address).unwrap();
            third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            third.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut head = [0; 12];
            third.read_exact(&mut head).is_ok() && &head == b"HTTP/1.1 503"
        });
        assert!(waited.try_recv().is_err());
        held.let_go();
        assert_eq!((first.response().status, waited.recv().unwrap()), (200, 200));
    });
    let hurried = holding();
    let proxy = hurried.proxy("max: 1, queue: 9, queue_timeout: 100ms");
    let _first = hurried.hold(&proxy);
    let refused = proxy.get("/");
    assert!(refused.status == 503 && refused.text().contains("`concurrency.queue_timeout`"), "{}", refused.text());
    hurried.let_go();
}
