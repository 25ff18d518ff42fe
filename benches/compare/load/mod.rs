//! Clients: as many requests as the proxy takes, requests at a fixed rate, WebSocket
//! messages, and connections that do nothing.

mod closed;
mod idle;
mod paced;
mod tunnels;

pub use closed::{Shape, saturate};
pub use idle::{hold, repeat};
pub use paced::pace;
pub use tunnels::exchange;

use std::net::SocketAddr;
use std::time::Duration;

/// What came of a stretch of load.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub done: u64,
    /// Answers that were not 200 or not whole, and connections that broke.
    pub errors: u64,
    /// In microseconds, sorted.
    pub latencies: Vec<u32>,
    pub took: Duration,
}

impl Outcome {
    fn of(parts: impl IntoIterator<Item = Self>, took: Duration) -> Self {
        let mut all = Self { took, ..Self::default() };
        for part in parts {
            all.done += part.done;
            all.errors += part.errors;
            all.latencies.extend(part.latencies);
        }
        all.latencies.sort_unstable();
        all
    }

    fn note(&mut self, latency: Duration) {
        self.done += 1;
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }
}

/// The head of a response, once it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    length: usize,
    status: u16,
    body: usize,
    closes: bool,
}

impl Head {
    /// # Errors
    /// When it is no response, or one whose body has no length.
    fn parse(bytes: &[u8]) -> std::io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes).map_err(std::io::Error::other)?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let text = |name| field(response.headers, name);
        let status = response.code.unwrap_or(0);
        let body = match text("content-length") {
            Some(length) => length.parse().map_err(std::io::Error::other)?,
            None if status == 101 => 0,
            None => return Err(std::io::Error::other("a response without a length")),
        };
        let closes = text("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Some(Self { length, status, body, closes }))
    }
}

/// The first field of a name, where it is text.
pub fn field<'h>(fields: &[httparse::Header<'h>], name: &str) -> Option<&'h str> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok()
}

fn request(address: SocketAddr, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: compare\r\nAccept: */*\r\n{fields}\r\n")
}

/// Thousands of connections are held on both sides.
///
/// # Errors
/// When the limit cannot be asked for.
pub fn raise_file_limit() -> crate::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
