//! `admin`: where the process answers an operator, and who must show a token there.

use std::path::{Path, PathBuf};

use super::section::{Fields, Form, Reader, Value, Word, WordsOr, optional, section};
use super::value::{Address, FileToRead, OwnAddress};
use super::yaml::{Invalid, Location, Parsed, Span};

section! {
    /// Health, readiness, figures, requests and the state of servers, for probes and operators.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`admin`" pub struct Admin {
        /// `IP:port`, or `unix:/path`. It answers probes, people and the dashboard; on a unix socket, made with mode 0600, it changes servers too. An address that is not loopback needs `token_file`.
        address: AdminAddress = "auto";
        /// A file with a token of at least 16 characters, which callers show as `Authorization: Bearer`; it may change servers over TCP too. /health, /ready and the dashboard's files need none. The file is read again when it changes.
        token as "token_file": Option<AdminToken>, with optional(TOKEN);
    }
    derived { address_span: Location }
    check Admin::check;
}

impl Admin {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = fields.get("address").map_or(Span::default(), |node| node.span);
        self.address_span.0 = span;
        if let AdminAddress::At(Address::Tcp(tcp)) = &self.address
            && !tcp.ip().is_loopback()
            && fields.get("token_file").is_none()
        {
            reader.error_help(
                span,
                "the admin endpoint asks for no password: it listens on loopback or a unix socket",
                format!("write `127.0.0.1:{}` or `unix:/path`, or name a token in `admin.token_file`", tcp.port()),
            );
        }
    }
}

/// A file that held a token when it was read.
#[derive(Clone)]
pub struct AdminToken {
    pub path: PathBuf,
    text: String,
}

/// What is in the file is looked at again while the process runs: it is no other configuration.
impl PartialEq for AdminToken {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for AdminToken {}

/// Without the token.
impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminToken").field("path", &self.path).finish_non_exhaustive()
    }
}

const TOKEN: FileToRead<AdminToken> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: AdminToken::parse,
    path: |token| &token.path,
};

impl AdminToken {
    /// Reads the file again.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub fn load(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Self::parse(path.to_owned(), bytes)
            .map_err(|why| format!("{}: {}", path.display(), why.message.unwrap_or_default()))
    }

    fn parse(path: PathBuf, bytes: Vec<u8>) -> Parsed<Self> {
        const LEAST: usize = 16;
        let text = String::from_utf8(bytes.trim_ascii().to_vec()).unwrap_or_default();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new("a token is one word of visible ASCII"));
        }
        if text.len() < LEAST {
            let message = format!("a token has at least {LEAST} characters; this file has {}", text.len());
            return Err(Invalid::with_help(message, "make one with `openssl rand -hex 24`"));
        }
        Ok(Self { path, text })
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// 127.0.0.1:9180, if nothing else has it.
    Auto,
    Off,
    /// A loopback address, a unix socket, or any address where callers show a token.
    At(Address),
}

impl Value for AdminAddress {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Auto, Word { word: "auto", doc: "127.0.0.1:9180, unless something else has it." }),
                (Self::Off, Word { word: "off", doc: "No admin endpoint." }),
            ],
            form: OwnAddress,
            wrap: Self::At,
            unwrap: |address| match address {
                Self::At(address) => Some(address.clone()),
                Self::Auto | Self::Off => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_long_word() {
        let read = |text: &str| AdminToken::parse(PathBuf::from("/token"), text.as_bytes().to_vec());
        assert_eq!(read(" 0123456789abcdef\n").unwrap().text(), "0123456789abcdef");
        for (text, why) in [
            ("", "at least 16 characters; this file has 0"),
            ("0123456789abcde\n", "at least 16 characters; this file has 15"),
            ("0123456789 abcdefgh", "one word"),
            ("0123456789abcdef\n0123456789abcdef", "one word"),
            ("0123456789abcdef\u{e9}", "one word"),
        ] {
            let message = read(text).unwrap_err().message.unwrap();
            assert!(message.contains(why), "{text}: {message}");
        }
        let debugged = format!("{:?}", read("0123456789abcdef").unwrap());
        assert!(debugged.contains("/token") && !debugged.contains("0123"), "{debugged}");
    }
}
