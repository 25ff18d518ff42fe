//! Where the process listens: which addresses go side by side, and what `-t` says of those
//! that start-up would be refused.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use support::{Client, Folder, Proxy, await_until, call, command, copy_program, free_port};

fn get(address: &str) -> u16 {
    let mut client = Client::connect(address.parse::<SocketAddr>().unwrap());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().status
}

fn yaml(listeners: &str) -> String {
    format!("listeners: [{listeners}]\nroutes: [{{ respond: {{ status: 204 }} }}]\n")
}

#[test]
fn every_address_of_ipv4_and_ipv6_are_listened_on_side_by_side() {
    let port = free_port();
    for both in [format!("'0.0.0.0:{port}', '[::]:{port}'"), format!("'[::]:{port}', '0.0.0.0:{port}'")] {
        let proxy = Proxy::start(&yaml(&format!("'{{listen}}', {both}")));
        for address in ["127.0.0.1", "127.0.0.2", "[::1]"] {
            assert_eq!(get(&format!("{address}:{port}")), 204, "{address} of {both}");
        }
        // Another process takes both over.
        let (code, text) = proxy.order("upgrade");
        assert_eq!(code, 0, "{text}");
        assert_eq!((get(&format!("127.0.0.1:{port}")), get(&format!("[::1]:{port}"))), (204, 204));
        assert_eq!(proxy.order("stop").0, 0);
        await_until("the end", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
    let proxy = Proxy::start(&yaml(&format!("'{{listen}}', '[::]:{port}'")));
    assert_eq!((get(&format!("127.0.0.1:{port}")), get(&format!("[::1]:{port}"))), (204, 204));
    drop(proxy);
}

#[test]
fn an_upgrade_that_would_take_ipv4_from_a_port_is_refused_with_the_reason() {
    let port = free_port();
    let (both, alone) =
        (format!("'{{listen}}', '0.0.0.0:{port}', '[::]:{port}'"), format!("'{{listen}}', '[::]:{port}'"));
    for (first, then, reason) in [
        (&both, &alone, format!("cannot listen on [::]:{port}: its socket takes no IPv4")),
        (&alone, &both, format!("cannot listen on 0.0.0.0:{port}: the socket of [::]:{port} takes IPv4 as well")),
    ] {
        let proxy = Proxy::start(&yaml(first));
        proxy.rewrite(&yaml(then));
        let (code, text) = proxy.order("upgrade");
        assert!(code == 1 && text.contains(&reason), "{text}");
        assert_eq!((get(&format!("127.0.0.1:{port}")), get(&format!("[::1]:{port}"))), (204, 204));
        assert_eq!(proxy.order("stop").0, 0);
    }
}

/// Runs it as a user that may listen on no port under 1024.
fn without_rights(command: &mut Command) -> (i32, String) {
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let output = command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw()).output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn low_port() -> Option<u16> {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok()?;
    let first: u16 = first.trim().parse().ok()?;
    let is_root = nix::unistd::Uid::effective().is_root();
    (600..first).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).filter(|_| is_root)
}

#[test]
fn a_port_that_needs_a_right_is_refused_by_t_and_at_the_start_with_the_same_words() {
    let Some(port) = low_port() else { return }; // only root can become somebody without it
    let folder = Folder::new();
    std::fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file =
        folder.write("proxy.yaml", &format!("admin: {{ address: off }}\n{}", yaml(&format!("'127.0.0.1:{port}'"))));
    let program = folder.0.join("pingora-proxy");
    copy_program(&program);
    let command = || {
        let mut command = Command::new(&program);
        command.arg("-c").arg(&file).current_dir(&folder.0);
        command
    };
    let words = format!("cannot listen on 127.0.0.1:{port}: a port under");
    for arguments in [&["-t"][..], &[]] {
        let (code, text) = without_rights(command().args(arguments));
        assert!(code == 1 && text.contains(&words) && text.contains("CAP_NET_BIND_SERVICE"), "{arguments:?}: {text}");
    }
    // Root may, and the user whose process has it already.
    assert_eq!(call(&["-c", "proxy.yaml", "-t"], &folder.0).0, 0);
    let _running = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (code, text) = without_rights(command().arg("-t"));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn t_refuses_what_cannot_be_listened_on_and_not_what_somebody_has() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let test = |listeners: &str| {
        folder.write("proxy.yaml", &format!("admin: {{ address: off }}\n{}", yaml(listeners)));
        let (code, _, text) = call(&["-c", "proxy.yaml", "-t"], &folder.0);
        (code, text)
    };
    assert_eq!(test(&format!("'{}'", taken.local_addr().unwrap())).0, 0);
    // TEST-NET-1 is nobody's address.
    let port = support::free_port();
    let (code, text) = test(&format!("'192.0.2.1:{port}'"));
    let words = format!("cannot listen on 192.0.2.1:{port}: Cannot assign requested address");
    assert!(code == 1 && text.contains(&words), "{text}");
    let file = folder.write("file", "keep me");
    let (code, text) = test(&format!("'unix:{}'", file.display()));
    assert!(code == 1 && text.contains("a file that is no socket stands there"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep me");
    let started = command(&folder, &["-c", "proxy.yaml"]).current_dir(&folder.0).status().unwrap();
    assert_eq!(started.code(), Some(1));
    let log = std::fs::read_to_string(folder.0.join("stderr")).unwrap();
    assert!(log.contains("a file that is no socket stands there"), "{log}");
}
