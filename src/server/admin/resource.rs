//! What can be asked for, by its path, and in which way.

use percent_encoding::percent_decode_str;

use super::dashboard::{self, File};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    Health,
    Ready,
    Metrics,
    Stats,
    Upstreams,
    Reasons,
    Requests,
    Certificates,
    Routes,
    Config,
    Explain,
    Generations,
    Audit,
    /// A file of the dashboard.
    Page(&'static File),
    Server {
        upstream: String,
        server: String,
    },
}

impl Resource {
    pub fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/stats" => Self::Stats,
            "/upstreams" => Self::Upstreams,
            "/reasons" => Self::Reasons,
            "/requests" => Self::Requests,
            "/certificates" => Self::Certificates,
            "/routes" => Self::Routes,
            "/config" => Self::Config,
            "/explain" => Self::Explain,
            "/generations" => Self::Generations,
            "/audit" => Self::Audit,
            path => match dashboard::file(path) {
                Some(file) => Self::Page(file),
                None => return Self::server(path),
            },
        })
    }

    /// A server's name may hold slashes: `unix:/run/app.sock`.
    fn server(path: &str) -> Option<Self> {
        let (upstream, server) = path.strip_prefix("/upstreams/")?.split_once("/servers/")?;
        let decoded = |text| percent_decode_str(text).decode_utf8().ok().filter(|text| !text.is_empty());
        Some(Self::Server { upstream: decoded(upstream)?.into_owned(), server: decoded(server)?.into_owned() })
    }

    pub fn allowed(&self) -> &'static str {
        if self.is_change() { "PATCH" } else { "GET, HEAD" }
    }

    pub fn is_change(&self) -> bool {
        matches!(self, Self::Server { .. })
    }

    /// Whether a caller without the token may ask for it: probes have none, and a browser sends none when
    /// it opens the page, which holds no figures.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Page(_))
    }

    /// Whether the answer grows with the configuration.
    pub fn is_large(&self) -> bool {
        match self {
            Self::Metrics | Self::Stats | Self::Upstreams | Self::Certificates | Self::Routes | Self::Config => true,
            Self::Health
            | Self::Ready
            | Self::Reasons
            | Self::Requests
            | Self::Explain
            | Self::Generations
            | Self::Audit
            | Self::Page(_)
            | Self::Server { .. } => false,
        }
    }

    /// Whether another site may lead a browser here.
    pub fn is_front_page(&self) -> bool {
        matches!(self, Self::Page(file) if file.path == "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_path() {
        let server = |upstream: &str, server: &str| {
            Some(Resource::Server { upstream: upstream.to_owned(), server: server.to_owned() })
        };
        assert_eq!(Resource::at("/upstreams/api/servers/127.0.0.1:80"), server("api", "127.0.0.1:80"));
        assert_eq!(Resource::at("/upstreams/a%20b/servers/unix:/run/a.sock"), server("a b", "unix:/run/a.sock"));
        assert_eq!(Resource::at("/upstreams/api/servers/%5B::1%5D:80"), server("api", "[::1]:80"));
        for nothing in
            ["", "//", "/upstreams/", "/upstreams/api", "/upstreams/api/servers/", "/upstreams/x/servers/%ff"]
        {
            assert_eq!(Resource::at(nothing), None, "{nothing}");
        }
        assert!(Resource::at("/").is_some_and(|page| page.is_front_page() && page.is_open()));
        assert!(Resource::at("/api.js").is_some_and(|page| !page.is_front_page() && page.is_open()));
        assert!(!Resource::Stats.is_open());
    }
}
