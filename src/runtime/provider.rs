//! Where the provider of a route's logins is: its configuration, and each of its endpoints that the proxy
//! itself asks once that is known.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::asked_service::AskedService;
use crate::config::{self, authority_of};
use crate::message::host;

#[derive(Debug)]
pub struct Provider {
    /// Its configuration.
    pub discovery: AskedService,
    /// Where codes are exchanged.
    pub token: ArcSwapOption<AskedService>,
    /// Where claims are that no ID token has.
    pub user_info: ArcSwapOption<AskedService>,
    /// How the URLs begin that are asked where its configuration is.
    origins: Vec<String>,
    /// Whether the issuer is one of HTTPS.
    is_secure: bool,
}

/// Where a URL is asked.
#[derive(Debug)]
pub enum Place {
    /// Where the configuration is.
    Here(AskedService),
    /// At another host.
    Elsewhere { origin: String, host: String, target: String },
}

impl Provider {
    /// `before`: the route's before a reload; what is known of the same provider stays known.
    pub fn new(oidc: &config::Oidc, discovery: AskedService, before: Option<&Self>) -> Self {
        let same = before.filter(|before| {
            let (old, new) = (&before.discovery, &discovery);
            Arc::ptr_eq(&old.pool, &new.pool) && (&old.host, &old.target) == (&new.host, &new.target)
        });
        let urls = [Some(oidc.issuer.as_str()), oidc.provider_url.as_ref().map(|url| url.written.as_str())];
        Self {
            token: ArcSwapOption::new(same.and_then(|before| before.token.load_full())),
            user_info: ArcSwapOption::new(same.and_then(|before| before.user_info.load_full())),
            origins: urls.into_iter().flatten().map(origin_of).collect(),
            is_secure: oidc.issuer.starts_with("https://"),
            discovery,
        }
    }

    /// Where a URL of the provider's configuration is asked.
    ///
    /// # Errors
    /// In words, when it may not be asked.
    pub fn place(&self, url: &str) -> Result<Place, String> {
        let origin = origin_of(url);
        let (authority, target) = (authority_of(url).to_owned(), target_of(url));
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(format!("`{url}` is no URL"));
        }
        if self.origins.contains(&origin) {
            return Ok(Place::Here(AskedService { pool: Arc::clone(&self.discovery.pool), host: authority, target }));
        }
        let is_here = !self.is_secure && origin.starts_with("http://") && host::is_loopback(&authority);
        if origin.starts_with("https://") || is_here {
            return Ok(Place::Elsewhere { origin, host: authority, target });
        }
        Err(format!("`{url}` is no URL of `https`"))
    }
}

/// Scheme and host, without a port that is the usual one.
fn origin_of(url: &str) -> String {
    let (scheme, authority) = (url.split("://").next().unwrap_or_default(), authority_of(url));
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let usual = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", authority.strip_suffix(usual).unwrap_or(&authority))
}

fn target_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let target = rest.get(authority_of(url).len()..).unwrap_or_default();
    if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_its_origin_and_its_target() {
        for (url, origin, target) in [
            ("https://a.test", "https://a.test", "/"),
            ("HTTPS://A.test:443/b?c", "https://a.test", "/b?c"),
            ("http://a.test:443/b", "http://a.test:443", "/b"),
            ("http://[::1]:80?x", "http://[::1]", "/?x"),
        ] {
            assert_eq!((origin_of(url).as_str(), target_of(url).as_str()), (origin, target), "{url}");
        }
    }
}
