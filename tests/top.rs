//! `top` shows the live figures of the running process, in a terminal and without one.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use support::{BINARY, Origin, Process, Proxy, await_until, call_for};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn proxy(origin: &Origin) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\nupstreams: {{ app: {{ servers: ['{}', '127.0.0.1:1'] }} }}\n\
         routes: [{{ name: shop, upstream: app }}, {{ name: none, match: {{ path: /none }}, upstream: '127.0.0.1:1' }}]\n",
        origin.address
    ))
}

/// Sends requests for as long as `then` runs.
fn under_traffic<T>(proxy: &Proxy, then: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                proxy.get("/");
                proxy.get("/none");
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(then));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap()
    })
}

#[test]
fn one_frame_has_the_figures_of_one_second() {
    let origin = Origin::fixed(OK);
    let proxy = proxy(&origin);
    let (code, text) = under_traffic(&proxy, || call_for(&proxy.folder, &["top", "--once"]));
    assert_eq!(code, 0, "{text}");
    let line =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
    assert!(line("pingora-proxy ").contains("  ready  "), "{text}");
    let cells: Vec<_> = line("shop ").split_whitespace().collect();
    assert!(cells[1].parse::<f64>().unwrap() > 0.0 && cells[2] == "0.0" && cells[4].parse::<f64>().is_ok(), "{text}");
    assert!(line("none ").contains("100.0 %"), "{text}");
    assert!(line(&format!("app {}", origin.address)).ends_with("  up"), "{text}");
    assert!(line("upstream_refused ").ends_with("  upstream"), "{text}");
}

#[test]
fn a_process_that_is_not_there_is_said() {
    let folder = support::Folder::new();
    folder.write("proxy.yaml", "listeners: ['127.0.0.1:1']\nroutes: [{ respond: {} }]\n");
    let (code, text) = call_for(&folder, &["top"]);
    assert!(code == 1 && text.starts_with("error: "), "{code} {text}");
}

/// In a terminal of its own, which `script` makes.
#[test]
fn a_terminal_is_drawn_anew_and_is_as_it_was_in_the_end() {
    let origin = Origin::fixed(OK);
    let proxy = proxy(&origin);
    let call = format!("stty cols 100 rows 30; stty -g; {BINARY} -c proxy.yaml top; stty -g; echo left $?");
    let mut child = Command::new("script")
        .args(["-qefc", &call, "/dev/null"])
        .current_dir(&proxy.folder.0)
        .env("RUNTIME_DIRECTORY", &proxy.folder.0)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let filling = std::sync::Arc::clone(&seen);
    let reader = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            filling.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    });
    let mut child = Process(child);
    under_traffic(&proxy, || await_until("two frames", || seen.lock().unwrap().matches("\x1b[H").count() >= 2));
    keys.write_all(b"xq").unwrap();
    await_until("the end", || child.0.try_wait().unwrap().is_some());
    reader.join().unwrap();
    let text = seen.lock().unwrap().clone();
    assert!(text.contains("\x1b[?1049h") && text.contains("\x1b[?25h\x1b[?1049l") && text.contains("left 0"), "{text}");
    let settings: Vec<_> = text.lines().map(str::trim_end).filter(|line| line.matches(':').count() > 10).collect();
    assert!(settings.len() == 2 && settings[1].rsplit("\x1b[?1049l").next() == Some(settings[0]), "{settings:?}");
}
