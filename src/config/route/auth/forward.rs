//! `auth.forward`: a service that is asked whether a request may pass.

use std::time::Duration;

use http::HeaderName;

use super::service_url::ServiceUrl;
use crate::config::section::{Fields, Reader, list, section};
use crate::config::value::EDITED_NAME;

section! {
    /// A service that is asked about each request, as `auth_request` of nginx and `forwardAuth` of Traefik do. 2xx lets it pass; any other answer is the client's.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`forward`" pub struct ForwardAuth {
        /// Where it is asked, by GET and without the body. Its host may be the name of an upstream.
        url: ServiceUrl, required "http://127.0.0.1:9091/verify";
        /// Fields of the request that it is told beside `Cookie`, `Authorization`, and what the proxy says itself: `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`, `X-Original-Method` and `X-Original-URL`.
        request_headers: Vec<HeaderName> = [], with list("names of fields", EDITED_NAME);
        /// Fields of its answer that the upstream is told. What a client says in them is taken out.
        response_headers: Vec<HeaderName> = [], with list("names of fields", EDITED_NAME);
        /// How long it may take for the whole answer; then 504.
        timeout: Duration = "5s";
    }
    check ForwardAuth::check;
}

impl ForwardAuth {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = |key: &str| fields.get(key).map_or(fields.span, |node| node.span);
        let is_ours = |name: &HeaderName| {
            let name = name.as_str();
            name.starts_with("x-forwarded-") || matches!(name, "host" | "x-original-method" | "x-original-url")
        };
        for name in self.request_headers.iter().filter(|name| is_ours(name)) {
            let message = format!("`{name}` is the proxy's to say, not the client's");
            reader.error_help(span("request_headers"), message, "it is sent without being named here");
        }
        for name in self.response_headers.iter().filter(|name| matches!(name.as_str(), "host" | "set-cookie")) {
            let help = if name == "host" { "see `request.host`" } else { "the client gets those of the answer anyway" };
            reader.error_help(span("response_headers"), format!("`{name}` is not for the upstream"), help);
        }
    }
}
