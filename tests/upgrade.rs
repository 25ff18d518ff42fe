//! Upgrades that fail at every stage, and what those that succeed leave behind: the
//! older process serves on, the caller gets a reason and an exit code.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{BINARY, Origin, Proxy, await_until, command, copy_program, signal};

const ONE: &str = "listeners: ['{listen}']\nroutes: [{ respond: { body: one } }]\n";
const TWO: &str = "listeners: ['{listen}']\nroutes: [{ respond: { body: two } }]\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Ends whichever process serves in the end.
struct Newest<'p>(&'p Proxy);

impl Newest<'_> {
    fn pid(&self) -> u32 {
        let (code, text) = self.0.order("status");
        assert_eq!(code, 0, "{text}");
        text.strip_prefix("process ").and_then(|t| t.split(':').next()).unwrap().parse().unwrap()
    }
}

impl Drop for Newest<'_> {
    fn drop(&mut self) {
        self.0.order("stop");
    }
}

/// A proxy whose program can be exchanged, as an upgrade does it.
fn with_own_program(yaml: &str) -> (Proxy, PathBuf) {
    let proxy = Proxy::start_program(yaml, |folder| {
        let program = folder.0.join("program");
        copy_program(&program);
        program
    });
    let program = proxy.folder.0.join("program");
    (proxy, program)
}

/// What is installed in its place: a script. Another process writes it: what this one has open
/// is open in the children of other tests too, for a moment, and cannot be started then.
fn install(program: &PathBuf, script: &str) {
    std::fs::remove_file(program).unwrap();
    let write = "printf '%s' \"$1\" > \"$0\" && chmod 755 \"$0\"";
    let written = Command::new("sh").args(["-c", write]).arg(program).arg(format!("#!/bin/sh\n{script}\n")).status();
    assert!(written.unwrap().success());
}

/// Requests on new and on kept connections all the while, none tried twice.
fn under_traffic(proxy: &Proxy, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let ask = |client: &mut support::Client| {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
    };
    std::thread::scope(|scope| {
        let fresh = scope.spawn(|| {
            let mut asked = 0;
            while !stop.load(Ordering::SeqCst) {
                ask(&mut proxy.connect());
                asked += 1;
            }
            asked
        });
        let kept = scope.spawn(|| {
            let mut client = proxy.connect();
            while !stop.load(Ordering::SeqCst) {
                ask(&mut client);
            }
        });
        // Also when it fails: the clients would go on for ever.
        let _stop = OnDrop(|| stop.store(true, Ordering::SeqCst));
        work();
        stop.store(true, Ordering::SeqCst);
        kept.join().unwrap();
        assert!(fresh.join().unwrap() > 0);
    });
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The upgrade fails for this reason, and nothing has changed.
fn assert_serves_on(proxy: &Proxy, (code, text): (i32, String), reason: &str) {
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(reason), "{text}");
    assert_eq!(proxy.get("/").text(), "one");
    assert_eq!(Newest(proxy).pid_only(), proxy.pid());
}

impl Newest<'_> {
    /// Without ending it.
    fn pid_only(self) -> u32 {
        let pid = self.pid();
        std::mem::forget(self);
        pid
    }
}

#[test]
fn a_new_process_that_cannot_serve_changes_nothing() {
    let (proxy, program) = with_own_program(ONE);
    under_traffic(&proxy, || try_bad_ones(&proxy, &program));
    // After all that, one that works.
    copy_program(&program);
    let _newest = Newest(&proxy);
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    assert_eq!(proxy.get("/").text(), "two");
}

fn try_bad_ones(proxy: &Proxy, program: &PathBuf) {
    // A bad configuration, in its own words.
    proxy.rewrite("listeners: ['{listen}']\nroutes: [{ respnd: 1 }]\n");
    assert_serves_on(proxy, proxy.order("upgrade"), "unknown key `respnd`");
    // A certificate that is gone.
    proxy.rewrite("listeners: ['{listen}']\nupstreams: { a: { servers: ['127.0.0.1:1'], tls: { sni: a, ca: gone.pem } } }\nroutes: [{ upstream: a }]\n");
    assert_serves_on(proxy, proxy.order("upgrade"), "cannot read `gone.pem`");
    // A new listener's port that is taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    proxy.rewrite(&format!("listeners: ['{{listen}}', '{address}']\nroutes: [{{ respond: {{ body: two }} }}]\n"));
    assert_serves_on(proxy, proxy.order("upgrade"), &format!("cannot listen on {address}: Address already in use"));
    proxy.rewrite(TWO);
    // It crashes before it asks for anything, and after.
    install(program, "exit 7");
    assert_serves_on(proxy, proxy.order("upgrade"), "the new program ended with exit code 7");
    install(program, "for word; do [ \"$word\" = -t ] && exit 0; done\nkill -9 $$");
    assert_serves_on(proxy, proxy.order("upgrade"), "was killed by signal 9 before it took over");
    // There is none.
    std::fs::remove_file(program).unwrap();
    assert_serves_on(proxy, proxy.order("upgrade"), "No such file or directory");
}

/// A process that speaks the hand-over's words and stops at some stage.
struct Fake {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Fake {
    fn ask(proxy: &Proxy, version: u32) -> Self {
        let stream = UnixStream::connect(proxy.folder.0.join("upgrade.sock")).unwrap();
        stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
        let mut fake = Self { lines: BufReader::new(stream.try_clone().unwrap()), stream };
        fake.say(&format!(
            "{{\"take_over\":{{\"version\":{version},\"pid\":1,\"file\":null,\"several_sockets\":true}}}}"
        ));
        fake
    }

    fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn a_new_process_that_dies_or_lies_at_any_stage_changes_nothing() {
    let proxy = Proxy::start(ONE);
    under_traffic(&proxy, || die_at_each_stage(&proxy));
}

fn die_at_each_stage(proxy: &Proxy) {
    let serves = |stage: &str| {
        await_until(stage, || proxy.read("stderr").matches("this process serves on").count() >= 1);
        assert_eq!(proxy.get("/").text(), "one", "{stage}");
        std::fs::write(proxy.folder.0.join("stderr"), "").unwrap();
    };
    assert!(Fake::ask(proxy, 9).hear().contains("speaks version 9"));
    serves("another version");

    let mut fake = Fake::ask(proxy, 1);
    assert!(fake.hear().starts_with("{\"sockets\":"));
    drop(fake);
    serves("dead with the sockets in its hands");

    let mut fake = Fake::ask(proxy, 1);
    fake.hear();
    fake.say("\"ready\"");
    assert_eq!(fake.hear(), "\"commit\"");
    drop(fake);
    serves("dead after the commit");

    let mut fake = Fake::ask(proxy, 1);
    fake.hear();
    fake.say("\"started\"");
    assert!(fake.hear().contains("refused"));
    serves("a lie");

    let mut fake = Fake::ask(proxy, 1);
    fake.hear();
    fake.say("{\"refused\":{\"reason\":\"no disk\"}}");
    await_until("its reason", || proxy.read("stderr").contains("the new process gave up: no disk"));
    serves("given up");
}

#[test]
fn a_new_process_that_hangs_is_not_waited_for() {
    let proxy = Proxy::start(ONE);
    let mut hung = Fake::ask(&proxy, 1);
    hung.hear();
    // Meanwhile nobody else may.
    assert!(Fake::ask(&proxy, 1).hear().contains("another upgrade is under way"));
    assert!(hung.hear().contains("said nothing for 10 s before it was ready"));
    assert_eq!(proxy.get("/").text(), "one");
    let _newest = Newest(&proxy);
    assert_eq!(proxy.order("upgrade").0, 0);
}

#[test]
fn an_upgrade_that_hangs_is_waited_for_ten_seconds_a_step() {
    let hangs_at_the_check = ("exec sleep 600", "the new program did not check its configuration within 10 s");
    let before_it_asks = (
        "for word; do [ \"$word\" = -t ] && exit 0; done\nexec sleep 600",
        "did not ask for the listeners within 10 s",
    );
    std::thread::scope(|scope| {
        for (script, reason) in [hangs_at_the_check, before_it_asks] {
            scope.spawn(move || {
                let (proxy, program) = with_own_program(ONE);
                install(&program, script);
                let began = Instant::now();
                assert_serves_on(&proxy, proxy.order("upgrade"), reason);
                assert!((10..16).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
                // The one that hung is gone, and in nobody's way.
                std::fs::remove_file(&program).unwrap();
                std::os::unix::fs::symlink(BINARY, &program).unwrap();
                let _newest = Newest(&proxy);
                let (code, text) = proxy.order("upgrade");
                assert_eq!(code, 0, "{text}");
            });
        }
    });
}

#[test]
fn an_order_to_end_is_not_defied_by_an_upgrade_that_is_under_way() {
    for (signal, order) in [(Some("TERM"), None), (None, Some("stop"))] {
        let mut proxy = Proxy::start(ONE);
        let mut newer = Fake::ask(&proxy, 1);
        newer.hear();
        signal.inspect(|name| proxy.signal(name));
        order.inspect(|order| assert_eq!(proxy.order(order).0, 0));
        // So it does not take the older one for dead.
        assert!(newer.hear().contains("refused"));
        assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_unix_listener_whose_file_is_gone_is_opened_anew() {
    let yaml = "listeners: ['{listen}', 'unix:{folder}/l.sock']\nroutes: [{ respond: { body: one } }]\n";
    let proxy = Proxy::start(yaml);
    let _newest = Newest(&proxy);
    std::fs::remove_file(proxy.folder.0.join("l.sock")).unwrap();
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    assert_eq!(proxy.get("/").text(), "one");
    assert!(UnixStream::connect(proxy.folder.0.join("l.sock")).is_ok());
}

#[test]
fn the_control_socket_of_another_process_is_left_alone() {
    let (first, second) = (Proxy::start(ONE), Proxy::start(TWO));
    let stolen = first.folder.0.join("upgrade.sock");
    second.rewrite(&format!("server: {{ upgrade_sock: '{}' }}\n{TWO}", stolen.display()));
    // Its own place is in the file no more: by signal.
    second.signal("USR2");
    await_until("the upgrade", || second.read("stderr").contains("another pingora-proxy answers on"));
    assert_eq!(first.order("status").1.split(':').next(), Some(format!("process {}", first.pid()).as_str()));
    assert_eq!(second.get("/").text(), "two");
    let pid_file = || second.read("pingora-proxy.pid").trim().parse::<u32>().ok();
    await_until("its pid file", || pid_file().is_some_and(|pid| pid != second.pid()));
    signal(pid_file().unwrap(), "TERM");
}

/// As deployments do it: a symlink to the present version.
#[test]
fn a_symlink_leads_to_the_program_it_points_at_now() {
    let proxy = Proxy::start_program(ONE, |folder| {
        std::os::unix::fs::symlink(BINARY, folder.0.join("current")).unwrap();
        folder.0.join("current")
    });
    let (link, next) = (proxy.folder.0.join("current"), proxy.folder.0.join("next"));
    std::fs::write(&next, "").unwrap();
    install(&next, "exit 7");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&next, &link).unwrap();
    assert_serves_on(&proxy, proxy.order("upgrade"), "the new program ended with exit code 7");
}

#[test]
fn a_shared_place_does_not_mix_up_two_files() {
    let proxy = Proxy::start(ONE);
    proxy.folder.write("other.yaml", &proxy.read("proxy.yaml"));
    let call = |arguments: &[&str]| {
        let output = command(&proxy.folder, arguments).current_dir(&proxy.folder.0).status().unwrap();
        (output.code(), proxy.read("stderr"))
    };
    for arguments in [&["-c", "other.yaml", "-s", "stop"][..], &["-c", "other.yaml", "-u"]] {
        let (code, text) = call(arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("proxy.yaml; give each its own `server.upgrade_sock`"), "{text}");
    }
    assert_eq!(proxy.get("/").text(), "one");
    // Who names no file means whoever answers.
    assert_eq!(call(&["-s", "status"]).0, Some(0));
}

#[test]
fn two_upgrades_at_once_and_one_in_a_drain() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        std::thread::park_timeout(Duration::from_millis(1500));
        wire.send("lf");
        true
    });
    let proxy = Proxy::start(&format!("listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n", origin.address));
    let newest = Newest(&proxy);
    let outcomes: Vec<(i32, String)> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3).map(|_| scope.spawn(|| proxy.order("upgrade"))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(outcomes.iter().any(|(code, _)| *code == 0), "{outcomes:?}");
    for (_, text) in outcomes.iter().filter(|(code, _)| *code != 0) {
        let known = [
            "another upgrade is under way",
            "it was told to end",
            "it has handed over",
            "ended without an answer",
            "process ended",
        ];
        assert!(known.iter().any(|reason| text.contains(reason)), "{text}");
    }
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    signal(newest.pid(), "TERM");
    await_until("the drain", || proxy.order("status").1.contains("about to end"));
    let (code, text) = proxy.order("upgrade");
    assert_eq!((code, text.contains("it is about to end")), (1, true), "{text}");
    assert_eq!(client.wire.exactly(4), b"half");
}

#[test]
fn nothing_to_take_over_and_stale_files() {
    let mut proxy = Proxy::start(ONE);
    // Killed: socket and pid file stay behind.
    proxy.process.0.kill().unwrap();
    proxy.process.0.wait().unwrap();
    assert!(proxy.folder.0.join("upgrade.sock").exists() && proxy.folder.0.join("pingora-proxy.pid").exists());
    let (code, text) = proxy.order("reload");
    assert_eq!(code, 1);
    assert!(text.contains("no running process answers") && text.contains("pingora-proxy.pid is stale"), "{text}");
    let output = command(&proxy.folder, &["-c", "proxy.yaml", "-u"]).current_dir(&proxy.folder.0).status().unwrap();
    assert_eq!(output.code(), Some(1));
    assert!(proxy.read("stderr").contains("there is nothing to take over"), "{}", proxy.read("stderr"));
    // A start without -u makes its way.
    proxy.process =
        support::Process(command(&proxy.folder, &["-c", "proxy.yaml"]).current_dir(&proxy.folder.0).spawn().unwrap());
    proxy.await_ready();
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn a_process_started_with_u_takes_over_as_pingora_documents() {
    let mut proxy = Proxy::start(ONE);
    let kept = proxy.connect();
    // QUIT alone ends nothing.
    proxy.signal("QUIT");
    await_until("QUIT", || proxy.read("stderr").contains("QUIT: waiting"));
    assert_eq!(proxy.get("/").text(), "one");
    proxy.rewrite(TWO);
    let child = command(&proxy.folder, &["-c", "proxy.yaml", "-u"]).current_dir(&proxy.folder.0).spawn().unwrap();
    let newest = support::Process(child);
    await_until("the new process", || proxy.get("/").text() == "two");
    await_until("its pid file", || proxy.read("pingora-proxy.pid").trim() == newest.0.id().to_string());
    // The old one answers what comes on its open connection, and is gone then.
    let mut kept = kept;
    assert!(proxy.process.0.try_wait().unwrap().is_none());
    kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = kept.response();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("one", Some("close")));
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(0));
    assert_eq!(proxy.order("status").0, 0);
}

#[test]
fn usr2_upgrades_and_tunnels_live_on_across_ten_reloads_and_upgrades() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        loop {
            let word = wire.line();
            wire.send(format!("{word}\r\n"));
        }
    });
    let proxy = Proxy::start(&format!("listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n", origin.address));
    let newest = Newest(&proxy);
    let mut socket = proxy.connect();
    socket.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(socket.head().status, 101);
    for round in 0..10 {
        assert_eq!(proxy.order("reload").0, 0);
        if round % 3 == 0 {
            let before = newest.pid();
            signal(before, "USR2");
            await_until("the upgrade", || newest.pid() != before);
        }
        socket.send(format!("{round}\r\n"));
        assert_eq!(socket.wire.line(), round.to_string());
    }
}

#[test]
fn tunnels_and_event_streams_end_at_their_deadline_and_nothing_else_does() {
    let origin = Origin::start(|request, wire| {
        match request.target() {
            "/tunnel" => {
                wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
                wire.until_end();
            }
            "/events" => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
                wire.until_end();
            }
            _ => {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
                std::thread::park_timeout(Duration::from_millis(1500));
                wire.send("lf");
            }
        }
        false
    });
    let mut proxy = Proxy::start(&format!(
        "server: {{ drain: {{ tunnels: 300ms }} }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let ask = |target: &str, rest: &str| {
        let mut client = proxy.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{rest}\r\n"));
        client.head();
        client
    };
    let mut socket = ask("/tunnel", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let mut events = ask("/events", "Accept: text/event-stream\r\n");
    let mut download = ask("/slow", "");
    let mut idle = proxy.connect();
    assert_eq!(proxy.order("upgrade").0, 0);
    let began = Instant::now();
    assert!(socket.wire.is_closed());
    // Cut off, not ended: the last chunk is missing.
    let rest = events.wire.until_end();
    assert!(rest.ends_with(b"data: 1\n\n\r\n"), "{}", rest.escape_ascii());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(download.wire.exactly(4), b"half");
    idle.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().text(), "half");
    // Its head was sent when nobody knew of an end: it could be used again.
    drop(download);
    assert_eq!(proxy.process.0.wait().unwrap().code(), Some(3));
    assert!(proxy.read("stderr").contains("cut: 0 requests, 2 tunnels"), "{}", proxy.read("stderr"));
    drop(Newest(&proxy));
}

#[test]
fn fifty_listeners_move_and_some_come_and_go() {
    let ports: Vec<u16> = (0..50).map(|_| support::free_port()).collect();
    let listeners = |ports: &[u16], socket: &str| {
        let list: Vec<String> = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        format!(
            "listeners: ['{{listen}}', 'unix:{{folder}}/l.sock', 'unix:{{folder}}/{socket}', {}]\nroutes: [{{ respond: {{ body: one }} }}]\n",
            list.join(", ")
        )
    };
    let proxy = Proxy::start(&listeners(&ports[..49], "old.sock"));
    let _newest = Newest(&proxy);
    proxy.rewrite(&listeners(&ports[1..], "new.sock"));
    let (code, text) = proxy.order("reload");
    assert_eq!(code, 0);
    assert!(text.contains("these wait for an upgrade (`-s upgrade`): listeners"), "{text}");
    let answers = |port: u16| {
        let mut client = support::Client::connect(([127, 0, 0, 1], port).into());
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.response().text()
    };
    assert_eq!(answers(ports[0]), "one");
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    assert!(ports[1..].iter().all(|port| answers(*port) == "one"));
    await_until("the old listener is closed", || std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_err());
    assert!(!proxy.folder.0.join("old.sock").exists() && proxy.folder.0.join("new.sock").exists());
    let mut client = UnixStream::connect(proxy.folder.0.join("l.sock")).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
    assert!(answer.ends_with("one"), "{answer}");
}

#[test]
fn a_stranger_has_no_say() {
    if !nix::unistd::Uid::effective().is_root() {
        return; // only root can play somebody else
    }
    let proxy = Proxy::start(ONE);
    let folder = &proxy.folder.0;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.join("upgrade.sock")), 0o600);
    // Even where the files would let him in.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.join("upgrade.sock"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let program = folder.join("for-all");
    copy_program(&program);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&program)
        .args(["-s", "stop"])
        .env("RUNTIME_DIRECTORY", folder)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("user 65534 has no say over a process of user 0"), "{text}");
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn generations_do_not_grow() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!("listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n", origin.address));
    let newest = Newest(&proxy);
    let measure = |pid: u32| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let memory = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        (descriptors, threads, memory.unwrap_or(0usize))
    };
    let step = || {
        let (code, text) = proxy.order("upgrade");
        assert_eq!(code, 0, "{text}");
        assert_eq!(proxy.get("/").status, 200);
        measure(newest.pid())
    };
    // The first was started by hand; from the second on each is its elder's child.
    step();
    let (descriptors, threads, memory) = step();
    for _ in 0..6 {
        let (now, now_threads, now_memory) = step();
        assert!(now_memory < memory + memory / 5, "{now_memory} KiB after {memory}");
        assert!(now <= descriptors + 1, "{now} descriptors after {descriptors}");
        assert!(now_threads <= threads + 1, "{now_threads} threads after {threads}");
    }
}

#[test]
fn an_old_process_that_dies_in_the_hand_over_is_replaced() {
    let folder = support::Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    folder.write(
        "proxy.yaml",
        &format!("admin: {{ address: off }}\nlisteners: ['{address}']\nroutes: [{{ respond: {{ body: two }} }}]\n"),
    );
    // It gives its socket away, hears Ready, and is dead.
    let control = UnixListener::bind(folder.0.join("upgrade.sock")).unwrap();
    let child = command(&folder, &["-c", "proxy.yaml", "-u"]).current_dir(&folder.0).spawn().unwrap();
    let _newest = support::Process(child);
    let (old, _) = control.accept().unwrap();
    drop(control);
    let mut lines = BufReader::new(old.try_clone().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"take_over\":"), "{line}");
    let words = format!("{{\"sockets\":{{\"names\":[\"{address}\"],\"more\":false}}}}\n");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let sockets = [listener.as_fd()];
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&sockets)));
    let bytes = [std::io::IoSlice::new(words.as_bytes())];
    rustix::net::sendmsg(&old, &bytes, &mut control, rustix::net::SendFlags::empty()).unwrap();
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "\"ready\"\n");
    drop((lines, old));
    let mut client = support::Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "two");
}
