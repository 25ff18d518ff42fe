//! How much of a value that a client has chosen is logged: the buffer of lines is bounded, so
//! that a line must be, too.

/// Of a path, a query, a User-Agent and a Referer.
pub const VALUE: usize = 4096;
/// Of a host: a name of 253 bytes and a port fit.
const HOST: usize = 260;
/// Of a method; the longest registered one has 16 bytes.
const METHOD: usize = 32;
/// Of a protocol: `HTTP/1.1` has 8.
const PROTOCOL: usize = 16;

pub fn value(value: &[u8]) -> &[u8] {
    value.get(..VALUE).unwrap_or(value)
}

pub fn host(host: &[u8]) -> &[u8] {
    host.get(..HOST).unwrap_or(host)
}

pub fn method(method: &[u8]) -> &[u8] {
    method.get(..METHOD).unwrap_or(method)
}

pub fn protocol(protocol: &[u8]) -> &[u8] {
    protocol.get(..PROTOCOL).unwrap_or(protocol)
}
