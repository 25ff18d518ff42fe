//! `headers`: which header fields of a client are taken.

use super::section::{section, words};

section! {
    /// Which header fields of a client are accepted.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`headers`" pub struct Headers {
        /// What happens to a field with an underscore in its name, such as `X_User`. CGI, WSGI, Rack and PHP make the same variable of `X_User` and `X-User`, so that a client could send what a route sets or removes.
        underscores: Underscores = "drop";
        /// Who is told the id of a request in `X-Request-Id`. A proxy of `trusted_proxies` may give the id; what anyone else says there is replaced.
        request_id: RequestIdField = "both";
    }
}

words! {
    /// Who is told the id of a request.
    pub enum RequestIdField {
        /// The upstream and the client.
        Both = "both",
        /// The upstream.
        Upstream = "upstream",
        /// The client.
        Client = "client",
        /// Nobody: the field passes as any other, in both directions. The proxy's own errors have the id all the same.
        Off = "off",
    }
}

words! {
    /// What happens to a field with an underscore in its name.
    pub enum Underscores {
        /// It is dropped, as nginx does; the log says so once as a warning, and for each request at level `debug`.
        Drop = "drop",
        /// It goes to the upstream, unless it pretends to be a field of the proxy's own: `X_Forwarded_For` is dropped all the same.
        Keep = "keep",
        /// The request is answered with 400.
        Reject = "reject",
    }
}
