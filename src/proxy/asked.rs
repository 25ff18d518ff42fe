//! A request that somebody asks about, and how it would come.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Method};

use crate::config::Address;
use crate::downstream::Remote;
use crate::listener::{Entrance, ListenerIndex};
use crate::runtime::Snapshot;
use crate::transport::ClientTls;

/// A request that somebody asks about.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    /// As the client would ask for it.
    pub url: String,
    pub headers: Vec<(String, HeaderValue)>,
    /// Where it comes from.
    pub client_ip: IpAddr,
}

/// `name: value`, as on a command line.
///
/// # Errors
/// What is wrong with it.
pub fn parse_header(text: &str) -> Result<(String, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    let name = name.trim();
    HeaderName::try_from(name).map_err(|e| e.to_string())?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|e| e.to_string())?;
    Ok((name.to_owned(), value))
}

impl Asked {
    /// The connection on which it would come: to the listener that the URL means, with TLS where it says so.
    pub fn remote(&self, snapshot: &Snapshot) -> Remote {
        let has_tls = self.url.starts_with("https://");
        let (name, port) = split_port(split_url(&self.url).0);
        let port = port.unwrap_or(if has_tls { 443 } else { 80 });
        let listener = listener(snapshot, has_tls, port);
        let mut remote = Remote::plain(Some(self.client_ip));
        remote.listener = listener.0;
        remote.tls = has_tls.then(|| {
            let entrance = snapshot.entrances.get(listener);
            // Whoever asks for another host makes another connection.
            let client_auth = entrance.map(|entrance| entrance.client_auth_of(name)).unwrap_or_default();
            ClientTls { client_auth, ..ClientTls::default() }
        });
        remote
    }

    /// The request as it would come over the wire. A request without a host is one of
    /// HTTP/1.0, which allows that (RFC 9112 section 3.2).
    pub fn head(&self) -> Vec<u8> {
        let (authority, target) = split_url(&self.url);
        let given = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let version = if authority.is_empty() && !given { "1.0" } else { "1.1" };
        let mut head = format!("{} {target} HTTP/{version}\r\n", self.method).into_bytes();
        if !authority.is_empty() && !given {
            head.extend_from_slice(format!("Host: {authority}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"].iter().for_each(|part| head.extend_from_slice(part));
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Of the listeners with TLS, or of those without, the one at this port, or else the first.
fn listener(snapshot: &Snapshot, has_tls: bool, port: u16) -> ListenerIndex {
    let fitting = || snapshot.entrances.iter().enumerate().filter(|(_, entrance)| entrance.has_tls() == has_tls);
    let is_at_port = |entrance: &Entrance| matches!(entrance.address(), Address::Tcp(at) if at.port() == port);
    let found = fitting().find(|(_, entrance)| is_at_port(entrance)).or_else(|| fitting().next());
    ListenerIndex(found.map_or(0, |(index, _)| index))
}

/// The host and the target of a URL; a path alone has no host.
fn split_url(url: &str) -> (&str, &str) {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest,
        None if url.starts_with(['/', '*']) => return ("", url),
        None => url,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    (authority, if target.is_empty() { "/" } else { target })
}

/// The name of an authority, and its port.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port.parse().ok()),
        Some(_) | None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split() {
        for (url, host, target, port) in [
            ("http://a.test", "a.test", "/", None),
            ("https://a.test:8443/x?y", "a.test", "/x?y", Some(8443)),
            ("a.test?q", "a.test", "?q", None),
            ("/x", "", "/x", None),
            ("http://[::1]:80/", "[::1]", "/", Some(80)),
            ("http://[::1]/", "[::1]", "/", None),
        ] {
            let (authority, found) = split_url(url);
            assert_eq!((split_port(authority), found), ((host, port), target), "{url}");
        }
    }
}
