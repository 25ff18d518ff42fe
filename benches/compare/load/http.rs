//! As much HTTP/1.1 as the clients speak.

use std::net::SocketAddr;

/// The head of a response, once it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub status: u16,
    pub body: usize,
    pub closes: bool,
}

impl Head {
    /// # Errors
    /// When it is no response, or one whose body has no length.
    pub fn parse(bytes: &[u8]) -> std::io::Result<Option<Self>> {
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

pub fn request(address: SocketAddr, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: compare\r\nAccept: */*\r\n{fields}\r\n")
}
