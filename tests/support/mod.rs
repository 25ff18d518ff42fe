//! A real proxy process, a byte-level origin and a byte-level client, each behind
//! a guard that ends it. Ports are taken, readiness is awaited with a deadline.
#![allow(dead_code)] // each test file uses its part

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub mod client_tls;
pub mod collector;
pub mod dns;
pub mod exposition;
pub mod faults;
pub mod frames;
pub mod front;
pub mod hostile_heads;
pub mod http1_exchange;
pub mod http2;
pub mod http2_client;
pub mod ocsp;
pub mod provider;
pub mod store;
pub mod tls;
pub mod tokens;

use client_tls::TlsSession;

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const BINARY: &str = env!("CARGO_BIN_EXE_pingora-proxy");

/// A folder of its own, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("pingora-proxy-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Below those that the system gives to outgoing connections, which other tests make by
/// the thousand.
pub fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let turn = std::process::id() as usize * 131 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + turn % 9_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Asks until it is so, or fails the test.
pub fn await_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "waited too long: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// The release of a process: ended on drop, whatever the test did.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub struct Proxy {
    pub address: SocketAddr,
    pub process: Process,
    pub folder: Folder,
}

impl Proxy {
    /// `{listen}` in the text stands for a listening address, `{folder}` for a
    /// folder of the test's own.
    pub fn start(yaml: &str) -> Self {
        Self::start_program(yaml, |_| PathBuf::from(BINARY))
    }

    /// The same with a program that `place` puts into the folder.
    pub fn start_program(yaml: &str, place: impl FnOnce(&Folder) -> PathBuf) -> Self {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let folder = Folder::new();
        let file = folder.write("proxy.yaml", &text_for(yaml, address, &folder));
        let program = place(&folder);
        let child = spawn(command_of(&program, &folder).arg("-c").arg(&file));
        let mut proxy = Self { address, process: Process(child), folder };
        proxy.await_ready();
        proxy
    }

    /// Until it serves, which is more than that its port is open.
    pub fn await_ready(&mut self) {
        let end = Instant::now() + DEADLINE;
        while self.order("status").0 != 0 {
            let ended = self.process.0.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "the proxy did not start: {}", self.read("stderr"));
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// `-s`: exit code and output, stderr behind stdout.
    pub fn order(&self, order: &str) -> (i32, String) {
        call_for(&self.folder, &["-s", order])
    }

    /// Writes the configuration anew, with the same stand-ins as [`Self::start`].
    pub fn rewrite(&self, yaml: &str) {
        self.folder.write("proxy.yaml", &text_for(yaml, self.address, &self.folder));
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// The least configuration: everything to `origin`.
    pub fn before(origin: SocketAddr) -> Self {
        Self::start(&format!("listeners: ['{{listen}}']\nroutes:\n  - upstream: '{origin}'\n"))
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.0.join(name)).unwrap_or_default()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    pub fn get(&self, target: &str) -> Response {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"))
    }

    /// Peak resident memory in bytes.
    pub fn peak_memory(&self) -> usize {
        self.memory("VmHWM:")
    }

    /// Resident memory in bytes.
    pub fn resident_memory(&self) -> usize {
        self.memory("VmRSS:")
    }

    fn memory(&self, of: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(of)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// The access log's lines once there are at least `count`.
    pub fn access_log(&self, count: usize) -> Vec<serde_json::Value> {
        await_until("access log", || self.read("stdout").lines().count() >= count);
        self.read("stdout").lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

/// A program that was just copied is busy for as long as another test's child, forked
/// meanwhile, has its file open.
fn spawn(command: &mut Command) -> Child {
    let end = Instant::now() + DEADLINE;
    loop {
        match command.spawn() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy && Instant::now() < end => {
                thread::park_timeout(Duration::from_millis(5));
            }
            spawned => return spawned.unwrap(),
        }
    }
}

fn text_for(yaml: &str, address: SocketAddr, folder: &Folder) -> String {
    let text = yaml.replace("{listen}", &address.to_string()).replace("{folder}", folder.0.to_str().unwrap());
    // Tests that run side by side would take turns at its port.
    let admin = if text.contains("admin:") { "" } else { "admin: { address: off }\n" };
    without_probation(&format!("{text}{admin}"))
}

/// Has an old process end after an upgrade as soon as its clients are done, unless the text says
/// something else of its probation.
pub fn without_probation(yaml: &str) -> String {
    const OFF: &str = "server: { upgrade: { probation: 0s }";
    if yaml.contains("probation:") {
        return yaml.to_owned();
    }
    match yaml.contains("server: {") {
        true => yaml.replacen("server: {", &format!("{OFF},"), 1),
        false => format!("{yaml}{OFF} }}\n"),
    }
}

/// Copies the program, by another process: a file that this one writes is open in the children of
/// other tests too, for a moment, and cannot be started then (ETXTBSY).
pub fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(BINARY).arg(to).status().unwrap().success());
}

/// The program in a folder of its own, its output in files there.
pub fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = command_of(Path::new(BINARY), folder);
    command.args(arguments);
    command
}

fn command_of(program: &Path, folder: &Folder) -> Command {
    let append = |name: &str| std::fs::OpenOptions::new().create(true).append(true).open(folder.0.join(name)).unwrap();
    let mut command = Command::new(program);
    command.env("RUNTIME_DIRECTORY", &folder.0).stdin(Stdio::null());
    command.stdout(append("stdout")).stderr(append("stderr"));
    command
}

/// A call about the `proxy.yaml` of a folder: exit code and output, stderr behind stdout.
pub fn call_for(folder: &Folder, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(BINARY)
        .args(["-c", "proxy.yaml"])
        .args(arguments)
        .current_dir(&folder.0)
        .env("RUNTIME_DIRECTORY", &folder.0)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "{name} to {pid}");
}

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    /// Names in their case, in order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(n, _)| n.as_str()).collect()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// A connection at the origin, or at the client: buffered reads of HTTP/1.
pub struct Wire {
    pub stream: TcpStream,
    /// Where the client speaks TLS.
    tls: Option<Arc<TlsSession>>,
    buffer: Vec<u8>,
    /// Of the chunked body that was read last, as they were spelled.
    pub trailers: Vec<(String, String)>,
}

/// Writes to a connection while another thread reads it.
pub struct Writer {
    stream: TcpStream,
    tls: Option<Arc<TlsSession>>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &self.tls {
            None => self.stream.write(bytes),
            Some(tls) => tls.write(&self.stream, bytes).map(|()| bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, tls: None, buffer: Vec::new(), trailers: Vec::new() }
    }

    /// Shakes hands as a client; `alpn` is what it offers, and gets.
    pub fn over_tls(stream: TcpStream, authority: &client_tls::Authority, alpn: &[u8]) -> Self {
        let mut wire = Self::new(stream);
        wire.tls = Some(Arc::new(TlsSession::shake_hands(authority, &wire.stream, alpn).unwrap()));
        wire
    }

    pub fn writer(&self) -> Writer {
        Writer { stream: self.stream.try_clone().unwrap(), tls: self.tls.clone() }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut chunk = [0; 65536];
        let n = match &self.tls {
            None => self.stream.read(&mut chunk)?,
            Some(tls) => tls.read(&self.stream, &mut chunk)?,
        };
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    /// Up to and with the empty line; `None` at the end of the connection.
    pub fn head(&mut self) -> Option<(String, Vec<(String, String)>)> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if self.fill().ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let fields =
            lines.map(|l| l.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned())).unwrap()).collect();
        Some((first, fields))
    }

    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().unwrap() > 0, "ended after {} of {count} bytes", self.buffer.len());
        }
        take_front(&mut self.buffer, count)
    }

    /// What has come, or comes next; nothing at the end.
    pub fn piece(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.fill().ok();
        }
        std::mem::take(&mut self.buffer)
    }

    pub fn line(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                break at;
            }
            assert!(self.fill().unwrap() > 0, "ended inside a line");
        };
        let line = String::from_utf8(self.buffer.drain(..end + 2).collect()).unwrap();
        line.trim_end().to_owned()
    }

    pub fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            if size == 0 {
                self.read_trailers();
                return body;
            }
            body.extend(self.exactly(size));
            assert_eq!(self.line(), "");
        }
    }

    fn read_trailers(&mut self) {
        self.trailers.clear();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { return assert_eq!(line, "") };
            self.trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    pub fn until_end(&mut self) -> Vec<u8> {
        while self.fill().is_ok_and(|n| n > 0) {}
        std::mem::take(&mut self.buffer)
    }

    /// What comes until the end, or until nothing has come for so long.
    pub fn until_end_or(&mut self, silence: Duration) -> Vec<u8> {
        self.stream.set_read_timeout(Some(silence)).unwrap();
        self.until_end()
    }

    /// The body that the fields announce.
    pub fn body(&mut self, headers: &[(String, String)], to_end: bool) -> Vec<u8> {
        let find = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        if find("transfer-encoding").is_some() {
            self.chunked()
        } else if let Some(length) = find("content-length") {
            self.exactly(length.parse().unwrap())
        } else if to_end {
            self.until_end()
        } else {
            Vec::new()
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &self.tls {
            None => self.stream.write_all(bytes.as_ref()),
            Some(tls) => tls.write(&self.stream, bytes.as_ref()),
        }
    }

    /// Whether the other side has closed, with a word of TLS or without; waits for it.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty()
            && match self.fill() {
                Ok(count) => count == 0,
                Err(e) => e.kind() == std::io::ErrorKind::UnexpectedEof,
            }
    }
}

/// An origin that answers with whatever bytes its handler writes.
pub struct Origin {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Request>>>,
    pub connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    accept: Option<thread::JoinHandle<()>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Origin {
    /// The handler gets each request's head and the connection; it reads the body
    /// itself and says whether the connection goes on.
    pub fn start(handler: impl Fn(&Request, &mut Wire) -> bool + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), handler)
    }

    pub fn start_at(
        address: SocketAddr,
        handler: impl Fn(&Request, &mut Wire) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let handler = Arc::new(handler);
        let accept = {
            let (seen, stop, open, connections) = (seen.clone(), stop.clone(), open.clone(), connections.clone());
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    connections.fetch_add(1, Ordering::SeqCst);
                    open.lock().unwrap().push(stream.try_clone().unwrap());
                    let (seen, handler) = (seen.clone(), handler.clone());
                    thread::spawn(move || {
                        let mut wire = Wire::new(stream);
                        while let Some((line, headers)) = wire.head() {
                            let request = Request { line, headers };
                            seen.lock().unwrap().push(request.clone());
                            if !handler(&request, &mut wire) {
                                break;
                            }
                        }
                        wire.stream.shutdown(std::net::Shutdown::Both).ok();
                    });
                }
            })
        };
        Self { address, seen, connections, stop, accept: Some(accept), open }
    }

    /// Answers every request, its body read, with the same bytes.
    pub fn fixed(response: &'static str) -> Self {
        Self::start(move |request, wire| {
            wire.body(&request.headers, false);
            wire.send(response);
            true
        })
    }

    pub fn last(&self) -> Request {
        self.seen.lock().unwrap().last().cloned().expect("the origin saw no request")
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        if let Some(accept) = self.accept.take() {
            accept.join().ok();
        }
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(std::net::Shutdown::Both).ok();
        }
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    /// Version, status and reason phrase.
    pub line: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct Client {
    pub wire: Wire,
    head_only: bool,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        Self::on(Wire::new(stream))
    }

    pub fn on(wire: Wire) -> Self {
        Self { wire, head_only: false }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.head_only = bytes.as_ref().starts_with(b"HEAD ");
        self.wire.send(bytes);
    }

    /// The next head, with no body read.
    pub fn head(&mut self) -> Response {
        let (line, headers) = self.wire.head().expect("the connection ended without a response");
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        Response { line, status, headers, body: Vec::new() }
    }

    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        let bodyless = self.head_only || matches!(response.status, 100..200 | 204 | 304);
        if !bodyless {
            response.body = self.wire.body(&response.headers, true);
        }
        response
    }
}

/// The output of a finished call: exit code, stdout, stderr.
pub fn call(arguments: &[&str], folder: &Path) -> (i32, String, String) {
    output_of(Command::new(BINARY).args(arguments).current_dir(folder))
}

/// The same with a variable in the environment.
pub fn call_with(arguments: &[&str], folder: &Path, variable: (&str, &Path)) -> (i32, String, String) {
    output_of(Command::new(BINARY).args(arguments).current_dir(folder).env(variable.0, variable.1))
}

fn output_of(command: &mut Command) -> (i32, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Tries cases that know nothing of each other four at a time: each waits more than it computes.
pub fn four_at_a_time<T: Send>(cases: impl IntoIterator<Item = T, IntoIter: Send>, check: impl Fn(T) + Sync) {
    let left = Mutex::new(cases.into_iter());
    let work = || {
        loop {
            let Some(case) = left.lock().unwrap().next() else { return };
            check(case);
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
}

/// The first `count` bytes, moved as a block: a large body byte by byte takes its time in a build for tests.
fn take_front(buffer: &mut Vec<u8>, count: usize) -> Vec<u8> {
    let rest = buffer.split_off(count);
    std::mem::replace(buffer, rest)
}
