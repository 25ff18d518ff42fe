//! Addresses: where to listen, and where an upstream's server is. Resolves no names;
//! must not know YAML or keys.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::{Address, Lookup, Named, ServerPlace};
use super::value::{self, Read, Wrong};

/// The address of one server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub place: ServerPlace,
    pub written: String,
    /// Set when it was written with a name rather than an IP address.
    pub name: Option<String>,
}

/// What a route or the command line may name without defining an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    pub server: Server,
    pub tls: bool,
}

/// `:8080` listens on every IPv4 address.
pub fn listener(text: &str) -> Read<Address> {
    if let Some(unix) = unix(text) {
        return unix;
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Address::Tcp(address));
    }
    if let Some(port) = text.strip_prefix(':')
        && let Ok(port) = number(port)
    {
        return Ok(Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)));
    }
    let message = format!("`{text}` is not an address to listen on");
    Err(Wrong::with_help(message, listener_help(text)))
}

fn listener_help(text: &str) -> String {
    if number(text).is_ok() {
        return format!("write `\":{text}\"` or `0.0.0.0:{text}`");
    }
    if text.parse::<IpAddr>().is_ok() {
        return "a port is missing, as in `0.0.0.0:8080` or `[::]:8080`".into();
    }
    if let Some((_, rest)) = text.split_once("://") {
        return format!("without the scheme: `{rest}`");
    }
    match text.rsplit_once(':') {
        Some(("localhost", port)) if number(port).is_ok() => format!("write `127.0.0.1:{port}`"),
        Some((_, port)) if number(port).is_err() => "a port is a number from 0 to 65535".into(),
        Some(_) => "a listener needs an IP address, as in `0.0.0.0:8080` or `[::]:8080`".into(),
        None => "write it as `0.0.0.0:8080`, `[::]:8080` or `unix:/run/x.sock`".into(),
    }
}

/// `IP:port`, `name:port` or `unix:/path`.
pub fn server(text: &str) -> Read<Server> {
    if let Some(unix) = unix(text) {
        let place = ServerPlace::At(unix?);
        return Ok(Server { place, written: text.to_owned(), name: None });
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        nonzero(address.port())?;
        let place = ServerPlace::At(Address::Tcp(address));
        return Ok(Server { place, written: text.to_owned(), name: None });
    }
    let (name, port) = name_and_port(text)?;
    Ok(named(text, name, Lookup::One { port }))
}

/// `name:port`, each of whose addresses is a server.
pub fn each(text: &str) -> Read<Server> {
    if text.parse::<SocketAddr>().is_ok() || unix(text).is_some() {
        return Err(Wrong::with_help(format!("`{text}` is no name to look up"), "write it with `address`"));
    }
    let (name, port) = name_and_port(text)?;
    Ok(named(text, name, Lookup::Each { port }))
}

/// A name that has SRV records.
pub fn services(text: &str) -> Read<Server> {
    if let Some((name, _)) = text.rsplit_once(':') {
        return Err(Wrong::with_help("SRV records say the port themselves", format!("write `{name}`")));
    }
    let name = rooted_name(text)?;
    Ok(Server { name: None, ..named(text, name, Lookup::Services) })
}

/// A final dot keeps search domains out of it.
fn rooted_name(text: &str) -> Read<String> {
    match text.strip_suffix('.') {
        Some(bare) => value::dns_name(bare).map(|name| name + "."),
        None => value::dns_name(text),
    }
}

fn named(text: &str, name: String, kind: Lookup) -> Server {
    // How often: unless the server says otherwise.
    let refresh = Duration::from_secs(10);
    let bare = name.trim_end_matches('.').to_owned();
    let place = ServerPlace::Named(Named { name, kind, refresh });
    Server { place, written: text.to_owned(), name: Some(bare) }
}

fn name_and_port(text: &str) -> Read<(String, u16)> {
    let wrong = |help: &str| Wrong::with_help(format!("`{text}` is not a server's address"), help);
    if text.contains("://") {
        return Err(wrong("write `host:port`; for TLS, give the upstream `tls: true`"));
    }
    let Some((name, port)) = text.rsplit_once(':') else {
        return Err(wrong("a port is missing, as in `127.0.0.1:3000`"));
    };
    let Ok(port) = number(port) else {
        return Err(wrong("a port is a number from 1 to 65535"));
    };
    nonzero(port)?;
    if name.contains(':') {
        return Err(wrong("an IPv6 address stands in brackets, as in `[::1]:3000`"));
    }
    // The system's resolver would take `127.1` or `1.2.3` for an IPv4 address.
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(wrong("an IPv4 address has four numbers up to 255"));
    }
    Ok((rooted_name(name)?, port))
}

/// Also `http://host:port` and `https://host:port`, with or without the port.
pub fn direct(text: &str) -> Read<Direct> {
    let url = text.split_once("://").filter(|_| !text.starts_with("unix:"));
    let Some((scheme, rest)) = url else {
        return server(text).map(|server| Direct { server, tls: false });
    };
    // Schemes know no case (RFC 3986 section 3.1).
    let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err(Wrong::with_help(format!("unknown scheme `{scheme}`"), "`http` or `https`")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        let at = authority.find(['/', '?', '#']).unwrap_or(authority.len());
        let host = authority.get(..at).unwrap_or("");
        return Err(Wrong::with_help(
            "an upstream's address has no path",
            format!("write `{scheme}://{host}`, and `request: {{ path: {{ add_prefix: … }} }}` for the path"),
        ));
    }
    if authority.contains('@') {
        return Err(Wrong::new("an upstream's address has no user and password"));
    }
    let bare = authority.rsplit_once(':').is_none() || authority.ends_with(']');
    let with_port = if bare { format!("{authority}:{port}") } else { authority.to_owned() };
    let mut server = server(&with_port)?;
    if tls && server.name.is_none() {
        return Err(Wrong::with_help(
            "TLS to an IP address needs a name to verify",
            "write the server's name, or define an upstream with `tls: { sni: … }`",
        ));
    }
    server.written = authority.to_owned();
    Ok(Direct { server, tls })
}

fn unix(text: &str) -> Option<Read<Address>> {
    let path = text.strip_prefix("unix:")?;
    // sun_path holds 108 bytes with its final zero, 104 on some systems.
    const LONGEST: usize = 103;
    Some(if !Path::new(path).is_absolute() {
        Err(Wrong::with_help("a Unix socket's path must be absolute", "write it as `unix:/run/app.sock`"))
    } else if path.starts_with("//") {
        let path = path.trim_start_matches('/');
        Err(Wrong::with_help("a Unix socket is named by its path, not by a URL", format!("write `unix:/{path}`")))
    } else if path.len() > LONGEST || path.contains('\0') {
        Err(Wrong::new(format!("a Unix socket's path is at most {LONGEST} bytes long")))
    } else {
        Ok(Address::Unix(PathBuf::from(path)))
    })
}

// `parse` alone would also take `+80`.
fn number(text: &str) -> Result<u16, ()> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().map_err(|_| ()) } else { Err(()) }
}

fn nonzero(port: u16) -> Read<()> {
    if port == 0 { Err(Wrong::new("a server's port cannot be 0")) } else { Ok(()) }
}

/// The text which `listener` and `server` read as this value; also its name in messages.
pub fn text(address: &Address) -> String {
    match address {
        Address::Tcp(socket) => socket.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(r: Read<Address>) -> String {
        r.unwrap_err().help.unwrap()
    }

    fn lookup(name: &str, kind: Lookup) -> ServerPlace {
        ServerPlace::Named(Named { name: name.to_owned(), kind, refresh: Duration::from_secs(10) })
    }

    #[test]
    fn listeners() {
        assert_eq!(text(&listener(":8080").unwrap()), "0.0.0.0:8080");
        assert_eq!(text(&listener("[::]:8443").unwrap()), "[::]:8443");
        assert_eq!(text(&listener("unix:/run/x").unwrap()), "unix:/run/x");
        assert!(help(listener("8080")).contains("0.0.0.0:8080"));
        assert_eq!(help(listener("localhost:80")), "write `127.0.0.1:80`");
        assert!(help(listener("0.0.0.0")).contains("port is missing"));
        for bad in ["", ":", ":+80", ":99999", "unix:x", "http://0.0.0.0:80", "::1:80"] {
            assert!(listener(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn servers() {
        assert_eq!(server("[::1]:80").unwrap().name, None);
        let local = server("LOCALHOST:3000").unwrap();
        assert_eq!(local.name.as_deref(), Some("localhost"));
        assert_eq!(local.place, lookup("localhost", Lookup::One { port: 3000 }));
        assert_eq!(each("App.internal:80").unwrap().place, lookup("app.internal", Lookup::Each { port: 80 }));
        let rooted = server("App.internal.:80").unwrap();
        assert_eq!(rooted.place, lookup("app.internal.", Lookup::One { port: 80 }));
        assert_eq!(rooted.name.as_deref(), Some("app.internal"));
        assert_eq!(services("_http._tcp.a").unwrap().place, lookup("_http._tcp.a", Lookup::Services));
        assert!(each("127.0.0.1:80").is_err() && services("a.b:80").is_err() && services("").is_err());
        for bad in
            ["127.0.0.1", "127.0.0.1:0", "localhost:0", "::1:80", "1.2.3:80", "256.0.0.1:80", ":80", "http://a:1"]
        {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn direct_upstreams() {
        assert_eq!(direct("http://localhost").unwrap().server.place, direct("localhost:80").unwrap().server.place);
        let tls = direct("https://localhost/").unwrap();
        assert!(tls.tls);
        assert_eq!(tls.server.place, lookup("localhost", Lookup::One { port: 443 }));
        assert_eq!(tls.server.written, "localhost");
        assert!(direct("http://[::1]").is_ok());
        assert!(direct("HTTP://127.0.0.1:1").is_ok_and(|d| !d.tls));
        assert!(direct("HTTPs://localhost").is_ok_and(|d| d.tls));
        assert_eq!(direct("unix:///run/x").unwrap_err().help.as_deref(), Some("write `unix:/run/x`"));
        for bad in ["https://127.0.0.1", "http://127.0.0.1:1/x", "ftp://localhost", "http://a@localhost", "http://"] {
            assert!(direct(bad).is_err(), "{bad}");
        }
    }
}
