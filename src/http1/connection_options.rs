//! What `Connection` says of the end of a connection.

/// The options of all `Connection` fields of a head.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
}

impl ConnectionOptions {
    /// Takes the options of one field.
    pub fn take(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Whether the connection goes on after the exchange (RFC 9112 section 9.3). `persists`: it does
    /// where nothing is said, as in HTTP/1.1.
    pub fn keeps_alive(self, persists: bool) -> bool {
        !self.close && (persists || self.keep_alive)
    }
}
