//! The URL of a service that the proxy itself asks: an issuer's keys, or who may pass.

use crate::config::route::upstream_ref::UpstreamRef;
use crate::config::section::{Form, Reader, Scalar, Shape, Syntax, Value};
use crate::config::upstream::Upstream;
use crate::config::value::direct_upstream;
use crate::config::yaml::{Invalid, Location, Node, Parsed, Span, Yaml, hidden_in_urls};
use crate::message::host;

#[derive(Clone, Debug)]
pub struct ServiceUrl {
    /// As it is written.
    pub written: String,
    /// Its servers: an upstream of the file by its name, or one that the URL's host stands for.
    pub upstream: UpstreamRef,
    /// What the request says in Host.
    pub host: String,
    /// Path and query.
    pub target: String,
    is_tls: bool,
    location: Location,
}

impl PartialEq for ServiceUrl {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for ServiceUrl {}

impl ServiceUrl {
    /// The service at this URL, which stands at `span`.
    pub fn of(reader: &mut Reader<'_>, span: Span, written: &str) -> Option<Self> {
        let Parts { is_tls, authority, target } = reader.accept(span, parts(written))?;
        let upstream = if reader.upstreams.holds(&authority) {
            UpstreamRef::named(reader, span, &authority)?
        } else {
            let address = format!("{}://{authority}", if is_tls { "https" } else { "http" });
            reader.accept(span, direct_upstream(&address))?;
            let known = reader.upstreams.holds(&address).then(|| UpstreamRef::named(reader, span, &address));
            match known {
                Some(known) => known?,
                None => {
                    let index = reader.upstreams.add_address(&address, span);
                    UpstreamRef { index, name: address }
                }
            }
        };
        let (written, location) = (written.to_owned(), Location(span));
        Some(Self { written, upstream, host: authority, target, is_tls, location })
    }

    /// Another host and target, at the same servers.
    pub fn asked_for(&self, host: &str, target: String) -> Self {
        Self { host: host.to_owned(), target, ..self.clone() }
    }

    /// Whether nobody between can listen or answer: it is one of HTTPS, of this machine, or an upstream of the file.
    pub fn is_safe(&self, reader: &Reader<'_>) -> bool {
        self.is_tls || host::is_loopback(&self.host) || reader.upstreams.holds(&self.host)
    }

    /// Where it stands in the file.
    pub fn location(&self) -> Location {
        self.location
    }

    /// Refuses a URL whose scheme is not what its upstream speaks: a secret would go out in the clear.
    pub fn check_scheme(&self, reader: &mut Reader<'_>, upstreams: &[Upstream]) {
        let Some(upstream) = upstreams.get(self.upstream.index) else { return };
        if upstream.tls.is_some() != self.is_tls {
            let (has, scheme) = if self.is_tls { ("no ", "http") } else { ("", "https") };
            let message = format!("the upstream `{}` has {has}`tls`, so that its scheme is `{scheme}`", upstream.name);
            reader.error(self.location.0, message);
        }
    }
}

impl Value for ServiceUrl {
    fn form() -> impl Form<Self> {
        Url
    }
}

struct Url;

const URL: Scalar<Parts> = Scalar {
    what: "a URL such as `http://127.0.0.1:9091/verify`",
    syntax: Syntax {
        kind: "URL",
        numbers: false,
        pattern: Some(r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+([/?][^#\s]*)?$"),
        examples: &["http://127.0.0.1:9091/verify", "https://issuer.example/jwks.json"],
    },
    parse: parts,
    print: |parts| Yaml::text(&parts.authority),
};

struct Parts {
    is_tls: bool,
    authority: String,
    target: String,
}

fn parts(text: &str) -> Parsed<Parts> {
    let wrong =
        |help: &str| Invalid::with_help(format!("`{}` is not the URL of a service", hidden_in_urls(text)), help);
    let example = "as in `http://127.0.0.1:9091/verify`";
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(example))?;
    let is_tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong("its scheme is `http` or `https`")),
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(wrong("a user and a password in it are not sent"));
    }
    if host::split(authority).is_none() || authority.is_empty() {
        return Err(wrong(example));
    }
    if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(wrong("its path and query have no spaces, no `#`, and nothing outside ASCII"));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(Parts { is_tls, authority: authority.to_owned(), target: format!("{slash}{target}") })
}

impl Form<ServiceUrl> for Url {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<ServiceUrl> {
        URL.read(reader, node)?;
        ServiceUrl::of(reader, node.span, node.text()?)
    }

    fn shape(&self) -> Shape {
        URL.shape()
    }

    fn print(&self, url: &ServiceUrl) -> Yaml {
        Yaml::text(&url.written)
    }
}
