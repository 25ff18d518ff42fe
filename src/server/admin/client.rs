//! The other side of the admin endpoint: asks a process how it is, as a probe would.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::config::Address;

/// Asks a process for `what`.
///
/// # Errors
/// When the answer is not 200, or there is none.
pub fn ask(address: &Address, what: &str) -> Result<(), String> {
    const WAIT: Duration = Duration::from_secs(5);
    let answer = match address {
        Address::Tcp(address) => TcpStream::connect_timeout(address, WAIT)
            .and_then(|stream| stream.set_read_timeout(Some(WAIT)).and_then(|()| exchange(stream, what))),
        Address::Unix(path) => UnixStream::connect(path)
            .and_then(|stream| stream.set_read_timeout(Some(WAIT)).and_then(|()| exchange(stream, what))),
    };
    let answer = answer.map_err(|e| format!("{} does not answer: {e}", address))?;
    if answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 ") {
        return Ok(());
    }
    Err(format!("not ready: {}", answer.lines().last().unwrap_or("no answer")))
}

fn exchange(mut stream: impl Read + Write, what: &str) -> io::Result<String> {
    stream.write_all(format!("GET {what} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
