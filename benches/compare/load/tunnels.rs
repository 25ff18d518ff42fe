//! WebSocket messages that are echoed: each client sends its next when its last came
//! back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::{Head, request};
use super::outcome::Outcome;
use crate::error::Result;

/// Of one message.
const PAYLOAD: usize = 64;

/// # Errors
/// When a tunnel cannot be opened; what fails later is counted.
pub fn exchange(address: SocketAddr, tunnels: usize, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..tunnels {
            open.push(tunnel(address).await?);
        }
        let began = Instant::now();
        let clients: Vec<_> = open.into_iter().map(|stream| tokio::spawn(messages(stream, began + time))).collect();
        let mut parts = Vec::new();
        for client in clients {
            parts.push(client.await?);
        }
        Ok(Outcome::of(parts, began.elapsed()))
    })
}

async fn tunnel(address: SocketAddr) -> Result<TcpStream> {
    // The example key of RFC 6455 section 1.3.
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request(address, "/ws", fields).as_bytes()).await?;
    let mut buffer = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err("a tunnel was refused".into());
        }
        match Head::parse(&buffer)? {
            Some(head) if head.status == 101 => return Ok(stream),
            Some(head) => return Err(format!("a tunnel was answered {}", head.status).into()),
            None => {}
        }
    }
}

async fn messages(mut stream: TcpStream, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let mut sent = vec![0x82, 0x80 | u8::try_from(PAYLOAD).unwrap_or(0), 0, 0, 0, 0];
    sent.extend([b'm'; PAYLOAD]);
    let mut received = [0; PAYLOAD + 2];
    while Instant::now() < end {
        let began = Instant::now();
        let echoed = async {
            stream.write_all(&sent).await?;
            stream.read_exact(&mut received).await
        };
        match echoed.await {
            Ok(_) if received[2..] == sent[6..] => outcome.note(began.elapsed()),
            Ok(_) | Err(_) => {
                outcome.errors += 1;
                return outcome;
            }
        }
    }
    outcome
}
