//! `limits`: bounds of what a client may send and an upstream answer, and of connections.

use super::section::{Fields, Form, Reader, number, optional, or_word, section};
use super::value::{SIZE, sizes};
use super::yaml::Yaml;

/// The largest bound of a body, in bytes.
const MOST_BODY: usize = 1 << 40;

section! {
    /// Limits for what a client may send and an upstream answer, and for connections.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`limits`" pub struct Limits {
        /// Method, target and version, 256B to 64KiB; a longer line is answered with 414.
        request_line: usize = "8KiB", with sizes(256..=64 << 10);
        /// The whole head, 1KiB to 1MiB; a larger one is answered with 431.
        request_headers: usize = "32KiB", with sizes(1 << 10..=1 << 20);
        /// Fields in the head; more are answered with 431.
        request_header_count: usize = 100, with number(1..=256_usize);
        /// A request's body, 1B to 1024GiB, without its framing; a larger one is answered with 413: at once where its Content-Length says so, else as soon as more than this has arrived. What goes through a WebSocket or another upgrade is not counted.
        request_body: Option<usize> = "100MiB", with or_word("unlimited", "No bound.", sizes(1..=MOST_BODY));
        /// The head of an upstream's response, and each interim one, 1KiB to 1MiB; a larger one becomes a 502.
        response_headers: usize = "64KiB", with sizes(1 << 10..=1 << 20);
        /// Clients' connections at the same time, over all listeners; further ones are answered with 503 and closed.
        connections: Option<usize> = 20000, with or_word("unlimited", "No bound but that of the system.", number(1..=10_000_000_usize));
        /// The same of one address, or of one network of IPv6 (/64), after a PROXY header where one is taken; further ones are answered with 429 and closed.
        connections_per_ip: Option<usize> = "unlimited", with or_word("unlimited", "No bound.", number(1..=10_000_000_usize));
        /// Requests that a connection of HTTP/2 may have under way at once.
        h2_streams: u32 = 100, with number(1..=1000_u32);
    }
    check Limits::compare;
}

section! {
    /// Limits of this route in the place of the `limits` of the whole file.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    "a route's `limits`" pub struct RouteLimits {
        /// A request's body, as `limits.request_body`.
        request_body: Option<Option<usize>>, with optional(or_word("unlimited", "No bound.", sizes(1..=MOST_BODY)));
        /// The head of an upstream's response, as `limits.response_headers`.
        response_headers: Option<usize>, with optional(sizes(1 << 10..=1 << 20));
    }
}

#[cfg(test)]
impl Limits {
    /// For tests.
    pub const NARROW: Self = Self {
        request_line: 64,
        request_headers: 256,
        request_header_count: 4,
        request_body: None,
        response_headers: 1 << 10,
        connections: None,
        connections_per_ip: None,
        h2_streams: 1,
    };
}

impl Limits {
    /// Those that hold for a route.
    pub fn for_route(&self, route: &RouteLimits) -> Self {
        Self {
            request_body: route.request_body.unwrap_or(self.request_body),
            response_headers: route.response_headers.unwrap_or(self.response_headers),
            ..self.clone()
        }
    }

    fn compare(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if self.request_line <= self.request_headers {
            return;
        }
        let text = |bytes: usize| match SIZE.print(&bytes) {
            Yaml::Word(text) | Yaml::Text(text) => text,
            Yaml::List(_) | Yaml::Map(_) | Yaml::Absent => String::new(),
        };
        let key = if fields.has("request_line") { "request_line" } else { "request_headers" };
        reader.warn(
            fields.key_span(key),
            format!(
                "`request_line` has no effect: `request_headers` is smaller, {} against {}",
                text(self.request_headers),
                text(self.request_line)
            ),
            Some("the request line is part of the head".to_owned()),
        );
    }
}
