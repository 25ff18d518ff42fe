//! The README's first five minutes, typed as they stand there.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use support::{BINARY, DEADLINE, Folder, await_until, free_port};

const README: &str = include_str!("../README.md");

/// The script of a section: its first block in `sh`.
fn script(section: &str) -> &'static str {
    let section = README.split_once(section).unwrap().1;
    section.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0
}

/// A shell that is given its lines one by one, as by somebody who types them.
struct Typist {
    shell: support::Process,
    output: std::sync::mpsc::Receiver<String>,
    seen: String,
}

impl Typist {
    fn new(folder: &Folder) -> Self {
        let mut command = Command::new("sh");
        command.arg("-s").current_dir(&folder.0).env("RUNTIME_DIRECTORY", folder.0.join("run"));
        // Those of a `make test` around this test are none of its own.
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdin(Stdio::piped()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let shell = support::Process(command.spawn().unwrap());
        let (lines, output) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(reader).lines().map_while(Result::ok).all(|line| lines.send(line).is_ok())
        });
        Self { shell, output, seen: String::new() }
    }

    /// Types what one command is and returns its exit code and output.
    fn run(&mut self, command: &str) -> (i32, String) {
        let input = self.shell.0.stdin.as_mut().unwrap();
        input.write_all(format!("{command}\nprintf '\\ndone: %s\\n' $?\n").as_bytes()).unwrap();
        let mut text = String::new();
        loop {
            let line = self.output.recv_timeout(DEADLINE).unwrap_or_else(|e| panic!("{command}: {e}\n{}", self.seen));
            self.seen.push_str(&format!("{line}\n"));
            match line.strip_prefix("done: ") {
                Some(code) => return (code.parse().unwrap(), text),
                None => text.push_str(&format!("{line}\n")),
            }
        }
    }
}

/// Ends the proxy in the background where the test did not come to its end.
struct Ended<'f>(&'f Folder);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut stop = Command::new(BINARY);
        stop.args(["-c", "my.yaml", "-s", "stop"]).current_dir(&self.0.0);
        stop.env("RUNTIME_DIRECTORY", self.0.0.join("run")).output().ok();
    }
}

/// The commands of a script: lines, of which a here-document is one.
fn commands(script: &str) -> Vec<String> {
    let (mut all, mut lines) = (Vec::new(), script.lines());
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut command = line.to_owned();
        if line.contains("<<'END'") {
            for inside in lines.by_ref().take_while(|line| *line != "END") {
                command.push_str(&format!("\n{inside}"));
            }
            command.push_str("\nEND");
        }
        all.push(command);
    }
    all
}

#[test]
fn the_first_five_minutes_work_as_they_are_typed() {
    let folder = Folder::new();
    // What `make build` would make, which takes minutes.
    folder.write("Makefile", "build:\n\t@echo built\n");
    for made in ["target/release", "run"] {
        std::fs::create_dir_all(folder.0.join(made)).unwrap();
    }
    std::os::unix::fs::symlink(BINARY, folder.0.join("target/release/pingora-proxy")).unwrap();
    // The ports may be taken on this machine.
    let (service, proxy) = (free_port(), free_port());
    let script = script("## The first five minutes").replace("3000", &service.to_string());
    let script = script.replace("8080", &proxy.to_string());
    let commands = commands(&script);
    assert!(commands.len() > 12, "{commands:?}");
    let _ended = Ended(&folder);
    let mut typist = Typist::new(&folder);
    for command in &commands {
        let (code, text) = typist.run(command);
        assert_eq!(code, 0, "{command}\n{text}");
        let told = |words: &[&str]| {
            for word in words {
                assert!(text.contains(word), "{command}: {word}\n{text}");
            }
        };
        let (called, rest) = command.split_once(' ').unwrap();
        match (called, rest.rsplit(' ').next().unwrap()) {
            // A person takes longer to type the next line.
            _ if rest.ends_with('&') => {
                await_until("the service", || TcpStream::connect(("127.0.0.1", service)).is_ok());
            }
            (_, "-t") => told(&["the configuration is fine"]),
            (_, "-d") => told(&[
                &format!("listening on http://127.0.0.1:{proxy}"),
                &format!("everything -> http://127.0.0.1:{service}"),
                "my.yaml -s reload",
            ]),
            ("curl", target) if target.ends_with("/echo") => told(&["\"x-forwarded-for\""]),
            ("curl", _) => told(&["pong"]),
            (_, "reload") => told(&["configuration 2 is in force"]),
            (_, "upstreams") => told(&["1 of 1 get requests", " up "]),
            (_, "status") => told(&["it is serving"]),
            (_, "upgrade") => told(&["serves now"]),
            (_, "quit") => told(&["ended; nothing was cut"]),
            _ if rest.contains("explain") => told(&["route:      routes[1]"]),
            _ => {}
        }
    }
    drop(typist.shell.0.stdin.take());
    await_until("nobody listens any more", || TcpStream::connect(("127.0.0.1", service)).is_err());
    assert!(TcpStream::connect(("127.0.0.1", proxy)).is_err());
}

/// What the README calls missing is refused by its name, and what it calls there is a key.
#[test]
fn what_is_called_missing_is_missing() {
    let folder = Folder::new();
    for (place, key) in [
        ("listeners: [{ address: ':1', tls: { KEY: {} } }]", "acme"),
        ("listeners: [{ address: ':1', KEY: x }]", "tcp"),
        ("routes: [{ respond: {}, KEY: {} }]", "cache"),
        ("routes: [{ respond: {}, KEY: {} }]", "compress"),
        ("routes: [{ respond: {}, KEY: {} }]", "files"),
    ] {
        folder.write("p.yaml", &format!("{}\n", place.replace("KEY", key)));
        let (code, _, stderr) = support::call(&["-c", "p.yaml", "-t"], &folder.0);
        assert!(code == 1 && stderr.contains(&format!("`{key}` is not supported yet")), "{key}: {stderr}");
    }
}
