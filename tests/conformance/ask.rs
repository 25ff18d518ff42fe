//! One case, put to one proxy, and what came of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::cases::Case;
use super::origin::StrictOrigin;
use crate::support::Request;

pub struct Came {
    /// Of the final responses.
    pub statuses: Vec<u16>,
    /// Whether another request on the connection was answered.
    pub goes_on: bool,
    /// Whole requests that the origin got for the case.
    pub seen: Vec<Request>,
    /// Whether the origin got the second request that the bytes are for a lenient reader.
    pub smuggled: bool,
    /// Whether the next client's request came through whole.
    pub canary: bool,
}

/// `patience`: how long a proxy that says nothing is waited for.
pub fn ask(case: &Case, proxy: SocketAddr, origin: &StrictOrigin, patience: Duration) -> Came {
    origin.take();
    let mut stream = connect(proxy, patience);
    // One that answers early may take no more of it.
    stream.write_all(&case.bytes).ok();
    let is_head = case.bytes.starts_with(b"HEAD ");
    let mut bytes = Vec::new();
    let wanted = case.bytes.windows(9).filter(|nine| nine == b" HTTP/1.1").count().max(1);
    let mut statuses = Vec::new();
    while statuses.len() < wanted {
        let Some(status) = response(&mut stream, &mut bytes, is_head) else { break };
        statuses.push(status);
    }
    let goes_on = honest(&mut stream, &mut bytes);
    let canary = honest(&mut connect(proxy, patience), &mut Vec::new());
    let seen = origin.take();
    let is = |request: &&Request, path: &str| request.line.contains(path);
    let smuggled = seen.iter().any(|request| is(&request, "/smuggled"));
    let seen = seen.into_iter().filter(|request| !is(&request, "/canary") && !is(&request, "/smuggled")).collect();
    Came { statuses, goes_on, seen, smuggled, canary }
}

fn connect(proxy: SocketAddr, patience: Duration) -> TcpStream {
    let stream = TcpStream::connect(proxy).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream
}

/// Whether an honest request is answered. `bytes`: what came on the connection before.
fn honest(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let sent = stream.write_all(b"GET /canary HTTP/1.1\r\nHost: a.test\r\n\r\n");
    sent.is_ok() && response(stream, bytes, false) == Some(200)
}

/// The status of the next final response, which is read whole.
fn response(stream: &mut TcpStream, bytes: &mut Vec<u8>, is_head: bool) -> Option<u16> {
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            fill(stream, bytes)?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        bytes.drain(..end);
        let status: u16 = head.split(' ').nth(1)?.get(..3)?.parse().ok()?;
        if status < 200 && status != 101 {
            continue;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        match length.filter(|_| !is_head) {
            Some(length) => {
                while bytes.len() < length {
                    fill(stream, bytes)?;
                }
                bytes.drain(..length);
            }
            None if is_head || matches!(status, 204 | 304) => {}
            None => while fill(stream, bytes).is_some() {},
        }
        return Some(status);
    }
}

/// `None` at the end, and when nothing comes.
fn fill(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16384];
    let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&piece[..count]);
    Some(())
}

/// As the page has it.
pub fn words(case: &Case, came: &Came) -> String {
    let mut words = if came.smuggled { "**two requests**, ".to_owned() } else { String::new() };
    words += if came.seen.is_empty() { "" } else { "forwarded, " };
    let statuses: Vec<String> = came.statuses.iter().map(u16::to_string).collect();
    words += &if statuses.is_empty() { "no answer".to_owned() } else { statuses.join(" and ") };
    words += if came.goes_on { "" } else { ", closed" };
    words += if came.canary { "" } else { ", and the next client got no answer" };
    if let (Some(request), false) = (came.seen.first(), case.shown.is_empty()) {
        let shown = case.shown.iter().map(|name| {
            if *name == "target" {
                return format!("`{}`", request.target());
            }
            request.header(name).map_or_else(|| format!("no `{name}`"), |value| format!("`{name}: {value}`"))
        });
        words += &format!("; {}", shown.collect::<Vec<_>>().join(", "));
    }
    words
}
