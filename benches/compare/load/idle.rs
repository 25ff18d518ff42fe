//! Requests one after the other: connections that had one request and are held idle, and an
//! exact number of requests.

use std::net::{SocketAddr, TcpStream};

use tokio::runtime::Runtime;

use super::closed::{Shape, exchange};
use super::http::request;
use super::paced::ask;
use super::target::{Target, Wire};

/// Connections that are held open.
pub struct Held {
    _connections: Vec<Wire>,
    _runtime: Runtime,
}

/// Opens `count` connections with one request each, and returns them.
///
/// # Errors
/// When one of them is not answered.
pub fn hold(target: &Target, count: usize) -> crate::error::Result<Held> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shape = Shape::SMALL;
    let bytes = shape.bytes(target.address);
    let (mut held, mut buffer) = (Vec::with_capacity(count), Vec::with_capacity(4096));
    for n in 0..count {
        let opened = runtime.block_on(async {
            let mut wire = target.dialer(n).dial().await?;
            let goes_on = exchange(&mut *wire.stream, &bytes, shape.size, &mut buffer).await?;
            Ok::<_, std::io::Error>(Some(wire).filter(|_| goes_on))
        });
        let opened = opened.map_err(|e| format!("connection {n}: {e}"))?;
        held.push(opened.ok_or_else(|| format!("connection {n} was closed after its request"))?);
    }
    Ok(Held { _connections: held, _runtime: runtime })
}

/// Sends `count` requests over the connections in turn, each with `field`, a line of its own or nothing.
///
/// # Errors
/// When one of them is not answered.
pub fn repeat(address: SocketAddr, connections: usize, count: usize, field: &str) -> crate::error::Result<()> {
    let shape = Shape::SMALL;
    let bytes = request(address, shape.path, field).into_bytes();
    let mut open: Vec<Option<TcpStream>> = (0..connections).map(|_| None).collect();
    for n in 0..count {
        ask(&mut open[n % connections], address, &bytes, shape.size).map_err(|e| format!("request {n}: {e}"))?;
    }
    Ok(())
}
