//! Hop-by-hop fields (RFC 9110 section 7.6.1), which are not forwarded, in a request or a
//! response. `Transfer-Encoding` is none of them here, because it frames the message that is
//! being written.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE};

/// Whether the `Connection` of a message names other fields of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionField {
    /// It names no field: it is absent, or holds `keep-alive` and `close` only.
    Plain,
    Nominates,
}

impl ConnectionField {
    pub fn of(headers: &HeaderMap) -> Self {
        let plain = |token: &[u8]| {
            token.is_empty() || token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close")
        };
        let mut values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
        // Nearly every value is a single token.
        if values.all(|value| plain(value) || split(value).all(plain)) { Self::Plain } else { Self::Nominates }
    }

    /// Whether a field is not forwarded. `Proxy-Authenticate` and `Proxy-Authorization` are: in
    /// front of a service there is no proxy that they could be meant for but one that the
    /// operator put behind this one, and other gateways pass them too. The caller decides about `Connection` and `Upgrade`,
    /// which some messages need.
    pub fn is_hop_by_hop(self, name: &HeaderName, headers: &HeaderMap) -> bool {
        self.ends(FieldKind::of(name.as_str()), name, headers)
    }

    /// As [`Self::is_hop_by_hop`], of a name whose kind is known.
    pub fn ends(self, kind: FieldKind, name: &HeaderName, headers: &HeaderMap) -> bool {
        match kind {
            FieldKind::Te | FieldKind::EndsHere => true,
            FieldKind::Switch | FieldKind::Frame => false,
            FieldKind::TellsOfTheClient | FieldKind::Other => {
                self == Self::Nominates
                    && tokens(headers).any(|token| token.eq_ignore_ascii_case(name.as_str().as_bytes()))
            }
        }
    }
}

/// What a proxy knows of a field by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `Connection` or `Upgrade`.
    Switch,
    Te,
    /// It ends at every hop, named by `Connection` or not. `Trailer` goes all the way: by it a recipient
    /// finds out that trailers were dropped (RFC 9110 section 6.6.2).
    EndsHere,
    /// A trusted proxy's word on the client.
    TellsOfTheClient,
    /// `Connection` must not remove what frames the message or says whom it is for.
    Frame,
    Other,
}

impl FieldKind {
    /// `name` in lower case.
    pub fn of(name: &str) -> Self {
        match name {
            "connection" | "upgrade" => Self::Switch,
            "te" => Self::Te,
            "keep-alive" | "proxy-connection" | "http2-settings" => Self::EndsHere,
            "content-length" | "transfer-encoding" | "set-cookie" | "host" => Self::Frame,
            "forwarded" | "x-real-ip" | "client-cert" | "client-cert-chain" => Self::TellsOfTheClient,
            other if other.starts_with("x-forwarded-") => Self::TellsOfTheClient,
            _ => Self::Other,
        }
    }
}

/// Whether a field ends at every hop; `name` in lower case.
pub fn ends_here(name: &str) -> bool {
    matches!(FieldKind::of(name), FieldKind::Te | FieldKind::EndsHere)
}

/// Whether a field is a trusted proxy's word on the client; `name` in lower case.
pub fn tells_of_the_client(name: &str) -> bool {
    FieldKind::of(name) == FieldKind::TellsOfTheClient
}

/// Whether `Connection` holds this token.
pub fn connection_has(headers: &HeaderMap, wanted: &[u8]) -> bool {
    tokens(headers).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// Whether `TE` says that trailers are understood (RFC 9110 section 10.1.4).
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(TE).iter().flat_map(|value| split(value.as_bytes()));
    fields.into_iter().any(|one| one.eq_ignore_ascii_case(b"trailers"))
}

/// What `Connection` names, tokens such as `close` included.
pub fn nominated(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    tokens(headers).filter(|token| !token.is_empty())
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(CONNECTION).iter().flat_map(|value| split(value.as_bytes()))
}

fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_ends_here() {
        let mut headers = HeaderMap::new();
        let hop = HeaderName::from_static("x-hop");
        let ends = |headers: &HeaderMap, name: &HeaderName| ConnectionField::of(headers).is_hop_by_hop(name, headers);
        assert!(!ends(&headers, &hop));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive , Close,"));
        assert_eq!(ConnectionField::of(&headers), ConnectionField::Plain);
        assert!(ends(&headers, &HeaderName::from_static("keep-alive")));
        headers.append(CONNECTION, HeaderValue::from_static("X-Hop,content-length"));
        assert!(ends(&headers, &hop));
        assert!(!ends(&headers, &http::header::CONTENT_LENGTH));
        assert!(!ends(&headers, &http::header::ETAG));
        assert!(connection_has(&headers, b"close") && !connection_has(&headers, b"clos"));
    }
}
