//! `response`: what a route changes before a response goes to the client.

use super::edits::HeaderEdits;
use super::security::Security;
use crate::config::section::{Fields, Reader, Switch, Value, Word, Words, map, or_null, section, words};
use crate::config::value::{COOKIE_DOMAIN, COOKIE_DOMAIN_OR_NONE, COOKIE_PATH};
use crate::config::yaml::Invalid;

section! {
    /// Changes to a response before it goes to the client.
    #[derive(Clone, Debug, Default)]
    "`response`" pub struct ResponseEdits {
        /// Changes of header fields.
        headers as "header": HeaderEdits = {};
        /// Changes to the cookies that the upstream sets. The result is never a cookie that browsers refuse: without Secure there is no `SameSite=None` and no Partitioned, and names such as `__Host-a` keep the attributes that they need.
        set_cookie as "cookie": SetCookieEdits = {};
        /// What happens to redirects to the upstream's own address.
        rewrite_location as "location": bool = "rewrite", with LOCATION;
        /// Fields by which browsers guard a page; `true` for those that suit most.
        security: Option<Security> = false, with Switch;
        /// Whether `Server-Timing` tells clients where the time went: `queue`, `connect`, `tls` and `ttfb`, as in the access log.
        server_timing: bool = false;
    }
    derived {
        /// Whether the proxy answers by itself, so that there is no upstream's response.
        is_local: bool,
    }
    no_effect ResponseEdits::no_effect;
}

const LOCATION: Words<bool, 2> = Words([
    (true, Word { word: "rewrite", doc: "They get the scheme and host that the client used." }),
    (false, Word { word: "off", doc: "They stay as they are." }),
]);

impl ResponseEdits {
    /// The keys that change what only an upstream says.
    pub const OF_UPSTREAMS: [&str; 2] = ["cookie", "location"];

    /// The route, which knows whether there is an upstream, says it to the operator.
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = self.is_local && Self::OF_UPSTREAMS.contains(&key);
        has_no_effect.then(|| Invalid::new(format!("`{key}` has no effect here")))
    }
}

section! {
    /// Changes of the cookies that the upstream sets.
    #[derive(Clone, Debug, Default)]
    "`cookie`" pub struct SetCookieEdits {
        /// From one domain to another, in lower case and without leading dot; an empty value removes the attribute.
        domain: Vec<(String, String)> = {}, with map("names to values", COOKIE_DOMAIN, COOKIE_DOMAIN_OR_NONE);
        /// From one path prefix to another; the longest that fits counts.
        path: Vec<(String, String)> = {}, with map("names to values", COOKIE_PATH, COOKIE_PATH);
        /// Whether the cookie is sent back over HTTPS only.
        secure: SecurePolicy = "auto";
        /// Adds or removes HttpOnly; `null` leaves it as it is.
        http_only: Option<bool> = null, with or_null(bool::form());
        /// Sets SameSite; `null` leaves it as it is.
        same_site: Option<SameSite> = null, with or_null(SameSite::form());
    }
    check SetCookieEdits::check;
}

impl SetCookieEdits {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if self.same_site == Some(SameSite::None) && self.secure == SecurePolicy::Never {
            let span = fields.get("same_site").map_or(fields.span, |node| node.span);
            reader.error(span, "browsers refuse `same_site: none` without Secure");
        }
    }
}

words! {
    /// What becomes of the attribute Secure.
    pub enum SecurePolicy {
        /// As the upstream set it.
        Keep = "keep",
        /// Removed for clients on plain HTTP, whose browsers would refuse the cookie. For others `same_site: none` adds it.
        Auto = "auto",
        /// Added.
        Always = "true",
        /// Removed.
        Never = "false",
    }
}

#[allow(clippy::derivable_impls)] // `words!` writes the derives
impl Default for SecurePolicy {
    fn default() -> Self {
        Self::Keep
    }
}

words! {
    /// The attribute SameSite.
    pub enum SameSite {
        /// Sent with requests from the same site only.
        Strict = "strict",
        /// Also when a link leads here.
        Lax = "lax",
        /// With every request.
        None = "none",
    }
}
