//! The time after an upgrade in which it can be undone: the old process holds the listeners, and
//! accepts again if the new one dies.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{BufRead, BufReader, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use support::{Client, Folder, Origin, Process, Proxy, await_until, command, free_port, signal};

const ON_WATCH: &str = "server: { upgrade: { probation: 30s } }\n";

fn yaml(body: &str) -> String {
    format!("{ON_WATCH}listeners: ['{{listen}}']\nroutes: [{{ respond: {{ body: {body} }} }}]\n")
}

/// Whichever process answers, with a guard that ends it.
struct Serving<'f>(&'f Folder);

impl Serving<'_> {
    fn order(&self, order: &str) -> (i32, String) {
        support::call_for(self.0, &["-s", order])
    }

    fn pid(&self) -> u32 {
        let (code, text) = self.order("status");
        assert_eq!(code, 0, "{text}");
        pid_in(&text)
    }

    fn upgrade(&self) -> u32 {
        let (code, text) = self.order("upgrade");
        assert_eq!(code, 0, "{text}");
        pid_in(&text)
    }

    /// Until `pid` answers on the control socket, with what it says.
    fn await_pid(&self, pid: u32) -> String {
        let mut told = String::new();
        await_until("the process that serves", || {
            let (code, text) = self.order("status");
            told = text;
            code == 0 && pid_in(&told) == pid && told.contains("it is serving")
        });
        told
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.order("stop");
    }
}

fn pid_in(text: &str) -> u32 {
    text.strip_prefix("process ").and_then(|rest| rest.split([':', ' ']).next()).unwrap().parse().unwrap()
}

fn is_refused(proxy: &Proxy) -> bool {
    TcpStream::connect(proxy.address).is_err()
}

/// A new connection's answer, and how long it took; `None` where the connection broke.
fn ask(proxy: &Proxy) -> (Option<String>, Duration) {
    let began = Instant::now();
    let answer = || {
        let mut stream = TcpStream::connect(proxy.address).ok()?;
        stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200 ").then_some(answer)
    };
    (answer(), began.elapsed())
}

#[test]
fn a_new_process_that_is_killed_is_replaced_by_the_old_one() {
    let proxy = Proxy::start(&yaml("one"));
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    let stop = AtomicBool::new(false);
    let (broken, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let kills = 3;
    std::thread::scope(|scope| {
        let clients = [(); 2].map(|()| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let (answer, took) = ask(&proxy);
                    assert!(took < Duration::from_secs(5), "{took:?}");
                    let count = if answer.is_some() { &answered } else { &broken };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        for kill in 1..=kills {
            proxy.rewrite(&yaml("two"));
            let newer = serving.upgrade();
            assert_eq!(serving.pid(), newer);
            assert_eq!(proxy.get("/").text(), "two");
            signal(newer, "KILL");
            let told = serving.await_pid(old);
            assert!(told.contains(&format!("the last upgrade was undone: the new process {newer} died ")), "{told}");
            assert!(told.contains("s after it took over: it was killed by signal 9"), "{told}");
            assert_eq!(proxy.get("/").text(), "one");
            assert!(!Path::new(&format!("/proc/{newer}")).exists(), "it is a zombie");
            assert_eq!(proxy.read("pingora-proxy.pid"), format!("{old}\n"));
            let log = proxy.read("stderr");
            assert_eq!(log.matches("killed by signal 9; this process serves again").count(), kill, "{log}");
        }
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    // Each client has one connection at a time, and a killed process breaks those that it has.
    let (broken, answered) = (broken.into_inner(), answered.into_inner());
    assert!(broken <= 2 * kills && answered > 10, "{broken} broken, {answered} answered");
    // Its connections last again, and nothing of the dead ones stays.
    let mut kept = proxy.connect();
    for _ in 0..2 {
        kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_ne!(kept.response().header("connection"), Some("close"));
    }
    let left = std::fs::read_dir(&proxy.folder.0).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().is_some_and(|name| name.starts_with("upgrade.sock"))).collect();
    assert_eq!(left, ["upgrade.sock"]);
    // And what was undone can be done.
    assert_ne!(serving.upgrade(), old);
    assert_eq!(proxy.get("/").text(), "two");
}

#[test]
fn what_the_dead_process_held_breaks_and_what_the_old_one_holds_goes_on() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        std::thread::park_timeout(Duration::from_millis(2500));
        wire.send("lf");
        true
    });
    let upstream = format!("{ON_WATCH}listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n", origin.address);
    let proxy = Proxy::start(&upstream);
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    let download = || {
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head().status, 200);
        client
    };
    let mut by_the_old_one = download();
    let newer = serving.upgrade();
    let mut by_the_new_one = download();
    signal(newer, "KILL");
    assert!(by_the_new_one.wire.until_end().len() < 4);
    serving.await_pid(old);
    assert_eq!(download().wire.exactly(4), b"half");
    assert_eq!(by_the_old_one.wire.exactly(4), b"half");
}

#[test]
fn a_new_process_that_is_told_to_end_is_not_replaced() {
    type Way<'w> = &'w dyn Fn(&Serving<'_>, u32);
    let ways: [Way<'_>; 4] = [
        &|serving, _| assert_eq!(serving.order("quit").0, 0),
        &|serving, _| assert_eq!(serving.order("stop").0, 0),
        &|_, newer| signal(newer, "TERM"),
        &|_, newer| signal(newer, "INT"),
    ];
    for end in ways {
        let mut proxy = Proxy::start(&yaml("one"));
        let serving = Serving(&proxy.folder);
        let newer = serving.upgrade();
        end(&serving, newer);
        // The old one goes as well, long before the probation is over.
        await_until("the old process", || proxy.process.0.try_wait().unwrap().is_some());
        assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
        await_until("the end", || is_refused(&proxy));
        let log = proxy.read("stderr");
        assert!(log.contains(&format!("watches process {newer} no more: it was told to end")), "{log}");
        assert!(!log.contains("serves again"), "{log}");
    }
}

#[test]
fn a_third_process_ends_the_probation_of_the_second_which_watches_then() {
    let mut proxy = Proxy::start(&yaml("one"));
    let serving = Serving(&proxy.folder);
    let second = serving.upgrade();
    let told = serving.order("status").1;
    let oldest = told.lines().nth(1).unwrap();
    assert!(told.lines().next().unwrap().contains("; on probation: the process before it serves again"), "{told}");
    assert!(oldest.contains("it has handed over") && oldest.contains("; handed over "), "{told}");
    assert!(oldest.contains(&format!(" s ago, on watch over process {second} for ")), "{told}");
    let third = serving.upgrade();
    // Nobody waits for the oldest any more.
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    assert_eq!(serving.pid(), third);
    signal(third, "KILL");
    let told = serving.await_pid(second);
    assert!(told.contains(&format!("the new process {third} died")), "{told}");
    assert_eq!(proxy.get("/").text(), "one");
    let log = proxy.read("stderr");
    assert!(log.contains(&format!("watches process {second} no more: another process takes over from it")), "{log}");
}

#[test]
fn without_a_probation_an_upgrade_is_final() {
    let mut proxy = Proxy::start(&yaml("one").replace("30s", "0s"));
    let serving = Serving(&proxy.folder);
    let (code, text) = serving.order("upgrade");
    assert!(code == 0 && !text.contains("watches"), "{text}");
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    signal(pid_in(&text), "KILL");
    await_until("the end", || is_refused(&proxy));
}

#[test]
fn after_the_probation_an_old_process_that_still_drains_takes_nothing_back() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        wire.line();
        wire.send("lf");
        true
    });
    let text = format!("{ON_WATCH}listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n", origin.address);
    let mut proxy = Proxy::start(&text.replace("30s", "300ms"));
    let serving = Serving(&proxy.folder);
    let mut socket = proxy.connect();
    socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(socket.head().status, 200);
    let newer = serving.upgrade();
    let old_status = || serving.order("status").1.lines().nth(1).map(str::to_owned).unwrap_or_default();
    await_until("the end of the probation", || {
        let told = old_status();
        told.contains("1 requests") && told.contains("handed over") && !told.contains("on watch")
    });
    await_until("the new one knows", || !serving.order("status").1.contains("on probation"));
    signal(newer, "KILL");
    // Not even the kernel takes connections for it.
    await_until("the end", || is_refused(&proxy));
    socket.send("go\r\n");
    assert_eq!(socket.wire.exactly(4), b"half");
    drop(socket);
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    let log = proxy.read("stderr");
    assert!(log.contains(&format!("watches process {newer} no more: it has lived through its probation")), "{log}");
}

#[test]
fn listeners_that_the_dead_process_did_not_have_are_opened_anew() {
    let port = free_port();
    let with = |rest: &str| format!("{ON_WATCH}listeners: ['{{listen}}', 'unix:{{folder}}/kept.sock'{rest}");
    let routes = "routes: [{ respond: { body: one } }]\n";
    let all = with(&format!(
        ", 'unix:{{folder}}/gone.sock', '127.0.0.1:{port}']\nadmin: {{ address: 'unix:{{folder}}/admin.sock' }}\n{routes}"
    ));
    let proxy = Proxy::start(&all);
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    let over_unix = |name: &str| {
        let mut stream = UnixStream::connect(proxy.folder.0.join(name)).ok()?;
        let target = if name == "admin.sock" { "/ready" } else { "/" };
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200 ").then_some(answer)
    };
    let everything = ["kept.sock", "gone.sock", "admin.sock"];
    for name in everything {
        assert!(over_unix(name).is_some(), "{name}");
    }
    proxy.rewrite(&with(&format!("]\nadmin: {{ address: off }}\n{routes}")));
    let newer = serving.upgrade();
    // Also in its probation, what it does not have is refused and not kept waiting.
    await_until("the old listener is closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
    for name in ["gone.sock", "admin.sock"] {
        await_until(name, || !proxy.folder.0.join(name).exists());
    }
    assert!(over_unix("kept.sock").is_some());
    signal(newer, "KILL");
    serving.await_pid(old);
    for name in everything {
        assert!(over_unix(name).is_some(), "{name}: {}", proxy.read("stderr"));
    }
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "one");
    // The file says that the endpoint is off, and the process that serves has another one.
    proxy.rewrite(&all);
    assert_eq!(support::call_for(&proxy.folder, &["healthcheck"]).0, 0);
}

/// The descriptors of the test are the listener's own.
#[test]
fn a_new_process_whose_listener_breaks_is_replaced_as_one_that_died() {
    let listeners = "listeners: ['{listen}', 'unix:{folder}/l.sock']";
    let proxy = Proxy::start(&yaml("one").replace("listeners: ['{listen}']", listeners));
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    let sockets = Fake::ask(&proxy.folder.0, true).sockets;
    let newer = serving.upgrade();
    for socket in &sockets {
        // Of a unix socket it cannot be undone.
        if rustix::net::getsockname(socket).unwrap().address_family() == rustix::net::AddressFamily::INET {
            rustix::net::shutdown(socket, rustix::net::Shutdown::Read).unwrap();
        }
    }
    let told = serving.await_pid(old);
    assert!(
        told.contains(&format!("the new process {newer} died")) && told.contains("it ended with exit code 1"),
        "{told}"
    );
    // The socket has to listen anew.
    await_until("the listener", || TcpStream::connect(proxy.address).is_ok());
    assert_eq!(proxy.get("/").text(), "one");
    // The one that failed has left the file.
    assert!(UnixStream::connect(proxy.folder.0.join("l.sock")).is_ok());
}

#[test]
fn a_process_that_was_started_by_hand_is_watched_as_well() {
    let proxy = Proxy::start(&yaml("one"));
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    proxy.rewrite(&yaml("two"));
    let child = command(&proxy.folder, &["-c", "proxy.yaml", "-u"]).current_dir(&proxy.folder.0).spawn().unwrap();
    let mut newer = Process(child);
    serving.await_pid(newer.0.id());
    newer.0.kill().unwrap();
    let told = serving.await_pid(old);
    // Only its parent knows how it ended.
    assert!(told.contains(&format!("the new process {} died", newer.0.id())) && !told.contains("signal"), "{told}");
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn an_old_process_that_is_told_to_end_watches_no_more() {
    let mut proxy = Proxy::start(&yaml("one"));
    let serving = Serving(&proxy.folder);
    let newer = serving.upgrade();
    proxy.signal("TERM");
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    assert_eq!((serving.pid(), proxy.get("/").text()), (newer, "one".to_owned()));
    signal(newer, "KILL");
    await_until("the end", || is_refused(&proxy));
}

/// A new process that speaks the words of the hand-over.
struct Fake {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    sockets: Vec<OwnedFd>,
}

impl Fake {
    /// It gets the sockets.
    fn ask(folder: &Path, knows_probation: bool) -> Self {
        let mut stream = UnixStream::connect(folder.join("upgrade.sock")).unwrap();
        stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
        let probation = if knows_probation { ",\"probation\":true" } else { "" };
        let ask = "{\"take_over\":{\"version\":1,\"pid\":4711,\"file\":null,\"several_sockets\":true";
        writeln!(stream, "{ask}{probation}}}}}").unwrap();
        let (mut bytes, mut space) = ([0; 4096], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let read = rustix::net::recvmsg(&stream, parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
        assert!(bytes[..read].starts_with(b"{\"sockets\":") && bytes[..read].ends_with(b"\n"));
        let rights = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors.collect::<Vec<_>>()),
            _ => None,
        });
        let sockets = rights.flatten().collect();
        Self { lines: BufReader::new(stream.try_clone().unwrap()), stream, sockets }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// And takes over.
    fn take_over(folder: &Path, knows_probation: bool) -> Self {
        let mut fake = Self::ask(folder, knows_probation);
        writeln!(fake.stream, "\"ready\"").unwrap();
        assert_eq!(fake.hear(), "\"commit\"\n");
        writeln!(fake.stream, "\"started\"").unwrap();
        assert_eq!(fake.hear(), "\"done\"\n");
        fake
    }
}

#[test]
fn a_process_that_dies_while_it_hands_over_is_replaced_by_one_process_only() {
    let mut proxy = Proxy::start(&yaml("one"));
    let second = pid_in(&proxy.order("upgrade").1);
    // A third one has the sockets, and serves alone if the second one dies now.
    let third = Fake::ask(&proxy.folder.0, true);
    signal(second, "KILL");
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    let log = proxy.read("stderr");
    assert!(log.contains(&format!("watches process {second} no more: another process takes over from it")), "{log}");
    assert!(!log.contains("serves again"), "{log}");
    drop(third);
}

#[test]
fn a_program_of_before_ends_the_hand_over_and_is_not_taken_for_dead() {
    let mut proxy = Proxy::start(&yaml("one"));
    drop(Fake::take_over(&proxy.folder.0, false));
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    let log = proxy.read("stderr");
    assert!(log.contains("process 4711 is of an older program, which has no probation"), "{log}");
}

#[test]
fn one_that_dies_with_its_first_breath_is_replaced() {
    let proxy = Proxy::start(&yaml("one"));
    for turn in 1..=3 {
        drop(Fake::take_over(&proxy.folder.0, true));
        await_until("the old process", || proxy.read("stderr").matches("this process serves again").count() == turn);
        assert_eq!(proxy.get("/").text(), "one");
        assert_eq!(pid_in(&proxy.order("status").1), proxy.pid());
    }
}

#[test]
fn a_service_manager_learns_which_process_is_the_main_one() {
    let folder = Folder::new();
    let manager = UnixDatagram::bind(folder.0.join("notify")).unwrap();
    manager.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    folder.write("proxy.yaml", &format!("admin: {{ address: off }}\n{}", yaml("one").replace("{listen}", &address)));
    let mut old = command(&folder, &["-c", "proxy.yaml"]);
    old.current_dir(&folder.0).env("NOTIFY_SOCKET", folder.0.join("notify"));
    let old = Process(old.spawn().unwrap());
    let serving = Serving(&folder);
    // The next message with a main process, whole.
    let hear = || loop {
        let mut word = [0; 512];
        let length = manager.recv(&mut word).unwrap();
        let text = std::str::from_utf8(&word[..length]).unwrap();
        if text.contains("MAINPID=") {
            return text.to_owned();
        }
    };
    let main = |pid: u32| format!("MAINPID={pid}\n");
    assert!(hear().contains(&main(old.0.id())));
    let newer = serving.upgrade();
    // Both say so.
    assert!(hear().contains(&main(newer)) && hear().contains(&main(newer)));
    signal(newer, "KILL");
    let told = hear();
    assert!(told.contains(&main(old.0.id())) && told.contains("READY=1"), "{told}");
    assert!(told.contains("STATUS=serving; the last upgrade was undone"), "{told}");
}

#[test]
fn what_the_operator_told_the_dead_process_holds() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&format!(
        "{ON_WATCH}listeners: ['{{listen}}']\nupstreams: {{ a: {{ servers: ['{}', '127.0.0.1:1'] }} }}\nroutes: [{{ upstream: a }}]\n",
        origin.address
    ));
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    let newer = serving.upgrade();
    let upstreams = |rest: &[&str]| support::call_for(&proxy.folder, &[&["upstreams"], rest].concat());
    let (code, text) = upstreams(&["drain", "a", "127.0.0.1:1"]);
    assert_eq!(code, 0, "{text}");
    signal(newer, "KILL");
    serving.await_pid(old);
    let (code, text) = upstreams(&[]);
    assert!(code == 0 && text.contains("draining"), "{text}");
}

/// As `server.user`, where the test may, and with the default.
#[test]
fn a_daemon_takes_back_what_its_next_one_loses() {
    let folder = Folder::new();
    let address: std::net::SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let server = if nix::unistd::Uid::effective().is_root() { "server: { user: nobody }\n" } else { "" };
    let rest = format!("listeners: ['{address}']\nroutes: [{{ respond: {{ body: one }} }}]\n");
    folder.write("proxy.yaml", &format!("admin: {{ address: off }}\n{server}{rest}"));
    let call = |arguments: &[&str]| support::call_for(&folder, arguments);
    let (code, text) = call(&["-d"]);
    assert_eq!(code, 0, "{text}");
    let serving = Serving(&folder);
    let old = serving.pid();
    let (code, text) = call(&["-s", "upgrade"]);
    assert!(code == 0 && text.contains(&format!("process {old} watches it for 30 s")), "{text}");
    signal(pid_in(&text), "KILL");
    serving.await_pid(old);
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "one");
    assert_eq!(std::fs::read_to_string(folder.0.join("pingora-proxy.pid")).unwrap(), format!("{old}\n"));
}

#[test]
fn a_unix_listener_that_the_dead_process_had_opened_anew_is_opened_once_more() {
    let listeners = "listeners: ['{listen}', 'unix:{folder}/l.sock']";
    let proxy = Proxy::start(&yaml("one").replace("listeners: ['{listen}']", listeners));
    let (old, serving) = (proxy.pid(), Serving(&proxy.folder));
    let file = proxy.folder.0.join("l.sock");
    std::fs::remove_file(&file).unwrap();
    let newer = serving.upgrade();
    assert!(UnixStream::connect(&file).is_ok());
    signal(newer, "KILL");
    serving.await_pid(old);
    await_until("the listener", || UnixStream::connect(&file).is_ok());
}
