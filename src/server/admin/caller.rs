//! Who may ask the admin endpoint for what. TCP does not say which user calls, and a page in a
//! browser can call from anywhere: there the endpoint tells, and only what asks for this
//! machine by its own name, unless it has a token that callers must show. On a unix socket the file's
//! mode and its folder decide.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, Uri, header};

use super::answer::Answer;
use super::resource::Resource;
use super::token::Token;
use crate::config::Address;
use crate::message::host;
use crate::server::journal::Who;

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

/// What decides who may ask.
#[derive(Debug)]
pub struct Access {
    pub reach: Reach,
    pub token: Option<Token>,
}

/// Who is at the other end of a unix socket, as the kernel says.
pub type Peer = Option<(u32, i32)>;

impl Access {
    /// # Errors
    /// Why the request is refused.
    pub fn check(&self, resource: Option<&Resource>, target: &Uri, fields: &HeaderMap) -> Result<(), Answer> {
        let forbidden = |reason: String| Answer::message(StatusCode::FORBIDDEN, &reason);
        check_page(resource, fields).map_err(forbidden)?;
        match &self.token {
            // A page of another site cannot know the token, whatever it calls this machine.
            Some(token) => {
                if !resource.is_some_and(Resource::is_open) && !token.is_shown(fields) {
                    let refused = Answer::message(StatusCode::UNAUTHORIZED, "this needs `Authorization: Bearer TOKEN`");
                    return Err(refused.with_field(header::WWW_AUTHENTICATE, "Bearer realm=\"pingora-proxy\""));
                }
                Ok(())
            }
            None => self.reach.check(target, fields).map_err(forbidden),
        }
    }

    /// Who changes something.
    ///
    /// # Errors
    /// When whoever connects may change nothing, and what may.
    pub fn changer(&self, peer: Peer) -> Result<Who, Answer> {
        match (self.reach, &self.token) {
            (_, Some(_)) => Ok(Who::AdminToken),
            (Reach::Unix, None) => {
                let (uid, pid) = peer.unwrap_or((u32::MAX, 0));
                Ok(Who::AdminSocket { uid, pid })
            }
            (Reach::Tcp, None) => Err(Answer::message(
                StatusCode::FORBIDDEN,
                "over TCP the admin endpoint only tells, because every user of this machine can connect: \
                 change servers with `pingora-proxy upstreams`, name a token in `admin.token_file`, or give \
                 `admin.address` a unix socket",
            )),
        }
    }
}

/// Refuses what a page in a browser asks, unless it is this endpoint's own. A page's requests carry
/// Origin when they change something, and Sec-Fetch-Site always.
fn check_page(resource: Option<&Resource>, fields: &HeaderMap) -> Result<(), String> {
    let text = |name: header::HeaderName| fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(origin) = text(header::ORIGIN) {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let is_own = |authority: &str| text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority));
        if fields.get_all(header::ORIGIN).iter().count() != 1 || !authority.is_some_and(is_own) {
            return Err(format!("a page of `{origin}` may not ask that"));
        }
    }
    let site = fields.get("sec-fetch-site").map(|site| String::from_utf8_lossy(site.as_bytes()));
    let is_navigation = fields.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    match site.as_deref() {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_navigation && resource.is_some_and(Resource::is_front_page) => Ok(()),
        Some(site) => Err(format!("a page of another site may not ask that (Sec-Fetch-Site: {site})")),
    }
}

impl Reach {
    /// Refuses what a page in a browser can send, whatever name its site has made stand for
    /// this machine (DNS rebinding).
    ///
    /// # Errors
    /// Why the request is refused.
    fn check(self, target: &Uri, fields: &HeaderMap) -> Result<(), String> {
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

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        HeaderMap::from_iter(
            pairs.map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))),
        )
    }

    fn asked(reach: Reach, target: &'static str, pairs: &[(&'static str, &'static str)]) -> Result<(), String> {
        let fields = fields(pairs);
        check_page(Resource::at(target).as_ref(), &fields)?;
        reach.check(&Uri::from_static(target), &fields)
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
    fn no_page_but_the_own_one_is_answered() {
        for reach in [Reach::Tcp, Reach::Unix] {
            for origin in
                ["http://evil.test", "null", "http://localhost:3000", "http://localhost", "ftp://localhost:9180", ""]
            {
                let refused = asked(reach, "/upstreams", &[("host", "localhost:9180"), ("origin", origin)]);
                assert_eq!(refused, Err(format!("a page of `{origin}` may not ask that")));
            }
            let own = "http://localhost:9180";
            assert_eq!(asked(reach, "/upstreams", &[("host", "localhost:9180"), ("origin", own)]), Ok(()));
            assert!(asked(reach, "/upstreams", &[("origin", own)]).is_err());
            let two = [("host", "localhost:9180"), ("origin", own), ("origin", "http://evil.test")];
            assert!(asked(reach, "/upstreams", &two).is_err());
        }
    }

    #[test]
    fn another_site_may_only_lead_to_the_front_page() {
        let asked = |path, site, mode| {
            asked(Reach::Tcp, path, &[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)])
        };
        for site in ["cross-site", "same-site"] {
            assert_eq!(asked("/", site, "navigate"), Ok(()));
            assert!(asked("/", site, "no-cors").is_err() && asked("/stats", site, "navigate").is_err());
            assert!(asked("/api.js", site, "no-cors").is_err() && asked("/nothing", site, "navigate").is_err());
        }
        for site in ["same-origin", "none"] {
            assert_eq!(asked("/stats", site, "cors"), Ok(()));
        }
    }
}
