//! `sticky`: a cookie that keeps a client at its server.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::section::{Fields, Reader, Scalar, Syntax, Value, or_null, or_word, section};
use crate::config::value::{COOKIE_NAME, DURATION, FileToRead};
use crate::config::yaml::Invalid;
use crate::message::cookie::NamePrefix;

section! {
    /// A cookie that keeps a client at its server.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`sticky`" pub struct Sticky {
        /// The cookie's name.
        cookie: String, required "lb", with COOKIE_NAME;
        /// How long a client keeps it; at least 1s.
        max_age: Duration = "1h", with WHOLE_SECONDS;
        /// Whether the cookie is sent back over HTTPS only.
        secure: Option<bool> = "auto", with or_word("auto", "For clients that came over HTTPS.", bool::form());
        /// A file with at least 16 bytes, which signs the cookie. Give several proxies the same one. By default a key in the process's own folder.
        secret as "secret_file": Option<Secret> = null, with or_null(SECRET);
    }
    check Sticky::check;
}

impl Sticky {
    /// The cookie's path is `/`, it has no domain and it is HttpOnly: only Secure may be missing.
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if NamePrefix::of(self.cookie.as_bytes()).needs_secure && self.secure != Some(true) {
            let span = fields.get("cookie").map_or(fields.span, |node| node.span);
            let message = format!("browsers refuse a cookie named `{}` without Secure", self.cookie);
            reader.error_help(span, message, "add `secure: true`, for clients on HTTPS only, or take another name");
        }
    }
}

/// Max-Age has no fractions (RFC 6265 section 4.1.1).
const WHOLE_SECONDS: Scalar<Duration> = Scalar {
    syntax: Syntax { pattern: Some("^0*[1-9][0-9]*(000ms|s|m|h)$"), examples: &["10s", "5m", "1h"], ..DURATION.syntax },
    parse: |text| {
        let duration = (DURATION.parse)(text)?;
        if duration.subsec_millis() > 0 {
            return Err(Invalid::new("a cookie's age is in whole seconds"));
        }
        Ok(duration)
    },
    ..DURATION
};

/// A file that held at least 16 bytes when the configuration was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("path", &self.path).finish_non_exhaustive()
    }
}

const SECRET: FileToRead<Secret> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: |path, bytes| {
        const LEAST: usize = 16;
        let bytes = bytes.trim_ascii().to_vec();
        if bytes.len() < LEAST {
            let message = format!("a secret has at least {LEAST} bytes; this file has {}", bytes.len());
            return Err(Invalid::new(message));
        }
        Ok(Secret { path, bytes })
    },
    path: |secret| &secret.path,
};
