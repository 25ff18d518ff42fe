//! The small languages inside values: text in, typed value out, and back.

/// Pieces of the patterns that the JSON Schema has, as literals for `concat!`.
macro_rules! pattern {
    (ipv4) => {
        r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])([.](25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}"
    };
    (port) => {
        "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}|0)"
    };
    (some_port) => {
        "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
    };
    (ipv6) => {
        r"\[[0-9A-Fa-f:.]+\]"
    };
    // A link-local address has a zone, and no other has (RFC 4007).
    (zoned_ipv6) => {
        concat!(
            r"\[((?![Ff][Ee][89AaBb][0-9A-Fa-f]:)[0-9A-Fa-f:.]+|",
            r"[Ff][Ee][89AaBb][0-9A-Fa-f]:[0-9A-Fa-f:.]+%(?!0*\])[^\]]+)\]"
        )
    };
    (name) => {
        "[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*"
    };
    // Four numbers are an IPv4 address or a mistake, never a name.
    (not_numbers) => {
        "(?![0-9.]+(:|$))"
    };
    (unix) => {
        "unix:/[^/].*"
    };
}
mod address;
mod cookie;
mod duration;
mod file;
mod file_version;
mod header;
mod host;
mod key_source;
mod limit_key;
mod listening;
mod network;
mod origin;
mod path;
mod percent;
pub mod placeholders;
mod query;
mod rate;
mod request_rate;
mod server_address;
mod size;
mod status;
mod store;
mod syslog;
mod template;
mod watched_file;
mod zone;

pub use address::{Address, Lookup, Named, ServerPlace};
pub use cookie::{COOKIE_DOMAIN, COOKIE_DOMAIN_OR_NONE, COOKIE_NAME, COOKIE_PATH, COOKIE_VALUE, MATCHED_COOKIE};
pub use duration::{DURATION, DURATION_OR_ZERO, at_least};
pub use file::{FileToMake, FileToRead, NamedFile, read_file};
pub use file_version::FileVersion;
pub use header::{
    EDITED_HEADER, EDITED_IN_REQUESTS, EDITED_NAME, FieldName, HEADER_NAME, HEADER_VALUE, MATCHED_HEADER_VALUE, METHOD,
};
pub use host::{HOST_PATTERN, HostPattern, dns_name};
pub use key_source::KeySource;
pub use limit_key::LimitKey;
pub use listening::{ListenAddress, OwnAddress};
pub use network::Networks;
pub use origin::{OriginForm, OriginPattern};
pub use path::{
    PATH, PATH_PREFIX, PATH_TO_MATCH, PREFIX_TO_MATCH, REGEX, as_regex as path_as_regex, check_replacement,
};
pub use percent::{PERCENT, SHARE, Share};
pub use query::{MATCHED_PARAMETER, QUERY_TEXT};
pub use rate::RATE;
pub use request_rate::RequestRate;
pub use server_address::{
    ADDRESS_RECORDS, DirectUpstream, NAMESERVER, SERVER, SERVICE_RECORDS, WrittenServer, direct_upstream,
};
pub use size::{SIZE, sizes};
pub use status::{ERROR_STATUSES, STATUS_RANGE, StatusSet, status_in, statuses};
pub use store::{Password, STORE, StoreAddress, StorePlace};
pub use syslog::SYSLOG;
pub use template::{Template, TemplatePart};

use super::section::{Scalar, Syntax};
use super::yaml::{Invalid, Parsed, Yaml};

/// A text of any kind.
pub const ANY_TEXT: Scalar<String> = plain("a text");

/// A name that messages call `what`.
pub const fn plain(what: &'static str) -> Scalar<String> {
    Scalar {
        what,
        syntax: Syntax { kind: "text", numbers: true, pattern: None, examples: &[] },
        parse: |text| Ok(text.to_owned()),
        print: |text| Yaml::text(text),
    }
}

/// A name for logs and other keys, which is kept plain.
pub const NAME: Scalar<String> = Scalar {
    what: "a name",
    syntax: Syntax { kind: "name", numbers: true, pattern: Some("^[A-Za-z0-9._-]{1,64}$"), examples: &["api"] },
    parse: name,
    print: |name| Yaml::text(name),
};

fn name(text: &str) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err(Invalid::new("a name has 1 to 64 letters, digits, `-`, `_` and `.`"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
pub use watched_file::{FileContent, WatchedFile};
