//! The process as the system sees it: in the background, as another user, under a
//! service manager, with logs that are moved away.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use support::faults::named;
use support::{BINARY, Folder, Proxy, await_until, command, signal};

/// A proxy that is nobody's child any more.
struct Background {
    folder: Folder,
    port: u16,
}

impl Background {
    fn new(yaml: &str) -> Self {
        let (folder, port) = (Folder::new(), support::free_port());
        let yaml =
            yaml.replace("{listen}", &format!("127.0.0.1:{port}")).replace("{folder}", folder.0.to_str().unwrap());
        let yaml = format!("{yaml}admin: {{ address: 'unix:{}/admin.sock' }}\n", folder.0.display());
        folder.write("proxy.yaml", &support::without_probation(&yaml));
        Self { folder, port }
    }

    fn call(&self, arguments: &[&str]) -> (i32, String) {
        support::call_for(&self.folder, arguments)
    }

    fn get(&self) -> String {
        let mut client = support::Client::connect(([127, 0, 0, 1], self.port).into());
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.response().text()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.0.join(name)).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.read("pingora-proxy.pid").trim().parse().unwrap()
    }

    fn status(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.call(&["-s", "stop"]);
    }
}

const ONE: &str = "log: { access: { to: off } }\nserver: { sandbox: off, error_log: '{folder}/error.log' }\nlisteners: ['{listen}']\nroutes: [{ respond: { body: one } }]\n";

#[test]
fn it_returns_once_it_serves_and_lives_on_its_own() {
    let background = Background::new(ONE);
    let (code, text) = background.call(&["-d"]);
    assert_eq!((code, text.as_str()), (0, ""));
    // Not a moment later: now.
    assert_eq!(background.get(), "one");
    let pid = background.pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[3], pid.to_string(), "a session of its own");
    assert_eq!(fields[4], "0", "no terminal");
    for descriptor in 0..3 {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"));
    }
    // An upgrade of a daemon is a daemon.
    let (code, text) = background.call(&["-s", "upgrade"]);
    assert_eq!(code, 0, "{text}");
    assert_ne!(background.pid(), pid);
    assert_eq!(background.get(), "one");
    let (code, text) = background.call(&["-d", "-u"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(background.get(), "one");
    assert_eq!(background.call(&["healthcheck"]).0, 0);
    assert_eq!(background.call(&["-s", "quit"]), (0, "ended; nothing was cut\n".to_owned()));
    let (code, text) = background.call(&["healthcheck"]);
    assert_eq!(code, 1);
    assert!(text.contains("admin.sock does not answer"), "{text}");
}

#[test]
fn its_error_is_the_callers() {
    let background = Background::new(ONE);
    let _taken = TcpListener::bind(("127.0.0.1", background.port)).unwrap();
    let (code, text) = background.call(&["-d"]);
    assert_eq!(code, 1);
    assert!(text.contains("Address already in use") && text.contains("the daemon ended before it served"), "{text}");
    std::fs::write(background.folder.0.join("proxy.yaml"), "routes: []\n").unwrap();
    let (code, text) = background.call(&["-d"]);
    assert_eq!(code, 1);
    assert!(text.contains("2 errors, 0 warnings"), "{text}");
}

#[test]
fn a_second_process_is_told_apart_from_a_stale_file() {
    let background = Background::new(&ONE.replace("server: {", "server: { pid_file: '{folder}/own.pid',"));
    std::fs::write(background.folder.0.join("own.pid"), "1\n").unwrap();
    assert_eq!(background.call(&["-d"]).0, 0);
    let pid = background.read("own.pid");
    assert_ne!(pid, "1\n");
    // The same configuration on another port.
    let yaml = background.read("proxy.yaml").replace(&background.port.to_string(), &support::free_port().to_string());
    let yaml = yaml
        .replace("/admin.sock", "/admin2.sock")
        .replace("server: {", "server: { upgrade_sock: '{folder}/other.sock',");
    background.folder.write("other.yaml", &yaml.replace("{folder}", background.folder.0.to_str().unwrap()));
    let output = Command::new(BINARY).args(["-c", "other.yaml"]).current_dir(&background.folder.0).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = format!("another pingora-proxy (process {}) holds the pid file", pid.trim());
    assert!(background.read("error.log").contains(&words) || String::from_utf8_lossy(&output.stderr).contains(&words));
    assert_eq!(background.read("own.pid"), pid);
}

#[test]
fn it_becomes_the_user_it_is_told_to() {
    if !nix::unistd::Uid::effective().is_root() {
        return; // only root can become somebody else
    }
    let background = Background::new(
        &ONE.replace("server: {", "server: { user: nobody,").replace("error_log: '{folder}/error.log'", "drain: {}"),
    );
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    std::os::unix::fs::chown(&background.folder.0, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    let (code, text) = background.call(&["-d"]);
    assert_eq!(code, 0, "{text}");
    let status = background.status();
    let line = |name: &str| {
        status.lines().find_map(|l| l.strip_prefix(name)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let four = |id: u32| vec![id.to_string(); 4].join(" ");
    assert_eq!(line("Uid:"), four(nobody.uid.as_raw()));
    assert_eq!(line("Gid:"), four(nobody.gid.as_raw()));
    assert!(line("Groups:").split(' ').all(|id| id.is_empty() || id == nobody.gid.to_string()), "{}", line("Groups:"));
    assert_eq!(line("CapEff:"), "0000000000000000");
    // It can still be upgraded, by itself and by root.
    let (code, text) = background.call(&["-s", "upgrade"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = background.call(&["-d", "-u"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(background.get(), "one");
}

/// The folder that root made is the new process's as well, though it is no root any more.
#[test]
fn another_user_keeps_the_place_and_its_unix_sockets() {
    if !nix::unistd::Uid::effective().is_root() {
        return; // only root can become somebody else
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let yaml =
        ONE.replace("server: {", "server: { user: nobody,").replace("error_log: '{folder}/error.log'", "drain: {}");
    let background = Background::new(&yaml.replace("['{listen}']", "['{listen}', 'unix:{folder}/l.sock']"));
    std::fs::set_permissions(&background.folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, text) = background.call(&["-d"]);
    assert_eq!(code, 0, "{text}");
    for _ in 0..2 {
        let (code, text) = background.call(&["-s", "upgrade"]);
        assert_eq!(code, 0, "{text}");
        assert_eq!(background.get(), "one");
        assert!(std::os::unix::net::UnixStream::connect(background.folder.0.join("l.sock")).is_ok());
        let admin = std::fs::metadata(background.folder.0.join("admin.sock")).unwrap();
        assert_eq!((admin.uid(), admin.mode() & 0o777), (nobody.uid.as_raw(), 0o600));
        assert_eq!(background.call(&["healthcheck"]).0, 0);
    }
}

/// In its own folder, which is that of root for both: no service manager has made one.
#[test]
fn sticky_clients_keep_their_server_across_upgrade_and_restart_as_another_user() {
    let folder = Folder::new();
    let run = folder.0.join("run");
    std::fs::create_dir(&run).unwrap();
    // The process's /run is the test's own.
    let own_run = format!("mount --bind {} /run", run.display());
    if !Command::new("unshare").args(["-m", "sh", "-c", &own_run]).status().is_ok_and(|status| status.success()) {
        return; // only root can become somebody else, and have a /run of its own
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    std::os::unix::fs::chown(&folder.0, Some(nobody.uid.as_raw()), None).unwrap();
    let origins = [named("a"), named("b"), named("c"), named("d")];
    let servers: Vec<String> = origins.iter().map(|origin| format!("'{}'", origin.address)).collect();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let yaml = format!(
        "server: {{ user: nobody, upgrade_sock: '{0}/up.sock', pid_file: '{0}/own.pid' }}\nlisteners: ['{address}']\n\
         admin: {{ address: off }}\nupstreams:\n  app: {{ servers: [{1}], sticky: {{ cookie: lb }} }}\nroutes: [{{ upstream: app }}]\n",
        folder.0.display(),
        servers.join(", ")
    );
    let file = folder.write("proxy.yaml", &yaml);
    let start = |folder| {
        let script = format!("{own_run} && exec {BINARY} -c {}", file.display());
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script]).env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", "/nowhere");
        let log = std::fs::File::options().create(true).append(true).open(file.with_file_name("stderr")).unwrap();
        command.stdout(std::process::Stdio::null()).stderr(log);
        let mut proxy = Proxy { address, process: support::Process(command.spawn().unwrap()), folder };
        proxy.await_ready();
        proxy
    };
    let mut proxy = start(folder);
    let first = proxy.get("/");
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let stays = |proxy: &Proxy, when: &str| {
        for _ in 0..8 {
            let answer = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
            assert_eq!(answer.text(), first.text(), "{when}");
        }
    };
    stays(&proxy, "at first");
    for upgrade in ["the first upgrade", "the second upgrade"] {
        let (code, text) = proxy.order("upgrade");
        assert_eq!(code, 0, "{text}");
        stays(&proxy, upgrade);
    }
    assert_eq!(proxy.order("stop").0, 0);
    proxy.process.0.wait().unwrap();
    let folder = std::mem::replace(&mut proxy.folder, Folder::new());
    drop(proxy);
    let proxy = start(folder);
    stays(&proxy, "a restart");
    assert_eq!(std::fs::read_dir(&run).unwrap().count(), 1);
    assert_eq!(proxy.order("stop").0, 0);
}

#[test]
fn logs_are_opened_anew_without_losing_a_line() {
    let proxy = Proxy::start(
        "server: { error_log: '{folder}/error.log' }\nlog: { access: { to: '{folder}/access.log' } }\nlisteners: ['{listen}']\nroutes: [{ respond: { status: 204 } }]\n",
    );
    let mut files = vec!["access.log".to_owned()];
    let asked = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut client = proxy.connect();
            let mut asked = 0;
            while !proxy.folder.0.join("enough").exists() {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                assert_eq!(client.response().status, 204);
                asked += 1;
            }
            asked
        });
        for turn in 0..5 {
            await_until("lines", || proxy.read("access.log").lines().count() > 20);
            let moved = format!("access.{turn}.log");
            std::fs::rename(proxy.folder.0.join("access.log"), proxy.folder.0.join(&moved)).unwrap();
            files.push(moved);
            match turn % 2 {
                0 => proxy.signal("USR1"),
                _ => assert_eq!(proxy.order("reopen"), (0, "the logs were opened anew\n".to_owned())),
            }
            await_until("the new file", || proxy.folder.0.join("access.log").exists());
        }
        proxy.folder.write("enough", "");
        traffic.join().unwrap()
    });
    let lines = || files.iter().map(|file| proxy.read(file).lines().count()).sum::<usize>();
    await_until("every line", || lines() >= asked);
    assert_eq!(lines(), asked);
    std::fs::rename(proxy.folder.0.join("error.log"), proxy.folder.0.join("error.1.log")).unwrap();
    assert_eq!(proxy.order("reopen").0, 0);
    // It was said before, so that it may wait for a second.
    await_until("the new error log", || proxy.read("error.log").contains("the logs were opened anew"));
}

#[test]
fn a_service_manager_is_told_everything() {
    let folder = Folder::new();
    let manager = UnixDatagram::bind(folder.0.join("notify")).unwrap();
    manager.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let port = support::free_port();
    folder.write(
        "proxy.yaml",
        &support::without_probation(&format!(
            "admin: {{ address: off }}\nlisteners: ['127.0.0.1:{port}']\nroutes: [{{ respond: {{ body: one }} }}]\n"
        )),
    );
    let child = command(&folder, &["-c", "proxy.yaml"])
        .current_dir(&folder.0)
        .env("NOTIFY_SOCKET", folder.0.join("notify"))
        .spawn()
        .unwrap();
    let mut old = support::Process(child);
    let hear = |wanted: &str| {
        let mut seen = String::new();
        while !seen.lines().any(|line| line.starts_with(wanted)) {
            let mut word = [0; 512];
            let length = manager.recv(&mut word).unwrap_or_else(|e| panic!("no {wanted}: {e}\n{seen}"));
            seen.push_str(std::str::from_utf8(&word[..length]).unwrap());
        }
        seen
    };
    assert!(hear("READY=1").contains(&format!("MAINPID={}", old.0.id())));
    signal(old.0.id(), "HUP");
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    signal(old.0.id(), "USR2");
    let text = hear("MAINPID=");
    let newest: u32 = text.lines().find_map(|l| l.strip_prefix("MAINPID=")).unwrap().parse().unwrap();
    assert_ne!(newest, old.0.id());
    assert_eq!(old.0.wait().unwrap().code(), Some(0));
    signal(newest, "TERM");
    hear("STOPPING=1");
}

#[test]
fn sockets_of_a_service_manager_are_used_and_their_files_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = Folder::new();
    let path = folder.0.join("l.sock");
    let unix = UnixListener::bind(&path).unwrap();
    for passed in [listener.as_fd(), unix.as_fd()] {
        rustix::io::fcntl_setfd(passed, rustix::io::FdFlags::empty()).unwrap();
    }
    folder.write(
        "proxy.yaml",
        &support::without_probation(&format!(
            "admin: {{ address: off }}\nlisteners: ['{address}', 'unix:{}']\nroutes: [{{ respond: {{ body: one }} }}]\n",
            path.display()
        )),
    );
    let (tcp, other) = (listener.as_raw_fd(), unix.as_raw_fd());
    // 3 and 4 may be the very descriptors that are moved there.
    let script =
        format!("exec 8<&{tcp} 9<&{other}; exec 3<&8 4<&9; LISTEN_PID=$$ LISTEN_FDS=2 exec {BINARY} -c proxy.yaml");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(&folder.0).env("RUNTIME_DIRECTORY", &folder.0);
    let mut running = support::Process(shell.spawn().unwrap());
    // The port is open all along: the answer tells.
    let ask = || {
        let mut client = support::Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.response().text()
    };
    assert_eq!(ask(), "one");
    let call = |order: &str| {
        let mut call = Command::new(BINARY);
        call.args(["-c", "proxy.yaml", "-s", order]).current_dir(&folder.0).env("RUNTIME_DIRECTORY", &folder.0);
        assert!(call.status().unwrap().success(), "{order}");
    };
    call("upgrade");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert_eq!(ask(), "one");
    call("quit");
    // The manager listens on: nobody may take its file away.
    assert!(UnixStream::connect(&path).is_ok());
}
