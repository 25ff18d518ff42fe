//! Which rule for client certificates a name has.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::store::lower;
use crate::config::{ClientAuth, ClientAuthMode, HostClientAuth, HostPattern, ListenerTls};
use crate::transport::ClientAuthRule;

/// The place of a rule among those of a listener, whose own is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleIndex(pub usize);

/// The hosts that have a rule of their own.
#[derive(Debug)]
pub struct HostRules {
    exact: HashMap<Box<str>, RuleIndex>,
    /// `*.example.com` by `example.com`.
    suffixes: HashMap<Box<str>, RuleIndex>,
}

impl HostRules {
    pub fn new(hosts: &[HostClientAuth]) -> Self {
        let (mut exact, mut suffixes) = (HashMap::new(), HashMap::new());
        for (index, entry) in hosts.iter().enumerate() {
            let rule = RuleIndex(index + 1);
            for host in &entry.host {
                match host {
                    HostPattern::Exact(name) => exact.insert(name.as_str().into(), rule),
                    HostPattern::Suffix(parent) => suffixes.insert(parent.as_str().into(), rule),
                    // The configuration refuses it.
                    HostPattern::Any => None,
                };
            }
        }
        Self { exact, suffixes }
    }

    /// The rule of a host, in any case and with or without the dot of the root.
    pub fn of(&self, host: &str) -> RuleIndex {
        if self.exact.is_empty() && self.suffixes.is_empty() {
            return RuleIndex::default();
        }
        let host = lower(host.strip_suffix('.').unwrap_or(host));
        if let Some(rule) = self.exact.get(host.as_ref()) {
            return *rule;
        }
        let mut parents =
            std::iter::successors(Some(host.as_ref()), |name| name.split_once('.').map(|(_, parent)| parent));
        // The name itself is not below itself.
        parents.next();
        parents.find_map(|parent| self.suffixes.get(parent)).copied().unwrap_or_default()
    }
}

/// What each rule asks for: the listener's own first, as [`RuleIndex`] counts them.
pub fn all(tls: &ListenerTls) -> impl Iterator<Item = Option<&ClientAuth>> {
    std::iter::once(tls.client_auth.as_ref()).chain(tls.hosts.iter().map(|entry| entry.client_auth.as_ref()))
}

/// The rule, known by what it asks for.
pub fn identify(rule: Option<&ClientAuth>) -> ClientAuthRule {
    let hash = digest(&SHA256, &describe(rule));
    let start = hash.as_ref().first_chunk().copied().unwrap_or_default();
    ClientAuthRule(u128::from_be_bytes(start))
}

/// What tells one rule from another: sessions that began under one are not resumed under the other.
pub fn describe(rule: Option<&ClientAuth>) -> Vec<u8> {
    let Some(ClientAuth { ca, mode }) = rule else { return b"off".to_vec() };
    let mode: &[u8] = match mode {
        ClientAuthMode::Require => b"require",
        ClientAuthMode::Optional => b"optional",
    };
    let length = |der: &[u8]| u64::try_from(der.len()).unwrap_or(u64::MAX).to_be_bytes();
    let certificates = ca.der.iter().map(|der| [&length(der)[..], der].concat());
    std::iter::once(mode.to_vec()).chain(certificates).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_host_decides() {
        let entry = |hosts: &[HostPattern]| HostClientAuth {
            host: hosts.to_vec(),
            client_auth: None,
            location: Default::default(),
        };
        let exact = |name: &str| HostPattern::Exact(name.to_owned());
        let below = |name: &str| HostPattern::Suffix(name.to_owned());
        let rules = HostRules::new(&[
            entry(&[below("example.com")]),
            entry(&[exact("admin.example.com"), exact("example.org")]),
            entry(&[below("admin.example.com")]),
        ]);
        for (host, rule) in [
            ("www.example.com", 1),
            ("a.b.example.com", 1),
            ("WWW.Example.Com.", 1),
            ("admin.example.com", 2),
            ("example.org", 2),
            ("x.admin.example.com", 3),
            ("example.com", 0),
            ("badexample.com", 0),
            ("www.example.org", 0),
            ("", 0),
            (".", 0),
        ] {
            assert_eq!(rules.of(host), RuleIndex(rule), "{host}");
        }
    }
}
