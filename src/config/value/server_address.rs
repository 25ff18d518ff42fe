//! Addresses of an upstream's servers, and of who is asked for their names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::address::{Address, Lookup, Named, ServerPlace, nonzero, number, unix};
use super::host::dns_name;
use super::zone::socket_address;
use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

/// One server of an upstream, as the file refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenServer {
    pub place: ServerPlace,
    pub written: String,
    /// Set when it was written with a name rather than an IP address.
    pub name: Option<String>,
}

const NAME_AND_PORT: &str = concat!(
    "^((",
    pattern!(ipv4),
    "|",
    pattern!(not_numbers),
    pattern!(name),
    "[.]?|",
    pattern!(zoned_ipv6),
    "):",
    pattern!(some_port),
    "|",
    pattern!(unix),
    ")$"
);

/// `IP:port`, `name:port` or `unix:/path`.
pub const SERVER: Scalar<WrittenServer> = Scalar {
    what: "an address such as `127.0.0.1:3000`",
    syntax: Syntax {
        kind: "address",
        numbers: false,
        pattern: Some(NAME_AND_PORT),
        examples: &["127.0.0.1:3000", "app.internal:8080", "unix:/run/app.sock"],
    },
    parse: server,
    print: |server| Yaml::text(&server.written),
};

/// `name:port`, each of whose addresses is a server.
pub const ADDRESS_RECORDS: Scalar<WrittenServer> = Scalar {
    what: "a name and a port such as `app.internal:8080`",
    syntax: Syntax {
        kind: "name and port",
        numbers: false,
        pattern: Some(concat!("^", pattern!(not_numbers), pattern!(name), "[.]?:", pattern!(some_port), "$")),
        examples: &["app.internal:8080"],
    },
    parse: each,
    ..SERVER
};

/// A name that has SRV records.
pub const SERVICE_RECORDS: Scalar<WrittenServer> = Scalar {
    what: "a name such as `_http._tcp.app.internal`",
    syntax: Syntax {
        kind: "name",
        numbers: true,
        pattern: Some(r"^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*[.]?$"),
        examples: &["_http._tcp.app.internal"],
    },
    parse: services,
    ..SERVER
};

/// Who is asked for names.
pub const NAMESERVER: Scalar<SocketAddr> = Scalar {
    what: "an address such as `10.0.0.53`",
    syntax: Syntax {
        kind: "address",
        numbers: false,
        pattern: Some(concat!(
            "^(",
            pattern!(ipv4),
            "(:",
            pattern!(port),
            ")?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+|",
            pattern!(ipv6),
            ":",
            pattern!(port),
            ")$"
        )),
        examples: &["10.0.0.53", "127.0.0.1:5353"],
    },
    parse: nameserver,
    print: |address| Yaml::text(address),
};

fn nameserver(text: &str) -> Parsed<SocketAddr> {
    if text.contains('%') {
        return Err(Invalid::new("a nameserver's address has no zone: link-local ones are not asked"));
    }
    let wrong = || Invalid::with_help(format!("`{text}` is not a nameserver"), "`IP` or `IP:port`");
    text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| (ip, 53).into())).map_err(|_| wrong())
}

/// What a route may name instead of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectUpstream {
    /// The server's address, with its port.
    pub address: String,
    /// The server as it was written, without scheme.
    pub written: String,
    pub tls: bool,
}

/// `IP:port`, `name:port` or `unix:/path`.
fn server(text: &str) -> Parsed<WrittenServer> {
    if let Some(unix) = unix(text) {
        let place = ServerPlace::At(unix?);
        return Ok(WrittenServer { place, written: text.to_owned(), name: None });
    }
    if let Some(address) = socket_address(text) {
        let address = address?;
        nonzero(address.port())?;
        let place = ServerPlace::At(Address::Tcp(address));
        return Ok(WrittenServer { place, written: text.to_owned(), name: None });
    }
    let (name, port) = name_and_port(text)?;
    Ok(named(text, name, Lookup::One { port }))
}

/// `name:port`, each of whose addresses is a server.
fn each(text: &str) -> Parsed<WrittenServer> {
    if socket_address(text).is_some() || unix(text).is_some() {
        return Err(Invalid::with_help(format!("`{text}` is no name to look up"), "write it with `address`"));
    }
    let (name, port) = name_and_port(text)?;
    Ok(named(text, name, Lookup::Each { port }))
}

/// A name that has SRV records.
fn services(text: &str) -> Parsed<WrittenServer> {
    if let Some((name, _)) = text.rsplit_once(':') {
        return Err(Invalid::with_help("SRV records say the port themselves", format!("write `{name}`")));
    }
    let name = rooted_name(text)?;
    Ok(WrittenServer { name: None, ..named(text, name, Lookup::Services) })
}

/// A final dot keeps search domains out of it.
fn rooted_name(text: &str) -> Parsed<String> {
    match text.strip_suffix('.') {
        Some(bare) => dns_name(bare).map(|name| name + "."),
        None => dns_name(text),
    }
}

fn named(text: &str, name: String, kind: Lookup) -> WrittenServer {
    // How often: unless the server says otherwise.
    let refresh = Duration::from_secs(10);
    let bare = name.trim_end_matches('.').to_owned();
    let place = ServerPlace::Named(Named { name, kind, refresh });
    WrittenServer { place, written: text.to_owned(), name: Some(bare) }
}

fn name_and_port(text: &str) -> Parsed<(String, u16)> {
    let wrong = |help: &str| Invalid::with_help(format!("`{text}` is not a server's address"), help);
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(wrong(&instead_of_url(scheme, rest)));
    }
    if let Some((address, parameter)) = text.split_once(char::is_whitespace) {
        if parameter == "down" {
            let help = "leave it out, or take it out of a running proxy with `pingora-proxy upstreams disable`";
            return Err(wrong(help));
        }
        let key = match parameter.split_once('=') {
            Some(("weight", weight)) if number(weight).is_ok() => format!("weight: {weight}"),
            _ if parameter.contains("backup") => "backup: true".to_owned(),
            _ => "weight: 1".to_owned(),
        };
        return Err(wrong(&format!("write `{{ address: \"{address}\", {key} }}`")));
    }
    if number(text.strip_prefix(':').unwrap_or(text)).is_ok() {
        let port = text.trim_start_matches(':');
        return Err(wrong(&format!("write `\"127.0.0.1:{port}\"` for a port of this machine")));
    }
    let Some((name, port)) = text.rsplit_once(':') else {
        let example = if rooted_name(text).is_ok() { text } else { "127.0.0.1" };
        return Err(wrong(&format!("a port is missing, as in `\"{example}:3000\"`")));
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

fn instead_of_url(scheme: &str, rest: &str) -> String {
    let is_tls = scheme.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| number(port).is_ok());
    let port = if is_tls { ":443" } else { ":80" };
    let port = if has_port { "" } else { port };
    let tls = if is_tls { ", and `tls: true` beside `servers`" } else { "" };
    format!("write `\"{authority}{port}\"`{tls}")
}

/// Also `http://host:port` and `https://host:port`, with or without the port.
pub fn direct_upstream(text: &str) -> Parsed<DirectUpstream> {
    let url = text.split_once("://").filter(|_| !text.starts_with("unix:"));
    let Some((scheme, rest)) = url else {
        let written = server(text)?.written;
        return Ok(DirectUpstream { address: written.clone(), written, tls: false });
    };
    // Schemes know no case (RFC 3986 section 3.1).
    let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err(Invalid::with_help(format!("unknown scheme `{scheme}`"), "`http` or `https`")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        let at = authority.find(['/', '?', '#']).unwrap_or(authority.len());
        let host = authority.get(..at).unwrap_or("");
        return Err(Invalid::with_help(
            "an upstream's address has no path",
            format!("write `{scheme}://{host}`, and `request: {{ path: {{ add_prefix: … }} }}` for the path"),
        ));
    }
    if authority.contains('@') {
        return Err(Invalid::new("an upstream's address has no user and password"));
    }
    let bare = authority.rsplit_once(':').is_none() || authority.ends_with(']');
    let with_port = if bare { format!("{authority}:{port}") } else { authority.to_owned() };
    // In a URL the `%` before a zone is escaped (RFC 6874).
    let with_port = with_port.replacen("%25", "%", 1);
    if server(&with_port)?.name.is_none() && tls {
        return Err(Invalid::with_help(
            "TLS to an IP address needs a name to verify",
            "write the server's name, or define an upstream with `tls: { sni: … }`",
        ));
    }
    Ok(DirectUpstream { address: with_port, written: authority.to_owned(), tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str, kind: Lookup) -> ServerPlace {
        ServerPlace::Named(Named { name: name.to_owned(), kind, refresh: Duration::from_secs(10) })
    }

    #[test]
    fn servers() {
        assert_eq!(server("[::1]:80").unwrap().name, None);
        assert_eq!(server("[fe80::1%lo]:80").unwrap().written, "[fe80::1%lo]:80");
        assert!(server("[fe80::1]:80").is_err() && nameserver("[fe80::1%1]:53").is_err());
        let local = server("LOCALHOST:3000").unwrap();
        assert_eq!(local.name.as_deref(), Some("localhost"));
        assert_eq!(local.place, lookup("localhost", Lookup::One { port: 3000 }));
        assert_eq!(each("App.internal:80").unwrap().place, lookup("app.internal", Lookup::Each { port: 80 }));
        let rooted = server("App.internal.:80").unwrap();
        assert_eq!(rooted.place, lookup("app.internal.", Lookup::One { port: 80 }));
        assert_eq!(rooted.name.as_deref(), Some("app.internal"));
        assert_eq!(services("_http._tcp.a").unwrap().place, lookup("_http._tcp.a", Lookup::Services));
        assert!(each("127.0.0.1:80").is_err() && services("a.b:80").is_err() && services("").is_err());
        let help = |text: &str| server(text).unwrap_err().help.unwrap();
        for port in [":3000", "3000"] {
            assert_eq!(help(port), "write `\"127.0.0.1:3000\"` for a port of this machine");
        }
        assert_eq!(help("app.internal"), "a port is missing, as in `\"app.internal:3000\"`");
        assert_eq!(help("ä"), "a port is missing, as in `\"127.0.0.1:3000\"`");
        assert_eq!(help("a:1 weight=3"), "write `{ address: \"a:1\", weight: 3 }`");
        assert_eq!(help("a:1 backup"), "write `{ address: \"a:1\", backup: true }`");
        assert_eq!(help("http://a:1/"), "write `\"a:1\"`");
        assert_eq!(help("https://a"), "write `\"a:443\"`, and `tls: true` beside `servers`");
        for bad in
            ["127.0.0.1", "127.0.0.1:0", "localhost:0", "::1:80", "1.2.3:80", "256.0.0.1:80", ":80", "http://a:1"]
        {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn direct_upstreams() {
        assert_eq!(
            direct_upstream("http://localhost").unwrap().address,
            direct_upstream("localhost:80").unwrap().address
        );
        let tls = direct_upstream("https://localhost/").unwrap();
        assert!(tls.tls);
        assert_eq!((tls.address.as_str(), tls.written.as_str()), ("localhost:443", "localhost"));
        assert!(direct_upstream("http://[::1]").is_ok());
        for zoned in ["http://[fe80::1%25lo]", "http://[fe80::1%lo]:80", "[fe80::1%lo]:80"] {
            assert_eq!(direct_upstream(zoned).unwrap().address, "[fe80::1%lo]:80");
        }
        assert!(direct_upstream("HTTP://127.0.0.1:1").is_ok_and(|d| !d.tls));
        assert!(direct_upstream("HTTPs://localhost").is_ok_and(|d| d.tls));
        assert_eq!(direct_upstream("unix:///run/x").unwrap_err().help.as_deref(), Some("write `unix:/run/x`"));
        for bad in ["https://127.0.0.1", "http://127.0.0.1:1/x", "ftp://localhost", "http://a@localhost", "http://"] {
            assert!(direct_upstream(bad).is_err(), "{bad}");
        }
    }
}
