//! Who may ask the admin endpoint for what. TCP does not say which user calls, and a page in a
//! browser can call from anywhere: there the endpoint tells, and only what asks for this
//! machine by its own name. On a unix socket the file's mode and its folder decide.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};

use crate::config::Address;
use crate::message::host;

/// How the endpoint is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every user of the machine can connect, and every page in their browsers.
    Tcp,
    /// Who may write to the socket's file can connect.
    Unix,
}

impl From<&Address> for Reach {
    fn from(address: &Address) -> Self {
        match address {
            Address::Tcp(_) => Self::Tcp,
            Address::Unix(_) => Self::Unix,
        }
    }
}

impl Reach {
    /// # Errors
    /// When whoever connects may change nothing, and what may.
    pub fn may_change(self) -> Result<(), String> {
        match self {
            Self::Unix => Ok(()),
            Self::Tcp => {
                Err("over TCP the admin endpoint only tells, because every user of this machine can connect: \
                 change servers with `pingora-proxy upstreams`, or give `admin.address` a unix socket"
                    .to_owned())
            }
        }
    }

    /// Refuses what a page in a browser can send, whatever name its site has made stand for
    /// this machine (DNS rebinding).
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn check(self, target: &Uri, fields: &HeaderMap) -> Result<(), String> {
        if let Some(origin) = fields.get(header::ORIGIN) {
            return Err(format!("a page of `{}` may not ask that", String::from_utf8_lossy(origin.as_bytes())));
        }
        match self {
            Self::Unix => Ok(()),
            Self::Tcp => {
                let named = fields.get_all(header::HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()));
                let mut named = named.chain(target.authority().map(|authority| authority.as_str().into()));
                // No browser leaves Host out, which HTTP/1.0 does.
                named.find(|host| !is_this_machine(host)).map_or(Ok(()), |host| Err(stranger(&host)))
            }
        }
    }
}

fn stranger(host: &str) -> String {
    format!("`{host}` is not this machine: ask with a loopback address or `localhost` as Host")
}

/// Whether `host[:port]` can only be this machine. The port is not looked at: it may be
/// forwarded.
fn is_this_machine(host: &str) -> bool {
    let name = host::normalize(host::split(host).map_or("", |(name, _)| name));
    let address = name.trim_start_matches('[').trim_end_matches(']');
    &*name == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(reach: Reach, target: &'static str, fields: &[(&'static str, &'static str)]) -> Result<(), String> {
        let pairs =
            fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        reach.check(&Uri::from_static(target), &HeaderMap::from_iter(pairs))
    }

    #[test]
    fn only_names_of_this_machine_are_answered_over_tcp() {
        for ours in ["localhost", "LocalHost:9180", "localhost.", "127.0.0.1", "127.8.0.1:1", "[::1]:9180"] {
            assert_eq!(asked(Reach::Tcp, "/ready", &[("host", ours)]), Ok(()), "{ours}");
        }
        for theirs in
            ["evil.test", "evil.test:9180", "", "192.0.2.1", "[2001:db8::1]", "localhost.evil.test", "a@localhost"]
        {
            let reason = asked(Reach::Tcp, "/ready", &[("host", theirs)]).unwrap_err();
            assert!(reason.starts_with(&format!("`{theirs}` is not this machine")), "{reason}");
            assert_eq!(asked(Reach::Unix, "/ready", &[("host", theirs)]), Ok(()));
        }
        assert!(asked(Reach::Tcp, "http://evil.test/ready", &[("host", "localhost")]).is_err());
        assert!(asked(Reach::Tcp, "/ready", &[("host", "localhost"), ("host", "evil.test")]).is_err());
        assert_eq!(asked(Reach::Tcp, "/ready", &[]), Ok(()));
    }

    #[test]
    fn no_page_is_answered() {
        for reach in [Reach::Tcp, Reach::Unix] {
            for origin in ["http://evil.test", "null", "http://localhost:3000"] {
                let refused = asked(reach, "/upstreams", &[("host", "localhost"), ("origin", origin)]);
                assert_eq!(refused, Err(format!("a page of `{origin}` may not ask that")));
            }
        }
    }
}
