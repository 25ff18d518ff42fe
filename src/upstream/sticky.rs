//! The cookie that keeps a client at its endpoint. Its value is a keyed digest of the
//! endpoint's label, so that nobody can make one and it tells nothing; it is read by looking
//! it up among the digests of all endpoints.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use http::HeaderValue;

use crate::config::Sticky;

/// The length of the value, in hexadecimal digits.
const LENGTH: usize = 32;

/// The value of a client's cookie.
pub type Tag = [u8; LENGTH];

/// Signs the cookies of upstreams whose configuration names no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieKey(Vec<u8>);

impl CookieKey {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey")
    }
}

/// The cookie of one endpoint, with both forms of its `Set-Cookie` made once.
#[derive(Debug)]
pub struct StickyCookie {
    pub tag: Tag,
    plain: HeaderValue,
    secure: HeaderValue,
}

impl StickyCookie {
    /// `None` without a key, or when the cookie's text is no field value, which the
    /// configuration does not let happen.
    pub fn new(sticky: &Sticky, key: &[u8], upstream: &str, endpoint: &str) -> Option<Self> {
        let key = sticky.secret.as_ref().map_or(key, |secret| &secret.bytes);
        if key.is_empty() {
            // Anybody could make a cookie of an empty key. It is empty only where nothing is
            // served, as under `-t`.
            return None;
        }
        let tag = tag(key, upstream, endpoint);
        let value = std::str::from_utf8(&tag).unwrap_or_default();
        let age = sticky.max_age.as_secs();
        let plain = format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax", sticky.cookie);
        let secure = format!("{plain}; Secure");
        Some(Self { tag, plain: plain.try_into().ok()?, secure: secure.try_into().ok()? })
    }

    /// The field for a client that came over `https` or not.
    pub fn set_cookie(&self, sticky: &Sticky, https: bool) -> HeaderValue {
        if sticky.secure.unwrap_or(https) { self.secure.clone() } else { self.plain.clone() }
    }
}

fn tag(key: &[u8], upstream: &str, endpoint: &str) -> Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [upstream.as_bytes(), b"\0", endpoint.as_bytes()] {
        context.update(part);
    }
    let digest = context.sign();
    let mut tag = [b'0'; LENGTH];
    HEXLOWER.encode_mut(&digest.as_ref()[..LENGTH / 2], &mut tag);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tags_differ_by_key_upstream_and_server_and_stay_the_same() {
        let one = tag(b"k", "api", "10.0.0.1:80");
        assert_eq!(one, tag(b"k", "api", "10.0.0.1:80"));
        for other in [tag(b"l", "api", "10.0.0.1:80"), tag(b"k", "ap", "i10.0.0.1:80"), tag(b"k", "api", "10.0.0.2:80")]
        {
            assert_ne!(one, other);
        }
        assert!(one.iter().all(u8::is_ascii_hexdigit));
    }

    #[test]
    fn secure_follows_the_client_unless_it_is_said() {
        let mut sticky = Sticky { cookie: "lb".into(), max_age: Duration::from_secs(3600), secure: None, secret: None };
        let cookie = StickyCookie::new(&sticky, b"k", "api", "a").unwrap();
        let text = |sticky: &Sticky, https| cookie.set_cookie(sticky, https).to_str().unwrap().to_owned();
        assert!(text(&sticky, false).ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"));
        assert!(text(&sticky, true).ends_with("; Secure"));
        sticky.secure = Some(false);
        assert!(!text(&sticky, true).contains("Secure"));
    }
}
