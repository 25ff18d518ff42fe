//! The certificates of a listener, by the names that clients ask for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::ServerCertificate;

/// The store that new connections are served from.
#[derive(Debug)]
pub struct Certificates(ArcSwap<Store>);

impl Certificates {
    pub fn new(store: Store) -> Self {
        Self(ArcSwap::from_pointee(store))
    }

    pub fn replace(&self, store: Store) {
        self.0.store(Arc::new(store));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().find(hello.server_name()))
    }
}

#[derive(Debug)]
pub struct Store {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// `*.example.com` by `example.com`.
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Store {
    /// Of several certificates for a name it is the first. `None` without any certificate.
    pub fn new<'a>(certificates: impl IntoIterator<Item = &'a ServerCertificate>) -> Option<Self> {
        let now = SystemTime::now();
        let (mut exact, mut wildcards, mut first) = (HashMap::new(), HashMap::new(), None);
        for certificate in certificates {
            let fresh = certificate.without_old_staple(now);
            let key = fresh.unwrap_or_else(|| Arc::clone(&certificate.certified));
            for name in certificate.names() {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcards, parent),
                    None => (&mut exact, name),
                };
                if !names.contains_key(name) {
                    names.insert(name.into(), Arc::clone(&key));
                }
            }
            first.get_or_insert(key);
        }
        first.map(|first| Self { exact, wildcards, first })
    }

    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.and_then(|name| self.by_name(&lower(name)));
        Arc::clone(found.unwrap_or(&self.first))
    }

    fn by_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        // A wildcard stands for exactly one label (RFC 6125 section 6.4.3).
        let wildcard = || name.split_once('.').and_then(|(_, parent)| self.wildcards.get(parent));
        self.exact.get(name).or_else(wildcard)
    }
}

/// Names are compared in lower case.
pub fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}
