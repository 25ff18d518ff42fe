//! An origin that takes strictly what it gets, and keeps every whole request.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{Request, Wire};

pub struct StrictOrigin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    accept: Option<JoinHandle<()>>,
}

impl StrictOrigin {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let accept = std::thread::spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let seen = Arc::clone(&seen);
                    std::thread::spawn(move || serve(stream.unwrap(), &seen));
                }
            }
        });
        Self { address, seen, stop, accept: Some(accept) }
    }

    /// The whole requests since the last call.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for StrictOrigin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.accept.take().map(JoinHandle::join);
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>) {
    let mut wire = Wire::new(stream.try_clone().unwrap());
    let mut bytes = Vec::new();
    while let Some(request) = read_request(&stream, &mut bytes) {
        let is_head = request.line.starts_with("HEAD ");
        let expects = request.header("expect").is_some();
        seen.lock().unwrap().push(request);
        let interim = if expects { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
        let body = if is_head { "" } else { "ok" };
        if wire.try_send(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}")).is_err() {
            break;
        }
    }
}

/// `None` where the connection ends, or at what is no request.
fn read_request(stream: &TcpStream, bytes: &mut Vec<u8>) -> Option<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let end = until(stream, bytes, |bytes| bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4))?;
    let head = String::from_utf8_lossy(&bytes[..end - 4]).into_owned();
    bytes.drain(..end);
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next()?;
    let field = |line: String| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let request = Request { line, headers: lines.map(field).collect::<Option<_>>()? };
    if request.header("transfer-encoding").is_some() {
        while let size @ 1.. = chunk(stream, bytes)? {
            take(stream, bytes, size + 2)?;
        }
        while !line_of(stream, bytes)?.is_empty() {}
    } else if let Some(length) = request.header("content-length") {
        take(stream, bytes, length.parse().ok()?)?;
    }
    Some(request)
}

fn chunk(stream: &TcpStream, bytes: &mut Vec<u8>) -> Option<usize> {
    usize::from_str_radix(&line_of(stream, bytes)?, 16).ok()
}

fn line_of(stream: &TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    let end = until(stream, bytes, |bytes| bytes.windows(2).position(|two| two == b"\r\n"))?;
    let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
    bytes.drain(..end + 2);
    Some(line)
}

fn take(stream: &TcpStream, bytes: &mut Vec<u8>, count: usize) -> Option<()> {
    until(stream, bytes, |bytes| (bytes.len() >= count).then_some(count))?;
    bytes.drain(..count);
    Some(())
}

fn until(mut stream: &TcpStream, bytes: &mut Vec<u8>, found: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    loop {
        if let Some(at) = found(bytes) {
            return Some(at);
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
    }
}
