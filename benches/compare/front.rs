//! How clients reach a proxy, and how each proxy's configuration says so.

use std::net::SocketAddr;
use std::path::Path;

use crate::certificates::Key;
use crate::kind::Kind;

/// What a proxy speaks with its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 in the clear, with prior knowledge.
    H2c,
    /// TLS, and what the client chooses of HTTP/1.1 and HTTP/2.
    Tls(Key),
}

impl Front {
    /// The text at `{listen}` of a template.
    pub fn listen(self, kind: &Kind, address: SocketAddr, certificates: &Path) -> String {
        match kind {
            Kind::Ours(_) => self.ours(address, certificates),
            Kind::Nginx => self.nginx(address, certificates),
            Kind::Haproxy => self.haproxy(address, certificates),
            Kind::Caddy => match self {
                Self::Http1 | Self::H2c => format!("http://{address}"),
                Self::Tls(_) => format!("https://:{}", address.port()),
            },
            Kind::Pingap(_) | Kind::Floor => String::new(),
        }
    }

    fn ours(self, address: SocketAddr, certificates: &Path) -> String {
        match self {
            Self::Http1 => format!("'{address}'"),
            Self::H2c => format!("{{ address: '{address}', http2: true }}"),
            Self::Tls(key) => {
                let files = key.files(certificates);
                let (cert, key) = (files.cert.display(), files.key.display());
                format!("{{ address: '{address}', tls: {{ certificates: [{{ cert: '{cert}', key: '{key}' }}] }} }}")
            }
        }
    }

    /// TLS 1.3 is off in 1.22 unless it is named.
    fn nginx(self, address: SocketAddr, certificates: &Path) -> String {
        match self {
            Self::Http1 => format!("listen {address} backlog=4096;"),
            Self::H2c => format!("listen {address} backlog=4096 http2;"),
            Self::Tls(key) => {
                let files = key.files(certificates);
                let (cert, key) = (files.cert.display(), files.key.display());
                format!(
                    "listen {address} backlog=4096 ssl http2;\n    ssl_protocols TLSv1.2 TLSv1.3;\n    \
                     ssl_certificate {cert};\n    ssl_certificate_key {key};"
                )
            }
        }
    }

    fn haproxy(self, address: SocketAddr, certificates: &Path) -> String {
        match self {
            Self::Http1 => format!("bind {address} backlog 4096"),
            Self::H2c => format!("bind {address} backlog 4096 proto h2"),
            Self::Tls(key) => {
                let both = key.files(certificates).both;
                format!("bind {address} backlog 4096 ssl crt {} alpn h2,http/1.1", both.display())
            }
        }
    }

    /// The text at `{tls}` of Caddy's template.
    pub fn caddy_tls(self, certificates: &Path) -> String {
        match self {
            Self::Http1 | Self::H2c => String::new(),
            Self::Tls(key) => {
                let files = key.files(certificates);
                format!("tls {} {}", files.cert.display(), files.key.display())
            }
        }
    }

    /// The text at `{protocols}` of Caddy's template.
    pub fn caddy_protocols(self) -> &'static str {
        match self {
            Self::Http1 | Self::Tls(_) => "",
            Self::H2c => "servers {\n\t\tprotocols h1 h2c\n\t}",
        }
    }
}
