//! `limits`: bounds of what a client may send.

use super::section::{Fields, Form, Reader, number, section};
use super::value::{SIZE, sizes};
use super::yaml::Yaml;

section! {
    /// Limits for what a client may send.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`limits`" pub struct HeadLimits {
        /// Method, target and version, 256B to 64KiB; a longer line is answered with 414.
        request_line: usize = "8KiB", with sizes(256..=64 << 10);
        /// The whole head, 1KiB to 1MiB; a larger one is answered with 431.
        request_headers: usize = "32KiB", with sizes(1 << 10..=1 << 20);
        /// Fields in the head; more are answered with 431.
        request_header_count: usize = 100, with number(1..=256_usize);
        /// Requests that a connection of HTTP/2 may have under way at once.
        h2_streams: u32 = 100, with number(1..=1000_u32);
    }
    later { request_body, response_headers, connections, connections_per_ip }
    check HeadLimits::compare;
}

impl HeadLimits {
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
