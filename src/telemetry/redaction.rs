//! What the lines of the access log hide: values of parameters, and the end of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bounds;
use super::record::AccessRecord;
use crate::config::Redact;
use crate::message::query::decode;

pub const REDACTED: &str = "[redacted]";

#[derive(Clone, Debug)]
pub struct Redaction {
    query: Vec<String>,
    client_ip: bool,
}

/// Where the values are written that differ from those of the request.
#[derive(Debug, Default)]
pub struct Scratch {
    query: Vec<u8>,
    referer: Vec<u8>,
}

impl Redaction {
    /// `None` where nothing is hidden.
    pub fn new(config: &Redact) -> Option<Self> {
        let hides = config.client_ip || !config.query.is_empty();
        hides.then(|| Self { query: config.query.clone(), client_ip: config.client_ip })
    }

    /// The record as it may be written.
    pub fn apply<'r>(&self, record: &AccessRecord<'r>, scratch: &'r mut Scratch) -> AccessRecord<'r> {
        let mut shown = record.clone();
        if self.client_ip {
            shown.client_ip = record.client_ip.map(network);
            shown.remote_ip = record.remote_ip.map(network);
        }
        if !self.query.is_empty() {
            let Scratch { query, referer } = scratch;
            shown.query = self.hide(record.query, query);
            shown.referer = record.referer.map(|value| self.hide_in_url(value, referer));
        }
        shown
    }

    fn hide_in_url<'r>(&self, url: &'r [u8], out: &'r mut Vec<u8>) -> &'r [u8] {
        let url = bounds::value(url);
        let Some(start) = memchr::memchr(b'?', url) else {
            return url;
        };
        let (before, query) = url.split_at(start + 1);
        let end = memchr::memchr(b'#', query).unwrap_or(query.len());
        let (query, fragment) = query.split_at(end);
        out.clear();
        out.extend_from_slice(before);
        self.push(query, out);
        out.extend_from_slice(fragment);
        out
    }

    fn hide<'r>(&self, query: &'r [u8], out: &'r mut Vec<u8>) -> &'r [u8] {
        if query.is_empty() {
            return query;
        }
        out.clear();
        // A part that is cut off is not shown at all.
        self.push(bounds::value(query), out);
        out
    }

    fn push(&self, query: &[u8], out: &mut Vec<u8>) {
        for (index, pair) in query.split(|b| *b == b'&').enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            if self.push_pair(pair, out) {
                continue;
            }
            // Some services take a `;` for a `&`.
            for (index, pair) in pair.split(|b| *b == b';').enumerate() {
                if index > 0 {
                    out.push(b';');
                }
                if !self.push_pair(pair, out) {
                    out.extend_from_slice(pair);
                }
            }
        }
    }

    /// Writes a pair whose value is hidden; `false` for any other.
    fn push_pair(&self, pair: &[u8], out: &mut Vec<u8>) -> bool {
        let name = pair.split(|b| *b == b'=').next().unwrap_or_default();
        let is_hidden = name.len() < pair.len() && self.names(name);
        if is_hidden {
            out.extend_from_slice(name);
            out.push(b'=');
            out.extend_from_slice(REDACTED.as_bytes());
        }
        is_hidden
    }

    fn names(&self, name: &[u8]) -> bool {
        if memchr::memchr2(b'%', b'+', name).is_none() {
            return self.query.iter().any(|known| known.as_bytes() == name);
        }
        let name = String::from_utf8_lossy(name);
        let name = decode(&name);
        self.query.iter().any(|known| *known == name)
    }
}

/// The /24 or the /48 that an address is in.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::format::tests::record;

    #[test]
    fn values_of_the_named_parameters_are_hidden_however_they_are_written() {
        let redaction = Redaction { query: vec!["token".into(), "a b".into()], client_ip: false };
        let long = [b"token=".as_slice(), &[b's'; 10_000]].concat();
        for (query, shown) in [
            (&b"a=1&token=s3cret&b"[..], &b"a=1&token=[redacted]&b"[..]),
            (b"t%6Fken=s3cret", b"t%6Fken=[redacted]"),
            (b"a+b=s3cret=x", b"a+b=[redacted]"),
            (b"token&Token=x&tokens=y&token=", b"token&Token=x&tokens=y&token=[redacted]"),
            (b"a=1;token=s3cret;b&x;y", b"a=1;token=[redacted];b&x;y"),
            (b"token=s3;cret&x", b"token=[redacted]&x"),
            (b"", b""),
            (&long, b"token=[redacted]"),
        ] {
            let mut scratch = Scratch::default();
            let given = AccessRecord { query, ..record() };
            assert_eq!(redaction.apply(&given, &mut scratch).query, shown, "{}", query.escape_ascii());
        }
        let given = AccessRecord { referer: Some(b"http://a/?x=y&token=s#token=t"), ..record() };
        let mut scratch = Scratch::default();
        assert_eq!(redaction.apply(&given, &mut scratch).referer, Some(&b"http://a/?x=y&token=[redacted]#token=t"[..]));
    }

    #[test]
    fn addresses_lose_their_end() {
        let redaction = Redaction { query: Vec::new(), client_ip: true };
        let given = AccessRecord {
            client_ip: "192.0.2.77".parse().ok(),
            remote_ip: "2001:db8:1:2:3:4:5:6".parse().ok(),
            ..record()
        };
        let mut scratch = Scratch::default();
        let shown = redaction.apply(&given, &mut scratch);
        let ips = [shown.client_ip, shown.remote_ip].map(|ip| ip.unwrap().to_string());
        assert_eq!(ips, ["192.0.2.0", "2001:db8:1::"]);
    }
}
