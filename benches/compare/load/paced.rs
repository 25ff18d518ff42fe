//! Requests at a fixed rate, whatever the proxy does: latency counts from when a
//! request was due, so that one that waits for a slow answer before it is counts too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::closed::Shape;
use super::http::Head;
use super::outcome::Outcome;
use crate::error::Result;

/// Until the first request is due: threads, connections and memory are there by then.
const TO_CONNECT: Duration = Duration::from_millis(200);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// `rate` requests a second over all clients.
///
/// # Errors
/// When a thread cannot be started.
pub fn pace(address: SocketAddr, shape: &Shape, rate: f64, time: Duration) -> Result<Outcome> {
    let began = Instant::now() + TO_CONNECT;
    let clients = u32::try_from(shape.clients)?;
    let gap = Duration::from_secs_f64(f64::from(clients) / rate);
    let mut threads = Vec::new();
    for n in 0..clients {
        let (bytes, size, first) = (shape.bytes(address), shape.size, began + gap * n / clients);
        let client = move || client(address, &bytes, size, Pace { first, gap, end: began + time });
        threads.push(thread::Builder::new().stack_size(128 * 1024).spawn(client)?);
    }
    let parts: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
    Ok(Outcome::of(parts, began.elapsed()))
}

struct Pace {
    first: Instant,
    gap: Duration,
    end: Instant,
}

fn client(address: SocketAddr, bytes: &[u8], size: usize, pace: Pace) -> Outcome {
    let mut outcome = Outcome::default();
    let most = (pace.end - pace.first).as_micros() / pace.gap.as_micros().max(1);
    outcome.latencies.reserve(usize::try_from(most).unwrap_or(0) + 1);
    let mut connection = None;
    ask(&mut connection, address, bytes, size).ok();
    let mut due = pace.first;
    while due < pace.end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match ask(&mut connection, address, bytes, size) {
            Ok(()) => outcome.note(due.elapsed()),
            Err(_) => {
                connection = None;
                outcome.errors += 1;
            }
        }
        due += pace.gap;
    }
    outcome
}

/// One exchange over a connection that is made when there is none.
pub(super) fn ask(
    connection: &mut Option<TcpStream>,
    address: SocketAddr,
    bytes: &[u8],
    size: usize,
) -> std::io::Result<()> {
    if connection.is_none() {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        *connection = Some(stream);
    }
    let stream = connection.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
    stream.write_all(bytes)?;
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        filled += read;
        match Head::parse(&buffer[..filled])? {
            Some(head) if head.status != 200 || head.body != size => {
                return Err(std::io::Error::other("not the answer"));
            }
            Some(head) if head.length + size == filled => {
                if head.closes {
                    *connection = None;
                }
                return Ok(());
            }
            Some(_) | None if read == 0 || filled == buffer.len() => {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Some(_) | None => {}
        }
    }
}
