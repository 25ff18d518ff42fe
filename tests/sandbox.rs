//! `server.sandbox`: what the process gives up, and that what it needs still works.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stdout)] // what was done, for who asks

mod support;

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use support::{Folder, Process, Proxy, await_until};

/// The value of a line of /proc/PID/status.
fn status(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().to_owned()
}

fn gives_up(pid: u32) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    (status(pid, "NoNewPrivs"), status(pid, "Seccomp")) == ("1".to_owned(), "2".to_owned())
        && core.split_whitespace().skip(4).take(2).eq(["0", "0"])
}

const ONE: &str = "listeners: ['{listen}', 'unix:{folder}/http.sock']\n\
                   log: { access: { to: '{folder}/access.log' } }\nserver: { error_log: '{folder}/error.log' }\n\
                   routes: [{ respond: { body: one } }]\n";

#[test]
fn upgrades_reloads_and_reopened_logs_need_nothing_of_what_is_given_up() {
    let proxy = Proxy::start(ONE);
    assert!(gives_up(proxy.pid()));
    let filters = status(proxy.pid(), "Seccomp_filters");
    let mut pid = proxy.pid();
    for turn in ["two", "three"] {
        // The next one names another file of its log, in a folder that is new.
        let folder = proxy.folder.0.join(turn);
        std::fs::create_dir(&folder).unwrap();
        proxy.rewrite(&ONE.replace("one", turn).replace("{folder}/access.log", folder.join("a.log").to_str().unwrap()));
        assert_eq!(proxy.order("reload").0, 0);
        assert_eq!(proxy.get("/").text(), turn);
        let (code, said) = proxy.order("upgrade");
        assert_eq!(code, 0, "{said}");
        assert_eq!(proxy.get("/").text(), turn);
        let newer: u32 = proxy.read("pingora-proxy.pid").trim().parse().unwrap();
        assert!(newer != pid && gives_up(newer));
        // The newer one keeps the older one's filter, and piles up none.
        assert_eq!(status(newer, "Seccomp_filters"), filters);
        pid = newer;
        let log = folder.join("a.log");
        std::fs::rename(&log, folder.join("b.log")).unwrap();
        assert_eq!(proxy.order("reopen").0, 0);
        proxy.get("/");
        await_until("the log that was opened again", || {
            std::fs::read_to_string(&log).is_ok_and(|text| !text.is_empty())
        });
    }
    assert_eq!(proxy.order("stop").0, 0);
}

#[test]
fn off_gives_up_nothing() {
    let own = std::process::id();
    let proxy = Proxy::start(&ONE.replace("server: {", "server: { sandbox: off,"));
    for name in ["NoNewPrivs", "Seccomp", "Seccomp_filters"] {
        assert_eq!(status(proxy.pid(), name), status(own, name), "{name}");
    }
}

/// Whose the files in /proc/PID are, is how the kernel shows whether a process is dumpable.
#[test]
fn a_user_cannot_look_into_the_process() {
    if !is_root() {
        println!("not root, who alone can start a process of another user: not tried");
        return;
    }
    let nobody = 65534;
    for (sandbox, owner) in [("auto", 0), ("off", nobody)] {
        let folder = Folder::new();
        std::os::unix::fs::chown(&folder.0, Some(nobody), Some(nobody)).unwrap();
        let port = support::free_port();
        let text = format!(
            "listeners: ['127.0.0.1:{port}']\nadmin: {{ address: off }}\nserver: {{ sandbox: {sandbox} }}\nroutes: [{{ respond: {{}} }}]\n"
        );
        folder.write("proxy.yaml", &text);
        // The build's folder may be closed to others.
        let program: PathBuf = folder.0.join("pingora-proxy");
        support::copy_program(&program);
        let mut command = std::process::Command::new(&program);
        command.arg("-c").arg(folder.0.join("proxy.yaml")).env("RUNTIME_DIRECTORY", &folder.0);
        let process = Process(command.uid(nobody).gid(nobody).spawn().unwrap());
        await_until("it serves", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        // The socket takes connections before the process is ready for them.
        let file = || std::fs::metadata(format!("/proc/{}/environ", process.0.id())).unwrap();
        await_until(sandbox, || file().uid() == owner);
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
