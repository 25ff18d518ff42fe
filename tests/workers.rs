//! The worker threads: connections spread over them, each has sockets of its own, and their
//! number may change with an upgrade.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::{BTreeSet, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::{BINARY, Client, Folder, Origin, Process, Proxy, await_until, call_for, copy_program, free_port};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Without the sandbox, so that a test of the same user may look at descriptors.
fn yaml(server: &str) -> String {
    format!(
        "server: {{ sandbox: off, {server} }}\nlisteners: ['{{listen}}']\nroutes: [{{ respond: {{ body: ok }} }}]\n"
    )
}

/// The inodes of the sockets at a local address that are in a state of the kernel's table.
fn inodes(address: SocketAddr, state: &str) -> HashSet<String> {
    let SocketAddr::V4(address) = address else { panic!("not IPv4") };
    let local = format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1] == local && row[3] == state).map(|row| row[9].to_owned()).collect()
}

fn listening_sockets(address: SocketAddr) -> usize {
    inodes(address, "0A").len()
}

/// How many of the clients' connections each reactor of the process looks after; a worker has
/// one reactor.
fn connections_of_each_worker(proxy: &Proxy) -> Vec<usize> {
    let clients = inodes(proxy.address, "01");
    let process = format!("/proc/{}", proxy.pid());
    let target = |descriptor: &str| {
        let link = std::fs::read_link(format!("{process}/fd/{descriptor}")).unwrap_or_default();
        link.to_string_lossy().into_owned()
    };
    let is_client = |descriptor: &str| {
        let socket = target(descriptor);
        clients.contains(socket.trim_start_matches("socket:[").trim_end_matches(']'))
    };
    let descriptors = std::fs::read_dir(format!("{process}/fd")).unwrap();
    let names = descriptors.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let reactors = names.filter(|descriptor| target(descriptor).contains("eventpoll"));
    // A reactor has two descriptors, which tell the same.
    let watched: BTreeSet<Vec<String>> = reactors
        .map(|reactor| {
            let info = std::fs::read_to_string(format!("{process}/fdinfo/{reactor}")).unwrap();
            let watched = info.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
            watched.filter(|descriptor| is_client(descriptor)).map(str::to_owned).collect()
        })
        .collect();
    watched.iter().map(Vec::len).filter(|count| *count > 0).collect()
}

#[test]
fn connections_spread_evenly_over_the_threads() {
    let proxy = Proxy::start(&yaml("threads: 2"));
    let mut open: Vec<Client> = Vec::new();
    for count in [4, 8, 32, 400] {
        while open.len() < count {
            let mut client = proxy.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status, 200);
            open.push(client);
        }
        let of_each = connections_of_each_worker(&proxy);
        assert_eq!(of_each, [count / 2, count / 2], "of {count}");
    }
}

#[test]
fn connections_that_come_at_once_spread_too() {
    let proxy = Proxy::start(&yaml("threads: 4"));
    let open: Vec<Client> = (0..200).map(|_| proxy.connect()).collect();
    await_until("all are accepted", || connections_of_each_worker(&proxy).iter().sum::<usize>() == open.len());
    let of_each = connections_of_each_worker(&proxy);
    // Threads that look at the same moment may give the same one its next connection.
    assert!(of_each.len() == 4 && of_each.iter().all(|count| (40..=60).contains(count)), "{of_each:?}");
}

#[test]
fn a_request_takes_up_the_upstream_connection_of_its_thread() {
    let origin = Origin::fixed(OK);
    let text = format!(
        "server: {{ threads: 2 }}\nlisteners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    );
    let proxy = Proxy::start(&text);
    let mut clients = [proxy.connect(), proxy.connect()];
    for _ in 0..50 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status, 200);
        }
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 2, "one for each thread");
}

#[test]
fn threads_that_steal_work_share_one_socket() {
    let proxy = Proxy::start(&yaml("threads: 3, work_stealing: true"));
    assert_eq!(proxy.get("/").text(), "ok");
    assert_eq!(listening_sockets(proxy.address), 1);
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 0, "{text}");
    assert_eq!(proxy.get("/").text(), "ok");
    assert_eq!(proxy.order("stop").0, 0);
}

#[test]
fn a_second_process_is_refused_the_port_of_one_with_a_socket_for_each_thread() {
    let proxy = Proxy::start(&yaml("threads: 4"));
    assert_eq!(listening_sockets(proxy.address), 4);
    let other = Folder::new();
    other.write(
        "proxy.yaml",
        &format!("{}admin: {{ address: off }}\n", yaml("threads: 4")).replace("{listen}", &proxy.address.to_string()),
    );
    let (code, text) = call_for(&other, &[]);
    assert!(code == 1 && text.contains("Address already in use"), "{code} {text}");
    assert_eq!(proxy.get("/").text(), "ok");
}

/// Clients that connect and wait in some socket's queue all the while.
#[test]
fn an_upgrade_may_change_the_number_of_threads_and_loses_no_connection() {
    let proxy = Proxy::start(&yaml("threads: 3"));
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let traffic = || {
        while !stop.load(Ordering::SeqCst) {
            let mut clients: Vec<Client> = (0..8).map(|_| proxy.connect()).collect();
            for client in &mut clients {
                client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert_eq!(client.response().status, 200);
                served.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(traffic)).collect();
        // The most threads that there have been leave their sockets.
        for (threads, sockets) in [(1, 3), (5, 5), (2, 5), (4, 5), (6, 6)] {
            let before = served.load(Ordering::SeqCst);
            proxy.rewrite(&yaml(&format!("threads: {threads}")));
            let (code, text) = proxy.order("upgrade");
            assert_eq!(code, 0, "{text}");
            assert_eq!(listening_sockets(proxy.address), sockets, "with {threads} threads");
            await_until("traffic", || {
                clients.iter().any(|client| client.is_finished()) || served.load(Ordering::SeqCst) > before + 200
            });
        }
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert_eq!(proxy.order("stop").0, 0);
}

/// A newer process that gave up may have bound sockets of its own; no connection goes there.
#[test]
fn an_upgrade_that_fails_leaves_no_socket_behind() {
    let proxy = Proxy::start_program(&yaml("threads: 2"), |folder| {
        let program = folder.0.join("program");
        copy_program(&program);
        program
    });
    // It has more threads, and cannot write its log.
    proxy.rewrite(&format!("{}log: {{ access: {{ to: /proc/none }} }}\n", yaml("threads: 6")));
    let (code, text) = proxy.order("upgrade");
    assert_eq!(code, 1, "{text}");
    assert_eq!(listening_sockets(proxy.address), 2);
    for _ in 0..50 {
        assert_eq!(proxy.get("/").text(), "ok");
    }
}

/// It says nothing of several sockets of a listener.
#[test]
fn an_older_program_that_would_close_sockets_is_refused_with_the_reason() {
    for (threads, refused) in [(2, true), (1, false)] {
        let proxy = Proxy::start(&yaml(&format!("threads: {threads}")));
        let mut older = std::os::unix::net::UnixStream::connect(proxy.folder.0.join("upgrade.sock")).unwrap();
        older.write_all(b"{\"take_over\":{\"version\":1,\"pid\":1,\"file\":null}}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(older).read_line(&mut answer).unwrap();
        assert_eq!(answer.contains("takes one socket for each listener"), refused, "{answer}");
        assert_eq!(answer.contains("\"sockets\""), !refused, "{answer}");
        assert_eq!(proxy.get("/").text(), "ok");
    }
}

/// Another descriptor of the process's listening socket.
fn listening_socket(pid: u32, address: SocketAddr) -> OwnedFd {
    let inodes = inodes(address, "0A");
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let process = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).unwrap();
    let number = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let link = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        let is_listening = inodes.contains(link.trim_start_matches("socket:[").trim_end_matches(']'));
        is_listening.then(|| entry.file_name().into_string().unwrap().parse().unwrap())
    });
    rustix::process::pidfd_getfd(process, number.unwrap(), rustix::process::PidfdGetfdFlags::empty()).unwrap()
}

#[test]
fn a_process_whose_listener_breaks_says_so_and_ends_with_an_error() {
    let mut proxy = Proxy::start(&yaml("threads: 2"));
    let socket = listening_socket(proxy.pid(), proxy.address);
    rustix::net::shutdown(&socket, rustix::net::Shutdown::Both).unwrap();
    let mut ended = None;
    await_until("the end", || {
        ended = proxy.process.0.try_wait().unwrap();
        ended.is_some()
    });
    let log = proxy.read("stderr");
    assert_eq!(ended.unwrap().code(), Some(1), "{log}");
    assert!(log.contains(&format!("the listener {} accepts no connections any more: ", proxy.address)), "{log}");
}

#[test]
fn a_process_without_descriptors_accepts_again_as_soon_as_it_has_some() {
    let (folder, port) = (Folder::new(), free_port());
    let text = format!("{}admin: {{ address: off }}\n", yaml("threads: 1"));
    folder.write("proxy.yaml", &text.replace("{listen}", &format!("127.0.0.1:{port}")));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n 60; exec {BINARY} -c proxy.yaml")]).current_dir(&folder.0);
    shell.env("RUNTIME_DIRECTORY", &folder.0).stderr(std::fs::File::create(folder.0.join("stderr")).unwrap());
    let process = Process(shell.stdout(std::process::Stdio::null()).process_group(0).spawn().unwrap());
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    await_until("the start", || std::net::TcpStream::connect(address).is_ok());
    let open: Vec<_> = (0..80).map(|_| Client::connect(address)).collect();
    let log = || std::fs::read_to_string(folder.0.join("stderr")).unwrap();
    await_until("the trouble", || log().contains("cannot accept: "));
    // It rests between its tries.
    let spent = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = spent();
    std::thread::park_timeout(std::time::Duration::from_secs(1));
    assert!(spent() - before < 30, "it spins: {} hundredths of a second of CPU in one", spent() - before);
    drop(open);
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    assert!(client.wire.is_closed());
    assert_eq!(log().matches("cannot accept: ").count(), 1, "{}", log());
    drop(process);
}

#[test]
fn a_process_without_room_for_its_threads_says_so_and_ends() {
    let folder = Folder::new();
    let text = format!("{}admin: {{ address: off }}\n", yaml("threads: 1024"));
    folder.write("proxy.yaml", &text.replace("{listen}", &format!("127.0.0.1:{}", free_port())));
    let script = format!("ulimit -v 700000 && exec {BINARY} -c proxy.yaml");
    let mut shell = Command::new("sh");
    let output =
        shell.args(["-c", &script]).current_dir(&folder.0).env("RUNTIME_DIRECTORY", &folder.0).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    // Where the room ends within the start of a thread, the standard library or the C library say it in their words.
    let said = [
        "cannot start 1024 worker threads: ",
        "failed to allocate an alternative stack",
        "failed to register TLS destructor: out of memory",
    ];
    assert!(said.iter().any(|said| text.contains(said)), "{text}");
}
