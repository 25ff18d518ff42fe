//! What a proxy speaks with the servers behind it, and how each proxy's configuration says so.

use std::net::SocketAddr;

use crate::kind::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// HTTP/1.1 over connections that are kept.
    Http1,
    /// gRPC, which is HTTP/2 in the clear.
    Grpc,
}

impl Behind {
    /// The text at `{servers}` of a template.
    pub fn servers(self, kind: &Kind, servers: &[SocketAddr]) -> String {
        let each = |form: &dyn Fn(&SocketAddr) -> String, between: &str| {
            servers.iter().map(form).collect::<Vec<_>>().join(between)
        };
        let protocol = match self {
            Self::Http1 => "",
            Self::Grpc => " proto h2",
        };
        match kind {
            Kind::Ours(_) => each(&|server| format!("'{server}'"), ", "),
            Kind::Nginx => each(&|server| format!("    server {server};"), "\n"),
            Kind::Haproxy => each(&|server| format!("  server s{} {server}{protocol}", server.port()), "\n"),
            Kind::Caddy => each(&ToString::to_string, " "),
            Kind::Pingap(_) => each(&|server| format!("\"{server}\""), ", "),
            Kind::Floor => String::new(),
        }
    }

    /// The text at `{upstream}` of a template.
    pub fn upstream(self, kind: &Kind) -> &'static str {
        match (kind, self) {
            (Kind::Ours(_), Self::Grpc) => "protocol: h2c",
            (Kind::Nginx, Self::Http1) => {
                "proxy_pass http://origin;\n      proxy_http_version 1.1;\n      \
                 proxy_set_header Upgrade $http_upgrade;\n      \
                 proxy_set_header Connection $upgrade_or_nothing;"
            }
            (Kind::Nginx, Self::Grpc) => "grpc_pass grpc://origin;",
            (Kind::Caddy, Self::Grpc) => "versions h2c 2",
            (Kind::Ours(_) | Kind::Caddy, Self::Http1) | (Kind::Haproxy | Kind::Pingap(_) | Kind::Floor, _) => "",
        }
    }
}
