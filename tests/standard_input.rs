//! Where the configuration comes from: the default file, and standard input (`-c -`).
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{BINARY, Folder, Process, await_until, call, command, free_port, signal};

/// Runs a call with a text on its standard input: exit code and output, stderr behind stdout.
fn call_with(folder: &Folder, arguments: &[&str], text: &str) -> (i32, String) {
    let mut call = Command::new(BINARY);
    call.args(arguments).current_dir(&folder.0).env("RUNTIME_DIRECTORY", &folder.0);
    call.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = feed(&mut call, text).wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// Ends the process in the background where a test did not come to its end.
struct Ended<'f>(&'f Folder, &'static str);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        call_with(self.0, &["-c", self.1, "-s", "stop"], "");
    }
}

fn feed(command: &mut Command, text: &str) -> Child {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A call that is refused reads nothing.
    child.stdin.take().unwrap().write_all(text.as_bytes()).ok();
    child
}

fn yaml(port: u16, body: &str) -> String {
    let routes = format!("routes: [{{ respond: {{ body: {body} }} }}]");
    support::without_probation(&format!("listeners: ['127.0.0.1:{port}']\nadmin: {{ address: off }}\n{routes}\n"))
}

fn get(port: u16) -> String {
    let mut client = support::Client::connect(([127, 0, 0, 1], port).into());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.response().text()
}

#[test]
fn every_command_names_the_default_file_when_it_is_missing() {
    let folder = Folder::new();
    if Path::new("/etc/pingora-proxy/proxy.yaml").exists() {
        return; // this machine has one
    }
    let calls: [&[&str]; 6] = [&[], &["-t"], &["-T"], &["-d"], &["explain", "GET", "/"], &["healthcheck"]];
    for arguments in calls {
        let (code, _, stderr) = call(arguments, &folder.0);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        let here = folder.0.join("conf/proxy.yaml");
        let words = format!("neither {} nor /etc/pingora-proxy/proxy.yaml exists", here.display());
        assert!(stderr.contains(&words) && stderr.contains("`-c FILE`"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_default_file_is_the_same_for_every_command() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("conf")).unwrap();
    let port = free_port();
    folder.write("conf/proxy.yaml", &yaml(port, "one"));
    let _ended = Ended(&folder, "conf/proxy.yaml");
    let tell = |arguments: &[&str]| call_with(&folder, arguments, "");
    assert_eq!(tell(&["-t"]), (0, "conf/proxy.yaml: the configuration is fine\n".to_owned()));
    assert!(tell(&["-T"]).1.contains(&port.to_string()));
    assert!(tell(&["explain", "GET", "/"]).1.contains("routes[0]"));
    let (code, text) = tell(&["-d"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(get(port), "one");
    assert_eq!(tell(&["healthcheck"]).0, 0);
    folder.write("conf/proxy.yaml", &yaml(port, "two"));
    assert_eq!(tell(&["-s", "reload"]).0, 0);
    assert_eq!(get(port), "two");
    assert_eq!(tell(&["-s", "stop"]).0, 0);
}

#[test]
fn standard_input_is_checked_printed_and_explained() {
    let folder = Folder::new();
    let text = yaml(free_port(), "one");
    assert_eq!(
        call_with(&folder, &["-c", "-", "-t"], &text),
        (0, "(standard input): the configuration is fine\n".to_owned())
    );
    let (code, printed) = call_with(&folder, &["-c", "-", "-T"], &text);
    assert_eq!(code, 0, "{printed}");
    assert_eq!(call_with(&folder, &["-c", "-", "-T"], &printed), (0, printed.clone()));
    let (_, told) = call_with(&folder, &["explain", "-c", "-", "GET", "/"], &text);
    assert!(told.contains("routes[0] (line 3)"), "{told}");
    let (code, told) = call_with(&folder, &["-c", "-", "-t"], "listeners: [':1']\nrouts: []\n");
    assert!(code == 1 && told.contains("--> (standard input):2:1"), "{told}");
    assert_eq!(call_with(&folder, &["-c", "-", "-t"], &"#".repeat(5 << 20)).0, 1);
}

#[test]
fn a_process_that_runs_from_standard_input_loses_nothing() {
    let (folder, port) = (Folder::new(), free_port());
    let mut first = Process(feed(&mut command(&folder, &["-c", "-"]), &yaml(port, "one")));
    let _ended = Ended(&folder, "-");
    let tell = |order: &str| call_with(&folder, &["-c", "-", "-s", order], "");
    await_until("the start", || tell("status").0 == 0);
    assert_eq!(get(port), "one");
    // There is nothing to read again: the old one serves on, and says what would do.
    let (code, text) = tell("reload");
    assert!(code == 1 && text.contains("came from standard input") && text.contains("-c - -u"), "{text}");
    signal(first.0.id(), "HUP");
    let log = || std::fs::read_to_string(folder.0.join("stderr")).unwrap();
    await_until("the log", || log().matches("came from standard input").count() == 2);
    assert_eq!(get(port), "one");
    // The next process is given the text.
    let (code, text) = tell("upgrade");
    assert_eq!(code, 0, "{text}");
    assert_eq!(first.0.wait().unwrap().code(), Some(0));
    assert_eq!(get(port), "one");
    // And again: it has the text itself.
    assert_eq!(tell("upgrade").0, 0);
    assert_eq!(get(port), "one");
    // Another text, in the background.
    let (code, text) = call_with(&folder, &["-c", "-", "-u", "-d"], &yaml(port, "two"));
    assert_eq!(code, 0, "{text}");
    assert_eq!(get(port), "two");
    // One with an error changes nothing.
    let (code, text) = call_with(&folder, &["-c", "-", "-u"], "listeners: []\n");
    assert!(code == 1 && text.contains("no listener"), "{text}");
    assert_eq!(get(port), "two");
    // A process with a file is another one.
    folder.write("p.yaml", &yaml(port, "three"));
    let (code, text) = call_with(&folder, &["-c", "p.yaml", "-s", "stop"], "");
    assert!(code == 1 && text.contains("the process that answers runs with -;"), "{text}");
    assert_eq!(tell("quit"), (0, "ended; nothing was cut\n".to_owned()));
}

/// More than a pipe holds.
#[test]
fn a_large_text_reaches_the_next_process_whole() {
    let (folder, port) = (Folder::new(), free_port());
    let _ended = Ended(&folder, "-");
    let text = format!("{}# {}\n", yaml(port, "one"), "x".repeat(300_000));
    assert_eq!(call_with(&folder, &["-c", "-", "-d"], &text).0, 0);
    let (code, told) = call_with(&folder, &["-c", "-", "-s", "upgrade"], "");
    assert_eq!(code, 0, "{told}");
    assert_eq!(get(port), "one");
    assert_eq!(call_with(&folder, &["-c", "-", "-s", "stop"], "").0, 0);
}
