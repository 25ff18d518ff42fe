//! A request of HTTP/1.1 on a connection, and its response, piece by piece.

use std::io::Write;

use super::front::{Ask, Length};
use super::{Response, Wire};

/// What is left of a response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Bytes(usize),
    /// Of a chunk; the last one was not seen.
    Chunks(usize),
    /// As much as comes.
    ToEnd,
}

pub struct Http1Exchange<'l> {
    wire: &'l mut Wire,
    is_head: bool,
    is_chunked: bool,
    left: Left,
    pub trailers: Vec<(String, String)>,
}

impl<'l> Http1Exchange<'l> {
    pub fn begin(wire: &'l mut Wire, ask: &Ask) -> Self {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", ask.method, ask.target, ask.host);
        ask.fields.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        if ask.websocket {
            head += "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        }
        head += &match ask.length {
            Length::NoBody => String::new(),
            Length::Said(length) => format!("Content-Length: {length}\r\n"),
            Length::Unsaid => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        wire.send(head + "\r\n");
        let is_chunked = ask.length == Length::Unsaid;
        Self { wire, is_head: ask.method == "HEAD", is_chunked, left: Left::Bytes(0), trailers: Vec::new() }
    }

    pub fn send(&mut self, piece: &[u8]) -> bool {
        if !self.is_chunked {
            return self.wire.try_send(piece).is_ok();
        }
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        piece.is_empty() || self.wire.try_send(chunk).is_ok()
    }

    pub fn end(&mut self) {
        self.end_with_trailers(&[]);
    }

    pub fn end_with_trailers(&mut self, trailers: &[(&str, &str)]) {
        if self.is_chunked {
            let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            self.wire.try_send(format!("0\r\n{lines}\r\n")).ok();
        }
    }

    pub fn keep_sending(&mut self) {
        let (mut writer, is_chunked) = (self.wire.writer(), self.is_chunked);
        std::thread::spawn(move || {
            let piece = [b'x'; 0x10000];
            while (!is_chunked || writer.write_all(b"10000\r\n").is_ok())
                && writer.write_all(&piece).is_ok()
                && (!is_chunked || writer.write_all(b"\r\n").is_ok())
            {}
        });
    }

    pub fn head(&mut self) -> Response {
        let (line, headers) = self.wire.head().expect("the connection ended without a response");
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let response = Response { line, status, headers, body: Vec::new() };
        self.left = match response.header("content-length") {
            _ if status == 101 => Left::ToEnd,
            _ if self.is_head || matches!(status, 100..200 | 204 | 304) => Left::Bytes(0),
            _ if response.header("transfer-encoding").is_some() => Left::Chunks(0),
            Some(length) => Left::Bytes(length.parse().unwrap()),
            None => Left::ToEnd,
        };
        if status == 101 {
            self.is_chunked = false;
        }
        response
    }

    /// The next piece of the body, of at most so many bytes; `Ok(None)` at its end, an error where it is
    /// cut off.
    fn piece(&mut self, most: usize) -> Result<Option<Vec<u8>>, ()> {
        let room = match self.left {
            Left::Bytes(0) => return Ok(None),
            Left::Chunks(0) => {
                let Some(size) = self.line().and_then(|line| usize::from_str_radix(&line, 16).ok()) else {
                    return Err(());
                };
                if size == 0 {
                    self.left = Left::Bytes(0);
                    return self.read_trailers().map(|()| None);
                }
                self.left = Left::Chunks(size);
                size
            }
            Left::Bytes(left) | Left::Chunks(left) => left,
            Left::ToEnd => usize::MAX,
        };
        if self.wire.buffer.is_empty() {
            match (self.wire.fill(), self.left) {
                (Ok(0), Left::ToEnd) => return Ok(None),
                (Ok(0) | Err(_), _) => return Err(()),
                (Ok(_), _) => {}
            }
        }
        let count = room.min(most).min(self.wire.buffer.len());
        let piece = super::take_front(&mut self.wire.buffer, count);
        match &mut self.left {
            Left::Bytes(left) => *left -= count,
            Left::Chunks(left) => {
                *left -= count;
                if *left == 0 && self.line().is_none_or(|line| !line.is_empty()) {
                    return Err(());
                }
            }
            Left::ToEnd => {}
        }
        Ok(Some(piece))
    }

    fn read_trailers(&mut self) -> Result<(), ()> {
        loop {
            let line = self.line().ok_or(())?;
            let Some((name, value)) = line.split_once(':') else { return Ok(()) };
            self.trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// `None` when the connection ends before.
    fn line(&mut self) -> Option<String> {
        while !self.wire.buffer.windows(2).any(|w| w == b"\r\n") {
            self.wire.fill().ok().filter(|n| *n > 0)?;
        }
        Some(self.wire.line())
    }

    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let piece = self.piece(count - bytes.len()).ok().flatten();
            bytes.extend(piece.unwrap_or_else(|| panic!("ended after {} of {count} bytes", bytes.len())));
        }
        bytes
    }

    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        loop {
            match self.piece(usize::MAX) {
                Ok(Some(piece)) => bytes.extend(piece),
                Ok(None) => return (bytes, true),
                Err(()) => return (bytes, false),
            }
        }
    }
}
