//! A disk that is full and a pipe that nobody reads under the access log: requests are served
//! all the same, and the error log says what is lost while it is.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{Folder, Process, Proxy, await_until, command, free_port};

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
