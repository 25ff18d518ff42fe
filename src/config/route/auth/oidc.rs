//! `auth.oidc`: login by OpenID Connect.

use std::time::Duration;

use http::HeaderName;

use super::client_secret::ClientSecret;
use super::cookie_secrets::CookieSecrets;
use super::issuer::{ISSUER, authority_of};
use super::service_url::ServiceUrl;
use crate::config::route::matching::Match;
use crate::config::section::{Fields, Reader, Scalar, Syntax, list, map, optional, section};
use crate::config::value::{ANY_TEXT, COOKIE_NAME, DURATION, EDITED_NAME, PATH_TO_MATCH, WatchedFile};
use crate::config::yaml::{Invalid, Location, Parsed, Yaml};
use crate::message::cookie::NamePrefix;
use crate::message::host;

section! {
    /// Login of people by OpenID Connect (authorization code flow with PKCE). Who is logged in has a sealed cookie; the proxy itself keeps nothing of a session.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`oidc`" pub struct Oidc {
        /// The provider, exactly as it calls itself. Its configuration is fetched from below it, at `/.well-known/openid-configuration`, and so are its keys: at the start and every five minutes. Until they are there, logins get 503; the last good ones are kept. Its host may be the name of an upstream.
        issuer: String, required "https://id.example.com", with ISSUER;
        /// Where the proxy itself reaches the provider, if not at the host of `issuer`: scheme and host, which may be the name of an upstream. `Host` stays that of the issuer. Browsers are sent to the endpoints that the provider names.
        provider_url: Option<ServiceUrl>;
        /// The name that the provider knows this proxy by.
        client_id: String, required "shop", with CLIENT_ID;
        /// A file with the secret that the provider gave to the client; without it the client is a public one, which PKCE alone protects. It is read again when it changes.
        client_secret as "client_secret_file": Option<WatchedFile<ClientSecret>>, with optional(WatchedFile::FORM);
        /// A file with a secret of at least 32 bytes, as `openssl rand -base64 48` makes it, which seals the cookies. Of several lines the first seals and all open. Give proxies that share sessions the same one. It is read again when it changes.
        cookie_secrets as "cookie_secret_file": WatchedFile<CookieSecrets>, required "oidc-cookie-secret", with WatchedFile::FORM;
        /// What the provider is asked for.
        scopes: Vec<String> = ["openid"], with list("scopes", SCOPE);
        /// Where the provider sends people back to: at this path of the host that they asked for, which the provider has to know as a redirect URI. The route must take it.
        callback_path: String = "/oauth2/callback", with PATH_TO_MATCH;
        /// Ends the session, and the one at the provider where that has an endpoint for it. The route must take it.
        logout_path: String = "/oauth2/logout", with PATH_TO_MATCH;
        /// How long a session lasts after the login, however much it is used; from 1m to 720h.
        session_lifetime: Duration = "8h", with SESSION_LIFETIME;
        /// The cookie's name. Over HTTPS `__Host-` is put in front of it.
        cookie_name: String = "oidc_session", with COOKIE_NAME;
        /// Fields in which the upstream is told claims, by the name of the claim: texts, numbers, booleans, and lists of them joined by commas. What a client says in such a field is taken out, also where there is no such claim.
        claims_to_headers: Vec<(String, HeaderName)> = {}, with map("claims to fields", ANY_TEXT, EDITED_NAME).of("claim");
        /// Claims that somebody must have to be let in.
        required: Vec<String> = [], with list("claims", ANY_TEXT);
        /// How long the provider may take at the end of a login; then 504.
        timeout: Duration = "5s";
    }
    derived {
        /// Where the provider's configuration is.
        discovery: Option<ServiceUrl>,
        /// Where both paths stand, or the section.
        paths: [Location; 2],
    }
    check Oidc::check;
}

/// Below this path of the issuer's.
const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Oidc {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = |key: &str| fields.get(key).map_or(fields.span, |node| node.span);
        self.paths = ["callback_path", "logout_path"].map(|key| Location(span(key)));
        self.check_issuer(reader, span("issuer"));
        if !self.scopes.iter().any(|scope| scope == "openid") {
            let help = "without it the provider makes no ID token, and nobody can log in";
            reader.error_help(span("scopes"), "`scopes` has no `openid`", help);
        }
        if self.callback_path == self.logout_path {
            let message = "`logout_path` is the same as `callback_path`";
            reader.error_help(span("logout_path"), message, "each of them needs a path of its own");
        }
        if NamePrefix::of(self.cookie_name.as_bytes()) != NamePrefix::default() {
            let help = "over HTTPS `__Host-` is put in front of it anyway";
            reader.error_help(span("cookie_name"), "`cookie_name` begins with a prefix that browsers know", help);
        }
        if self.cookie_name.len() > LONGEST_NAME {
            reader.error(span("cookie_name"), format!("`cookie_name` is longer than {LONGEST_NAME} characters"));
        }
        for (_, name) in self.claims_to_headers.iter().filter(|(_, name)| matches!(name.as_str(), "host" | "cookie")) {
            reader.error(span("claims_to_headers"), format!("`{name}` is no field for a claim"));
        }
    }

    /// Whoever is between a provider and the proxy could let anybody in, if their connection is not encrypted.
    fn check_issuer(&mut self, reader: &mut Reader<'_>, span: crate::config::yaml::Span) {
        let authority = authority_of(&self.issuer);
        let help = "only a provider on this machine, or one that is an upstream of this file, may be `http`";
        if let Some(reached) = self.provider_url.as_ref().filter(|reached| !reached.is_safe(reader)) {
            let message = "the scheme of `provider_url` is `https`: whoever answers there lets people in";
            return reader.error_help(reached.location().0, message, help);
        }
        let is_known = reader.upstreams.holds(authority) || self.provider_url.is_some();
        if self.issuer.starts_with("http://") && !is_known && !host::is_loopback(authority) {
            return reader.error_help(span, "the scheme of an issuer is `https` (OpenID Connect Core section 2)", help);
        }
        let discovery = format!("{}{DISCOVERY}", self.issuer.trim_end_matches('/'));
        self.discovery = match &self.provider_url {
            Some(reached) if reached.target == "/" => {
                let target = discovery.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
                Some(reached.asked_for(authority, target))
            }
            Some(reached) => {
                let help = "the paths are those that `issuer` and the provider's configuration have";
                reader.error_help(reached.location().0, "`provider_url` has a scheme and a host only", help);
                None
            }
            None => ServiceUrl::of(reader, span, &discovery),
        };
    }

    /// Warns of paths that requests come to by another route.
    pub fn warn_unreached(&self, reader: &mut Reader<'_>, conditions: &Match) {
        let keys = [("callback_path", &self.callback_path), ("logout_path", &self.logout_path)];
        for ((key, path), location) in keys.into_iter().zip(self.paths) {
            let is_taken = conditions.paths.is_empty() || conditions.paths.iter().any(|pattern| pattern.holds(path));
            if !is_taken && !conditions.has_errors {
                let help = "nobody can come there: write one that `match.path` of the route takes";
                let message = format!("the route does not take `{path}`, which is `{key}` of its `auth.oidc`");
                reader.warn(location.0, message, Some(help.to_owned()));
            }
        }
        if !conditions.methods.is_empty() && !conditions.methods.contains(&http::Method::GET) {
            let message = "nobody can log in to this route: `match.method` has no GET".to_owned();
            let help = "browsers come from the provider by GET: add it, or take `auth.oidc` away".to_owned();
            reader.warn(self.paths[0].0, message, Some(help));
        }
    }

    /// The claims that a session has to have: those that the upstream is told, and those that are required.
    pub fn kept_claims(&self) -> Vec<String> {
        let mut kept: Vec<String> = self.claims_to_headers.iter().map(|(claim, _)| claim.clone()).collect();
        kept.extend(self.required.iter().cloned());
        kept.sort_unstable();
        kept.dedup();
        kept
    }
}

/// A cookie of an attempt has a longer name, and all of it fits into 4 KiB.
const LONGEST_NAME: usize = 64;

/// Visible ASCII, as a provider makes it (RFC 6749 appendix A.1).
const CLIENT_ID: Scalar<String> = Scalar {
    what: "a client's name such as `shop`",
    syntax: Syntax { kind: "text", numbers: true, pattern: Some("^[!-~]{1,255}$"), examples: &["shop"] },
    parse: client_id,
    print: |id| Yaml::text(id),
};

fn client_id(text: &str) -> Parsed<String> {
    if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new("a client's name has 1 to 255 visible characters of ASCII"))
}

/// RFC 6749 section 3.3.
const SCOPE: Scalar<String> = Scalar {
    what: "a scope such as `email`",
    syntax: Syntax { kind: "scope", numbers: true, pattern: Some(r"^[!#-\x5b\x5d-~]+$"), examples: &["email"] },
    parse: scope,
    print: |scope| Yaml::text(scope),
};

fn scope(text: &str) -> Parsed<String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() > 1 {
        return Err(Invalid::with_help("these are several scopes", format!("write `[{}]`", parts.join(", "))));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("`{text}` is no scope")))
}

/// Max-Age has no fractions (RFC 6265 section 4.1.1), and what is stolen is not good for ever.
const SESSION_LIFETIME: Scalar<Duration> = Scalar {
    syntax: Syntax { pattern: Some("^0*[1-9][0-9]*(ms|s|m|h)$"), examples: &["8h", "30m"], ..DURATION.syntax },
    parse: |text| {
        const LONGEST: Duration = Duration::from_secs(720 * 3600);
        let duration = (DURATION.parse)(text)?;
        if !(Duration::from_secs(60)..=LONGEST).contains(&duration) || duration.subsec_millis() > 0 {
            return Err(Invalid::new("a session lasts from `1m` to `720h`, in whole seconds"));
        }
        Ok(duration)
    },
    ..DURATION
};
