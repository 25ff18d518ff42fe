//! Requests one after the other: connections that had one request and are held idle, and an
//! exact number of requests.

use std::net::{SocketAddr, TcpStream};

use super::closed::Shape;
use super::paced::ask;

/// Opens `count` connections with one request each, and returns them.
///
/// # Errors
/// When one of them is not answered.
pub fn hold(address: SocketAddr, count: usize) -> crate::error::Result<Vec<TcpStream>> {
    let shape = Shape::SMALL;
    let bytes = shape.bytes(address);
    let mut held = Vec::with_capacity(count);
    for n in 0..count {
        let mut connection = None;
        ask(&mut connection, address, &bytes, shape.size).map_err(|e| format!("connection {n}: {e}"))?;
        held.push(connection.ok_or_else(|| format!("connection {n} was closed after its request"))?);
    }
    Ok(held)
}

/// Sends `count` requests over the connections in turn.
///
/// # Errors
/// When one of them is not answered.
pub fn repeat(address: SocketAddr, connections: usize, count: usize) -> crate::error::Result<()> {
    let shape = Shape::SMALL;
    let bytes = shape.bytes(address);
    let mut open: Vec<Option<TcpStream>> = (0..connections).map(|_| None).collect();
    for n in 0..count {
        ask(&mut open[n % connections], address, &bytes, shape.size).map_err(|e| format!("request {n}: {e}"))?;
    }
    Ok(())
}
