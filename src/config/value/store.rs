//! Where the counters of a limit are that several proxies share: `redis://[user[:password]@]host[:port][/db]`,
//! `rediss://` for the same over TLS, or `unix:/path`.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::address::{Address, unix};
use super::host::dns_name;
use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAddress {
    pub place: StorePlace,
    pub user: Option<String>,
    pub password: Option<Password>,
    pub database: u32,
}

impl StoreAddress {
    /// In the place of one with errors.
    pub fn unknown() -> Self {
        Self { place: StorePlace::Unix(PathBuf::new()), user: None, password: None, database: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// A text that is neither printed nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

/// What stands for a password where the configuration is printed.
const HIDDEN: &str = "***";

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl std::fmt::Display for StorePlace {
    /// Without user and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                // The brackets of an IPv6 address are not part of it.
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}")
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub const STORE: Scalar<StoreAddress> = Scalar {
    what: "a store such as `redis://127.0.0.1:6379`",
    syntax: Syntax {
        kind: "store",
        numbers: false,
        pattern: Some(
            r"^(rediss?://([^@/\s]*@)?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[0-9]*)?|unix:/[^/].*)$",
        ),
        examples: &["redis://127.0.0.1:6379", "rediss://user@store.internal:6380/1", "unix:/run/redis/redis.sock"],
    },
    parse,
    print: |store| Yaml::text(print(store)),
};

const DEFAULT_PORT: u16 = 6379;

fn print(store: &StoreAddress) -> String {
    let place = store.place.to_string();
    let Some((scheme, rest)) = place.split_once("://") else { return place };
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let user = store.user.as_deref().map(encode).unwrap_or_default();
    let password = if store.password.is_some() { format!(":{HIDDEN}") } else { String::new() };
    let at = if user.is_empty() && password.is_empty() { "" } else { "@" };
    let database = if store.database == 0 { String::new() } else { format!("/{}", store.database) };
    format!("{scheme}://{user}{password}{at}{rest}{database}")
}

/// No message holds the text: there may be a password in it.
fn parse(text: &str) -> Parsed<StoreAddress> {
    if let Some(address) = unix(text) {
        let Address::Unix(path) = address? else { return Err(Invalid::unexpected(None)) };
        return Ok(StoreAddress { place: StorePlace::Unix(path), user: None, password: None, database: 0 });
    }
    let (tls, rest) = match text.split_once("://") {
        Some(("redis" | "valkey", rest)) => (false, rest),
        Some(("rediss" | "valkeys", rest)) => (true, rest),
        Some(_) | None => {
            return Err(Invalid::new("a store is `redis://host:6379`, `rediss://host:6379` or `unix:/path`"));
        }
    };
    let (credentials, rest) = rest.rsplit_once('@').map_or((None, rest), |(before, rest)| (Some(before), rest));
    let (user, password) = credentials.map_or(Ok((None, None)), credentials_of)?;
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match database {
        "" => 0,
        number => {
            number.parse().map_err(|_| Invalid::new("behind the last `/` of a store is the number of a database"))?
        }
    };
    let (host, port) = host_and_port(place)?;
    Ok(StoreAddress { place: StorePlace::Tcp { host, port, tls }, user, password, database })
}

type Credentials = (Option<String>, Option<Password>);

fn credentials_of(text: &str) -> Parsed<Credentials> {
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded
            .map(String::from)
            .map_err(|_| Invalid::new("the user and the password of a store are percent-encoded UTF-8"))
    };
    let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
    if password == Some(HIDDEN) {
        let message = format!("`{HIDDEN}` stands where the store's password was not printed");
        return Err(Invalid::with_help(message, "write the password, or name its file: `store_password_file`"));
    }
    let user = Some(user).filter(|user| !user.is_empty()).map(decoded).transpose()?;
    let password = password.filter(|password| !password.is_empty()).map(decoded).transpose()?.map(Password);
    if user.is_none() && password.is_none() {
        return Err(Invalid::new("there is nobody in front of the `@` of this store"));
    }
    Ok((user, password))
}

fn host_and_port(text: &str) -> Parsed<(String, u16)> {
    let wrong = || Invalid::with_help("this store has no host", "write it as `redis://store.internal:6379`");
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']').ok_or_else(wrong)) {
        Some(split) => {
            let (ip, port) = split?;
            (ip.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?.to_string(), port)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at(end);
            let is_address = host.parse::<std::net::Ipv4Addr>().is_ok();
            (if is_address { host.to_owned() } else { dns_name(host).map_err(|_| wrong())? }, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| Invalid::new("a store's port is 1 to 65535"))?
        }
        Some(_) | None => return Err(wrong()),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_printed_as_they_are_read() {
        for text in [
            "redis://127.0.0.1:6379",
            "rediss://store.internal:1",
            "redis://ann@a:6379/2",
            "redis://[::1]:6379",
            "unix:/run/r.sock",
        ] {
            assert_eq!(print(&parse(text).unwrap()), text);
        }
        assert_eq!(print(&parse("valkey://a").unwrap()), "redis://a:6379");
        for bad in [
            "",
            "local:",
            "http://a",
            "redis://",
            "redis://:1",
            "redis://a:0",
            "redis://a/x",
            "redis://@a",
            "a:6379",
            "redis://a b",
            "redis://a:+1",
            "redis://[::1",
            "redis://[x]:1",
            "unix:r.sock",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let store = parse("redis://ann:s%40cret@a/1").unwrap();
        assert_eq!(store.password, Some(Password("s@cret".to_owned())));
        assert_eq!(print(&store), "redis://ann:***@a:6379/1");
        assert!(!format!("{store:?}").contains("cret"));
        assert!(parse(&print(&store)).unwrap_err().message.unwrap().contains("was not printed"));
        let message = |text| parse(text).unwrap_err().message.unwrap();
        assert!(!message("redis://:s3cret@").contains("s3cret") && !message("redi://:s3cret@a").contains("s3cret"));
    }
}
