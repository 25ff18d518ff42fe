//! Servers that fail in one way each, for real: nobody listens, nobody accepts, a
//! process that can be killed and frozen.
#![allow(dead_code)] // each test file uses its part

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Child;

use super::{Folder, Origin, Process, await_until, command, free_port, signal};

/// Where nobody listens.
pub fn refusing() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

/// Where connections are neither accepted nor refused: its queue is full.
pub struct BlackHole {
    pub address: SocketAddr,
    _socket: OwnedFd,
    _filling: Vec<OwnedFd>,
}

impl BlackHole {
    pub fn open() -> Self {
        use rustix::net::{
            AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket, socket_with,
        };
        let tcp = || socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let listening = tcp();
        bind(&listening, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = SocketAddr::try_from(getsockname(&listening).unwrap()).unwrap();
        listen(&listening, 0).unwrap();
        let filling: Vec<OwnedFd> = (0..4)
            .map(|_| {
                let nonblocking = SocketFlags::NONBLOCK;
                let one = socket_with(AddressFamily::INET, SocketType::STREAM, nonblocking, None).unwrap();
                connect(&one, &address).ok();
                one
            })
            .collect();
        Self { address, _socket: listening, _filling: filling }
    }
}

/// A server in a process of its own, which answers each request with its name.
pub struct Server {
    pub address: SocketAddr,
    name: String,
    folder: Folder,
    process: Option<Process>,
}

impl Server {
    pub fn start(name: &str) -> Self {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let folder = Folder::new();
        let text = format!(
            "listeners: ['{address}']\nadmin: {{ address: off }}\nserver: {{ threads: 1 }}\n\
             log: {{ access: {{ to: stdout, format: json }} }}\nroutes: [{{ respond: {{ body: {name} }} }}]\n"
        );
        folder.write("server.yaml", &text);
        let mut server = Self { address, name: name.to_owned(), folder, process: None };
        server.start_again();
        server
    }

    pub fn start_again(&mut self) {
        let file = self.folder.0.join("server.yaml");
        let child: Child = command(&self.folder, &["-c", file.to_str().unwrap()]).spawn().unwrap();
        self.process = Some(Process(child));
        await_until(&self.name, || TcpStream::connect(self.address).is_ok());
    }

    /// With `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn freeze(&self) {
        signal(self.process.as_ref().unwrap().0.id(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.process.as_ref().unwrap().0.id(), "CONT");
    }

    /// The queries that it saw, in order.
    pub fn seen(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.0.join("stdout")).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter_map(|line| line["query"].as_str().map(str::to_owned)).collect()
    }
}

/// An origin that answers with its name, after its body was read.
pub fn named(name: &'static str) -> Origin {
    Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
        true
    })
}

/// One that reads the request and closes without a word.
pub fn resetting() -> Origin {
    Origin::start(|request, wire| {
        wire.body(&request.headers, false);
        false
    })
}

/// One that takes everything and never answers.
pub fn silent() -> Origin {
    Origin::start(|_, wire| {
        wire.until_end();
        false
    })
}

/// Always with this status.
pub fn answering(status: u16) -> Origin {
    Origin::start(move |request, wire| {
        wire.body(&request.headers, false);
        wire.send(format!("HTTP/1.1 {status} No\r\nContent-Length: 4\r\n\r\nsad\n"));
        true
    })
}
