//! A disk that is full, a pipe that nobody reads and a folder that is gone under a log: requests are
//! served all the same, and the error log says what is lost while it is.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::{BINARY, DEADLINE, Folder, Origin, Process, Proxy, await_until, command, free_port, signal};

const LOST: &str = "lines are lost so far";

#[test]
fn a_full_disk_under_the_access_log_is_told_at_once_and_when_it_is_over() {
    let folder = Folder::new();
    let log = folder.0.join("access.log");
    // Each write to it fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let yaml = format!(
        "listeners: ['{address}']\nadmin: {{ address: off }}\nlog: {{ access: {{ to: '{}' }} }}\nroutes: [{{ respond: {{ status: 204 }} }}]\n",
        log.display()
    );
    folder.write("proxy.yaml", &yaml);
    let child = command(&folder, &["-c", "proxy.yaml"]).current_dir(&folder.0).spawn().unwrap();
    let mut proxy = Proxy { address, process: Process(child), folder };
    proxy.await_ready();
    let began = Instant::now();
    assert_eq!(proxy.get("/").status, 204);
    await_until("the trouble", || proxy.read("stderr").contains(LOST));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let text = proxy.read("stderr");
    assert!(text.contains("ERROR") && text.contains("access.log: No space left on device"), "{text}");
    for _ in 0..50 {
        assert_eq!(proxy.get("/").status, 204);
    }
    let (_, status) = proxy.order("status");
    assert!(status.contains("access log lines lost: "), "{status}");
    // Not a line for each.
    assert_eq!(proxy.read("stderr").matches(LOST).count(), 1);
    std::fs::remove_file(proxy.folder.0.join("access.log")).unwrap();
    assert_eq!(proxy.order("reopen").0, 0);
    assert_eq!(proxy.get("/last").status, 204);
    await_until("the end of the trouble", || proxy.read("stderr").contains("is written again; 51 lines were lost"));
    assert_eq!(proxy.read("access.log").lines().count(), 1);
    assert!(proxy.read("access.log").contains("/last"));
}

#[test]
fn a_pipe_that_nobody_reads_under_the_access_log_is_told_and_delays_no_request() {
    let folder = Folder::new();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    folder.write(
        "proxy.yaml",
        &format!(
            "listeners: ['{address}']\nadmin: {{ address: off }}\n\
             routes: [{{ respond: {{ status: 204 }} }}]\n"
        ),
    );
    let mut child =
        command(&folder, &["-c", "proxy.yaml"]).current_dir(&folder.0).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let mut proxy = Proxy { address, process: Process(child), folder };
    proxy.await_ready();
    let value = "x".repeat(4000);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {value}\r\nReferer: {value}\r\n\r\n");
    let mut client = proxy.connect();
    let mut longest = Duration::ZERO;
    let end = Instant::now() + support::DEADLINE;
    while !proxy.read("stderr").contains(LOST) {
        assert!(Instant::now() < end, "{}", proxy.read("stderr"));
        for _ in 0..50 {
            let began = Instant::now();
            client.send(&request);
            assert_eq!(client.response().status, 204);
            longest = longest.max(began.elapsed());
        }
    }
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let text = proxy.read("stderr");
    assert!(text.contains("cannot write to stdout: what was written before is not taken"), "{text}");
    // Somebody reads again.
    let reader = std::thread::spawn(move || std::io::copy(&mut pipe.by_ref(), &mut std::io::sink()));
    await_until("the end of the trouble", || {
        assert_eq!(proxy.get("/").status, 204);
        proxy.read("stderr").contains("stdout is written again")
    });
    assert_eq!(proxy.order("stop").0, 0);
    assert!(reader.join().unwrap().unwrap() > 4_000_000);
}

/// Runs `during` while clients ask without a pause. Returns how often they were answered; every answer
/// has to be a 204, soon.
fn under_load(proxy: &Proxy, during: impl FnOnce(&AtomicUsize)) -> usize {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = proxy.connect();
                    while !stop.load(Ordering::SeqCst) {
                        let began = Instant::now();
                        client.send("GET /load HTTP/1.1\r\nHost: a\r\n\r\n");
                        assert_eq!(client.response().status, 204);
                        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| during(&answered)));
        stop.store(true, Ordering::SeqCst);
        let failed = clients.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_err).count();
        assert_eq!(failed, 0, "clients without their answers");
        done.unwrap();
    });
    answered.load(Ordering::SeqCst)
}

/// The lines of a log that are whole.
fn whole_lines(log: &Path) -> usize {
    let text = std::fs::read(log).unwrap();
    text.split(|b| *b == b'\n').filter(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok()).count()
}

/// What the status says is lost.
fn lost(proxy: &Proxy) -> usize {
    let (_, status) = proxy.order("status");
    let behind = status.split("access log lines lost: ").nth(1).unwrap_or("0");
    behind.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// A proxy whose log is on a tmpfs of its own, and where that is seen from here. `None` where the
/// system lets nobody mount one.
fn on_a_small_disk() -> Option<(Proxy, PathBuf)> {
    let folder = Folder::new();
    let disk = folder.0.join("disk");
    std::fs::create_dir(&disk).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let yaml = "listeners: ['@']\nadmin: { address: off }\nlog: { access: { to: disk/access.log } }\n\
                routes: [{ respond: { status: 204 } }]\n";
    folder.write("proxy.yaml", &yaml.replace('@', &address.to_string()));
    let mount = "mount -t tmpfs -o size=4m none disk";
    let in_its_own = |script: String| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script]);
        command.current_dir(&folder.0).env("RUNTIME_DIRECTORY", &folder.0).stdin(Stdio::null());
        command
    };
    if !in_its_own(mount.to_owned()).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let append = |name: &str| std::fs::OpenOptions::new().create(true).append(true).open(folder.0.join(name)).unwrap();
    let serve = format!("{mount} && head -c 3800000 /dev/zero > disk/filler && exec {BINARY} -c proxy.yaml");
    let child = in_its_own(serve).stdout(append("stdout")).stderr(append("stderr")).spawn().unwrap();
    let seen = PathBuf::from(format!("/proc/{}/root{}", child.id(), disk.display()));
    let mut proxy = Proxy { address, process: Process(child), folder };
    proxy.await_ready();
    Some((proxy, seen))
}

#[test]
fn a_full_disk_under_load_costs_no_request_and_each_line_is_written_or_counted() {
    let Some((proxy, disk)) = on_a_small_disk() else {
        // A full disk that is no disk is above.
        return;
    };
    let answered = under_load(&proxy, |answered| {
        await_until("a full disk", || proxy.read("stderr").contains("No space left on device"));
        let before = answered.load(Ordering::SeqCst);
        await_until("requests on a full disk", || answered.load(Ordering::SeqCst) > before + 500);
        std::fs::remove_file(disk.join("filler")).unwrap();
        await_until("the end of the trouble", || proxy.read("stderr").contains("is written again"));
    });
    let log = disk.join("access.log");
    await_until("every line", || whole_lines(&log) + lost(&proxy) >= answered);
    let (written, lost) = (whole_lines(&log), lost(&proxy));
    assert_eq!(written + lost, answered, "{written} written, {lost} lost");
    assert!(lost >= 300, "{lost}");
}

#[test]
fn a_log_whose_folder_is_gone_comes_back_by_itself_with_the_folder() {
    let folder = Folder::new();
    let logs = folder.0.join("logs");
    std::fs::create_dir(&logs).unwrap();
    let proxy = Proxy::start(&format!(
        "log: {{ access: {{ to: '{}/access.log' }} }}\nlisteners: ['{{listen}}']\nroutes: [{{ respond: {{ status: 204 }} }}]\n",
        logs.display()
    ));
    let log = logs.join("access.log");
    assert_eq!(proxy.get("/").status, 204);
    await_until("the first line", || whole_lines(&log) == 1);
    let mut began = Instant::now();
    let answered = under_load(&proxy, |answered| {
        await_until("lines", || whole_lines(&log) > 100);
        std::fs::remove_dir_all(&logs).unwrap();
        began = Instant::now();
        await_until("the trouble", || proxy.read("stderr").contains(LOST));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let before = answered.load(Ordering::SeqCst);
        await_until("requests without a folder", || answered.load(Ordering::SeqCst) > before + 100);
        std::fs::create_dir(&logs).unwrap();
        began = Instant::now();
        await_until("the file", || log.exists() && whole_lines(&log) > 0);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        await_until("the end of the trouble", || proxy.read("stderr").contains("is written again"));
    });
    let text = proxy.read("stderr");
    assert!(text.contains("access.log: it was deleted, and cannot be made: No such file or directory"), "{text}");
    assert!(answered > 200 && lost(&proxy) >= 100, "{answered} {}", lost(&proxy));
    // A file that is deleted alone is made anew, and no line is lost but those before it.
    let before = lost(&proxy);
    std::fs::remove_file(&log).unwrap();
    assert_eq!(proxy.get("/anew").status, 204);
    await_until("a new file", || log.exists() && std::fs::read_to_string(&log).unwrap().contains("/anew"));
    assert_eq!(lost(&proxy), before);
}

/// Reads what a process says, while it is to.
struct Reader {
    read: Mutex<Vec<u8>>,
    reads: AtomicBool,
}

impl Reader {
    fn start(mut pipe: ChildStderr) -> Arc<Self> {
        let reader = Arc::new(Self { read: Mutex::default(), reads: AtomicBool::new(true) });
        let this = Arc::clone(&reader);
        thread::spawn(move || {
            let mut piece = [0; 65_536];
            loop {
                while !this.reads.load(Ordering::SeqCst) {
                    thread::park_timeout(Duration::from_millis(5));
                }
                match pipe.read(&mut piece) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => this.read.lock().unwrap().extend_from_slice(&piece[..count]),
                }
            }
        });
        reader
    }

    /// Whether there is such a line, among the last ones.
    fn has(&self, text: &str) -> bool {
        let read = self.read.lock().unwrap();
        let last = &read[read.len().saturating_sub(400_000)..];
        memchr::memmem::find(last, text.as_bytes()).is_some()
    }
}

#[test]
fn an_error_log_that_nobody_reads_delays_no_request() {
    let origin = Origin::fixed("HTTP/1.1 204 No Content\r\n\r\n");
    let folder = Folder::new();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    folder.write(
        "proxy.yaml",
        &format!(
            "listeners: ['{address}']\nadmin: {{ address: off }}\nlog: {{ level: debug }}\n\
             routes: [{{ upstream: '{}' }}]\n",
            origin.address
        ),
    );
    let mut command = command(&folder, &["-c", "proxy.yaml"]);
    command.current_dir(&folder.0).env_remove("RUST_LOG").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let reader = Reader::start(child.stderr.take().unwrap());
    let mut proxy = Proxy { address, process: Process(child), folder };
    proxy.await_ready();
    reader.reads.store(false, Ordering::SeqCst);
    // Each of these requests is worth a long message at this level: what is dropped of it is named.
    let dropped: String = (0..15).map(|n| format!("x_{n}_{}: 1\r\n", "a".repeat(250))).collect();
    let noise = |proxy: &Proxy| {
        let response = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{dropped}\r\n"));
        assert_eq!(response.status, 204);
    };
    under_load(&proxy, |_| {
        let end = Instant::now() + DEADLINE;
        while !proxy.order("status").1.contains("error log lines lost: ") {
            assert!(Instant::now() < end, "nothing was lost");
            (0..100).for_each(|_| noise(&proxy));
        }
    });
    reader.reads.store(true, Ordering::SeqCst);
    await_until("the end of the trouble", || {
        assert_eq!(proxy.get("/").status, 204);
        reader.has("error log: stderr is written again; ")
    });
    signal(proxy.pid(), "TERM");
    await_until("the last words", || reader.has("ended; nothing was cut"));
}
