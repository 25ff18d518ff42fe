//! Who calls, and what a browser can have somebody call who does not know of it. TCP does not say which
//! user calls, and a page in a browser can call from anywhere: there the endpoint answers only what asks
//! for this machine by its own name, unless callers show something that no page of another site has.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use http::{HeaderMap, Uri, header};

use super::resource::Resource;
use crate::config::Address;
use crate::message::escaping::is_dangerous;
use crate::message::host;
use crate::transport::{ClientAuthRule, ClientIdentity, ClientTls};

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

/// Who is at the other end of a connection.
#[derive(Debug, Default)]
pub struct Caller {
    /// The user and the process on a unix socket, as the kernel says.
    pub peer: Option<(u32, i32)>,
    /// `None` without TLS.
    pub tls: Option<ClientTls>,
}

impl Caller {
    /// The rule for client certificates by which it was let in.
    pub fn rule(&self) -> ClientAuthRule {
        self.tls.as_ref().map(|tls| tls.client_auth).unwrap_or_default()
    }

    /// Whom its certificate names, which was verified in the handshake; `None` where it has shown none.
    pub fn identity(&self) -> Option<&ClientIdentity> {
        self.tls.as_ref()?.client_cert.as_ref().map(|certificate| &certificate.identity)
    }
}

/// A certificate as the journal names it. Two may have one name, so that the hash stands beside it.
pub fn describe(identity: &ClientIdentity) -> String {
    /// Bytes of the hash.
    const SHOWN: usize = 8;
    let ClientIdentity { common_name, sans, fingerprint } = identity;
    let name = common_name.as_deref().or(sans.first().map(AsRef::as_ref)).unwrap_or("no name");
    // A name that an authority has let through is to begin no line of the log.
    let name: String = name.chars().map(|c| if is_dangerous(c) { '?' } else { c }).collect();
    let (shown, _) = fingerprint.split_at(SHOWN);
    format!("`{name}`, SHA-256 {}", HEXLOWER.encode(shown))
}

/// Refuses what a page in a browser asks, unless it is this endpoint's own. A page's requests carry
/// Origin when they change something, and Sec-Fetch-Site always. A page that came by HTTP is not the own one of
/// an endpoint `with_tls`; without TLS, something in front of it may have had some.
///
/// # Errors
/// Why the request is refused.
pub fn check_page(resource: Option<&Resource>, fields: &HeaderMap, with_tls: bool) -> Result<(), String> {
    let text = |name: header::HeaderName| fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(origin) = text(header::ORIGIN) {
        let in_clear = origin.strip_prefix("http://").filter(|_| !with_tls);
        let authority = in_clear.or_else(|| origin.strip_prefix("https://"));
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
    pub fn check(self, target: &Uri, fields: &HeaderMap) -> Result<(), String> {
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
        check_page(Resource::at(target).as_ref(), &fields, false)?;
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

    #[test]
    fn with_tls_only_a_page_that_came_by_https_is_the_own_one() {
        let asked = |origin: &'static str| {
            let fields = fields(&[("host", "proxy.example.com:9443"), ("origin", origin)]);
            check_page(Resource::at("/stats").as_ref(), &fields, true)
        };
        assert_eq!(asked("https://proxy.example.com:9443"), Ok(()));
        for origin in ["http://proxy.example.com:9443", "https://proxy.example.com", "https://evil.test:9443"] {
            assert!(asked(origin).is_err(), "{origin}");
        }
    }

    #[test]
    fn a_certificate_is_named_by_its_subject_and_its_hash() {
        let identity = |common_name: Option<&str>, sans: &[&str]| ClientIdentity {
            common_name: common_name.map(Into::into),
            sans: sans.iter().map(|san| (*san).into()).collect(),
            fingerprint: [0xa1; 32],
        };
        for (common_name, sans, name) in [
            (Some("ann"), vec!["ann@us.example"], "`ann`"),
            (None, vec!["ann@us.example"], "`ann@us.example`"),
            (None, vec![], "`no name`"),
            (Some("ann\naudit: root"), vec![], "`ann?audit: root`"),
        ] {
            assert_eq!(describe(&identity(common_name, &sans)), format!("{name}, SHA-256 {}", "a1".repeat(8)));
        }
    }
}
