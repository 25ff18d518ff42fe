//! Limits that several proxies share, with a real Redis or Valkey: `make store-test` sees to it that
//! there is one and says in STORE_SERVER where its program is.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stdout)] // what was measured

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::tls::Authority;
use support::{DEADLINE, Folder, Process, Proxy, await_until, free_port, signal};

/// A server in a folder of its own, which keeps nothing.
struct Store {
    port: u16,
    folder: Folder,
    options: Vec<String>,
    process: Option<Process>,
}

impl Store {
    fn start(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut store = Self { port: free_port(), folder: Folder::new(), options, process: None };
        store.restart();
        store
    }

    fn restart(&mut self) {
        self.process = None;
        let program = std::env::var("STORE_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let folder = self.folder.0.to_str().unwrap();
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", folder, "--unixsocket", &format!("{folder}/s.sock")])
            .args(self.options.iter().map(|option| option.replace("{folder}", folder)))
            .stdout(Stdio::null())
            .spawn()
            .expect("there is no redis-server: run `make store-test`");
        self.process = Some(Process(child));
        await_until("the store", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn end(&mut self) {
        self.process = None;
    }

    fn signal(&self, name: &str) {
        signal(self.process.as_ref().unwrap().0.id(), name);
    }

    /// What the server says to a command, as it comes over the wire.
    fn command(&self, words: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn proxy(&self, limit: &str) -> Proxy {
        let (port, folder) = (self.port, self.folder.0.to_str().unwrap());
        let limit = limit.replace("{port}", &port.to_string()).replace("{folder}", folder);
        let route = format!("{{ name: a, rate_limit: {limit}, respond: {{ body: ok }} }}");
        Proxy::start(&format!(
            "listeners: ['{{listen}}']\nlog: {{ access: {{ to: off }} }}\ntrusted_proxies: [127.0.0.1]\nroutes: [{route}]\n"
        ))
    }
}

fn is_away(proxy: &Proxy) -> usize {
    proxy.read("stderr").matches("is away: ").count()
}

fn is_back(proxy: &Proxy) -> usize {
    proxy.read("stderr").matches("answers again").count()
}

/// Asks for as long as wanted, on one connection: how many passed, how many did not, and the longest wait.
fn ask_on(proxy: &Proxy, client: &str, wanted: impl Fn() -> bool) -> (u64, u64, Duration) {
    let (mut passed, mut refused, mut longest) = (0, 0, Duration::ZERO);
    let mut connection = proxy.connect();
    while wanted() {
        let start = Instant::now();
        connection.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n"));
        match connection.response().status {
            200 => passed += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
        longest = longest.max(start.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    (passed, refused, longest)
}

/// The statuses of so many requests, one after the other.
fn statuses(proxy: &Proxy, client: &str, count: usize) -> Vec<u16> {
    let ask = |_| proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n")).status;
    (0..count).map(ask).collect()
}

/// Until a proxy counts in the store, which is empty at first. Its clients are of a network of their own.
fn await_counting(store: &Store, proxy: &Proxy) {
    let mut turn = 0;
    await_until("a key in the store", || {
        turn += 1;
        store.command("FLUSHALL");
        statuses(proxy, &format!("10.9.{}.{}", turn / 250, turn % 250), 1);
        store.command("KEYS *").contains("pingora-proxy:limit:a:")
    });
    store.command("FLUSHALL");
}

#[test]
#[ignore = "needs a store: make store-test"]
fn a_clock_of_the_store_that_went_back_locks_nobody_out() {
    let store = Store::start(&[]);
    let proxy = store.proxy("{ rate: 4/h, store: 'redis://127.0.0.1:{port}', store_timeout: 5s }");
    await_counting(&store, &proxy);
    assert_eq!(statuses(&proxy, "10.0.0.7", 1), [200]);
    let keys = store.command("KEYS pingora-proxy:limit:a:*");
    let name = keys.lines().find(|line| line.starts_with("pingora")).unwrap();
    // As if it had been paid for until years from now.
    store.command(&format!("SET {name} 9000000000000000"));
    let refused = proxy.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.7\r\n\r\n");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(refused.status == 429 && wait <= 900, "{wait}");
}

#[test]
#[ignore = "needs a store: make store-test"]
fn three_proxies_let_pass_together_what_one_would() {
    const RATE: f64 = 200.0;
    const BURST: f64 = 100.0;
    let store = Store::start(&[]);
    let limit = "{ rate: 200/s, burst: 100, key: route, store: 'redis://127.0.0.1:{port}', store_timeout: 10s }";
    let proxies = [(); 3].map(|()| store.proxy(limit));
    proxies.iter().for_each(|proxy| await_counting(&store, proxy));
    let start = Instant::now();
    let until = start + Duration::from_secs(10);
    let sum: u64 = thread::scope(|scope| {
        let ask = |proxy| scope.spawn(move || ask_on(proxy, "10.0.0.1", || Instant::now() < until).0);
        let clients: Vec<_> = proxies.iter().chain(&proxies).map(ask).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    #[allow(clippy::cast_precision_loss)]
    let ratio = sum as f64 / (BURST + RATE * start.elapsed().as_secs_f64());
    println!("{sum} requests passed, {:.2} % of the limit", ratio * 100.0);
    assert!((0.98..=1.02).contains(&ratio), "{sum} passed, {ratio}");
    proxies.iter().for_each(|proxy| assert_eq!(is_away(proxy), 0, "{}", proxy.read("stderr")));
}

#[test]
#[ignore = "needs a store: make store-test"]
fn a_store_that_freezes_dies_and_comes_back_makes_nobody_wait() {
    // More than the deadline: what the machine takes, which other tests keep busy.
    const SLACK: Duration = Duration::from_millis(1500);
    const TIMEOUT: Duration = Duration::from_millis(200);
    let mut store = Store::start(&[]);
    let proxy = store.proxy("{ rate: 20/s, burst: 5, store: 'redis://127.0.0.1:{port}', store_timeout: 200ms }");
    await_counting(&store, &proxy);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (proxy, stop) = (&proxy, &stop);
        let clients: Vec<_> = (0..4)
            .map(|n| scope.spawn(move || ask_on(proxy, &format!("10.0.0.{n}"), || !stop.load(Ordering::Relaxed))))
            .collect();
        let start = Instant::now();
        let pause = || thread::sleep(Duration::from_millis(1500));
        pause();
        store.signal("STOP");
        await_until("away", || is_away(proxy) == 1);
        pause();
        store.signal("CONT");
        await_until("back", || is_back(proxy) == 1);
        pause();
        store.end();
        await_until("away again", || is_away(proxy) == 2);
        pause();
        store.restart();
        await_until("back again", || is_back(proxy) == 2);
        pause();
        stop.store(true, Ordering::Relaxed);
        let seconds = start.elapsed().as_secs();
        for client in clients {
            let (passed, refused, longest) = client.join().unwrap();
            println!("{passed} passed and {refused} were refused in {seconds} s, the longest wait was {longest:?}");
            assert!(longest < TIMEOUT + SLACK, "{longest:?}");
            // With and without the store; each time that it changes may bring one burst more.
            assert!(refused > passed && passed <= 20 * (seconds + 1) + 5 * 5, "{passed} {refused} in {seconds} s");
            assert!(passed >= 15 * seconds, "{passed} in {seconds} s");
        }
    });
    // And what it counts then, it counts in the store.
    await_counting(&store, &proxy);
}

#[test]
#[ignore = "needs a store: make store-test"]
fn what_one_proxy_counted_another_knows_also_when_the_store_goes() {
    let mut store = Store::start(&[]);
    let limit = "{ rate: 4/h, store: 'redis://127.0.0.1:{port}', store_timeout: 5s }";
    let (one, other) = (store.proxy(limit), store.proxy(limit));
    await_counting(&store, &one);
    await_counting(&store, &other);
    assert_eq!(statuses(&one, "10.0.0.1", 3), [200; 3]);
    assert_eq!(statuses(&other, "10.0.0.1", 3), [200, 429, 429]);
    // The script is forgotten, as by a restart.
    store.command("SCRIPT FLUSH");
    assert_eq!(statuses(&one, "10.0.0.2", 5), [200, 200, 200, 200, 429]);
    store.end();
    await_until("away", || is_away(&other) == 1);
    // Nobody gets a new burst where his requests were seen.
    assert_eq!(statuses(&other, "10.0.0.1", 2), [429; 2]);
    assert_eq!(statuses(&other, "10.0.0.3", 5), [200, 200, 200, 200, 429]);
}

#[test]
#[ignore = "needs a store: make store-test"]
fn a_store_is_reached_with_a_password_over_a_socket_and_over_tls() {
    let authority = Authority::default();
    let identities = Folder::new();
    authority.issue(&["localhost"]).write(&identities, "store");
    let place = identities.0.to_str().unwrap().to_owned();
    let tls_port = free_port().to_string();
    let files = [format!("{place}/store.pem"), format!("{place}/store.key"), format!("{place}/ca.pem")];
    std::fs::write(&files[2], authority.0.pem()).unwrap();
    std::fs::set_permissions(&files[1], std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = ["--tls-port", &tls_port, "--tls-cert-file", &files[0], "--tls-key-file", &files[1]];
    let options = [&tls[..], &["--tls-ca-cert-file", &files[2], "--tls-auth-clients", "no", "--requirepass", "s3cret"]];
    let store = Store::start(&options.concat());
    store.folder.write("password", "s3cret\n");
    // What docs/limits.md says that a user needs.
    let needed = "+@connection +evalsha +script|load +time +get +set ~pingora-proxy:*";
    let set = store.command(&format!("AUTH s3cret\r\nACL SETUSER limits on >s3cret {needed}"));
    assert!(set.starts_with("+OK\r\n+OK"), "{set}");
    let passwords = "store_password_file: '{folder}/password'";
    for limit in [
        "{ rate: 1/h, store: 'redis://:s3cret@127.0.0.1:{port}/1', store_timeout: 5s }".to_owned(),
        format!("{{ rate: 1/h, store: 'redis://limits@127.0.0.1:{{port}}/2', {passwords}, store_timeout: 5s }}"),
        format!("{{ rate: 1/h, burst: 2, store: 'unix:{{folder}}/s.sock', {passwords}, store_timeout: 5s }}"),
        format!(
            "{{ rate: 1/h, store: 'rediss://localhost:{tls_port}/3', store_ca: '{}', {passwords}, store_timeout: 5s }}",
            files[2]
        ),
    ] {
        let (one, other) = (store.proxy(&limit), store.proxy(&limit));
        let mut turn = 0;
        // What the one lets pass, the other does not.
        await_until(&limit, || {
            turn += 1;
            let client = format!("10.0.{}.{}", turn / 250, turn % 250);
            statuses(&one, &client, 2);
            statuses(&other, &client, 1) == [429]
        });
        assert_eq!((is_away(&one), is_away(&other)), (0, 0), "{}", one.read("stderr"));
    }
    let wrong = store.proxy("{ rate: 1/h, store: 'redis://:wr0ng@127.0.0.1:{port}', store_timeout: 5s }");
    await_until("a reason", || wrong.read("stderr").contains("is away: Password authentication failed"));
    assert_eq!(statuses(&wrong, "10.0.0.1", 2), [200, 429]);
    assert!(!wrong.read("stderr").contains("wr0ng"), "{}", wrong.read("stderr"));
    let unknown = store.proxy(&format!("{{ rate: 1/h, store: 'rediss://localhost:{tls_port}', {passwords} }}"));
    await_until("a reason", || unknown.read("stderr").contains("UnknownIssuer"));
}

#[test]
#[ignore = "needs a store: make store-test"]
fn a_reload_keeps_the_connection_and_a_new_store_gets_one() {
    let (first, second) = (Store::start(&[]), Store::start(&[]));
    let limit = |store: &Store, rate: &str| {
        let port = store.port;
        format!("{{ rate: {rate}, store: 'redis://127.0.0.1:{port}', store_timeout: 5s }}")
    };
    let proxy = first.proxy(&limit(&first, "2/h"));
    await_counting(&first, &proxy);
    let made =
        || first.command("INFO stats").lines().find(|line| line.starts_with("total_connections")).unwrap().to_owned();
    let number = |text: String| text.rsplit(':').next().unwrap().trim().parse::<u32>().unwrap();
    let before = number(made());
    let reload = |limit: &str| {
        let route = format!("{{ name: a, rate_limit: {limit}, respond: {{ body: two }} }}");
        proxy.rewrite(&format!("listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.1]\nroutes: [{route}]\n"));
        assert_eq!(proxy.order("reload").0, 0);
    };
    (0..5).for_each(|_| reload(&limit(&first, "3/h")));
    assert_eq!(statuses(&proxy, "10.0.0.1", 4), [200, 200, 200, 429]);
    assert_eq!(number(made()) - before, 1, "one is this question's own");
    reload(&limit(&second, "3/h"));
    await_counting(&second, &proxy);
    await_until("the old connection ends", || !first.command("CLIENT LIST").contains("cmd=evalsha"));
    assert_eq!((is_away(&proxy), is_back(&proxy)), (0, 0), "{}", proxy.read("stderr"));
}
