//! By what the requests of a route are told apart: the listener, the method and the status.

use http::Method;

/// The methods of RFC 9110 and PATCH (RFC 5789), and all others as one: anybody can make one up.
pub const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_other"];
const OTHER_METHOD: u8 = 9;

/// The place of a method in [`METHODS`].
pub fn method_index(method: &Method) -> u8 {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::CONNECT => 5,
        Method::OPTIONS => 6,
        Method::TRACE => 7,
        Method::PATCH => 8,
        _ => OTHER_METHOD,
    }
}

/// The listeners that are told apart; those beyond are `_other`.
const LISTENERS: usize = (1 << 12) - 1;

/// One combination, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series(u32);

/// Tells a series from an empty place.
const USED: u32 = 1 << 31;

impl Series {
    /// `code`: the status, or 0 where none was sent. What is above 599 is no status of HTTP.
    pub fn new(listener: usize, method: u8, code: u16) -> Self {
        let listener = u32::try_from(listener.min(LISTENERS)).unwrap_or_default();
        let code = if code < 600 { u32::from(code) } else { 999 };
        Self(USED | listener << 14 | u32::from(method.min(OTHER_METHOD)) << 10 | code)
    }

    pub(super) fn to_bits(self) -> u32 {
        self.0
    }

    pub(super) fn from_bits(bits: u32) -> Option<Self> {
        (bits & USED != 0).then_some(Self(bits))
    }

    /// `None` for one of those that are not told apart.
    pub fn listener(self) -> Option<usize> {
        usize::try_from(self.0 >> 14 & 0xfff).ok().filter(|listener| *listener < LISTENERS)
    }

    pub fn method(self) -> &'static str {
        usize::try_from(self.0 >> 10 & 0xf).ok().and_then(|at| METHODS.get(at)).copied().unwrap_or("_other")
    }

    /// The status; 0 where none was sent, 999 for what is no status.
    pub fn code(self) -> u16 {
        u16::try_from(self.0 & 0x3ff).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for (listener, method, code) in [(0, 0, 200), (4094, 9, 599), (7, 8, 0)] {
            let series = Series::new(listener, method, code);
            let seen = (series.listener(), series.method(), series.code());
            assert_eq!(seen, (Some(listener), METHODS[usize::from(method)], code));
        }
        let far = Series::new(5000, 77, 612);
        assert_eq!((far.listener(), far.method(), far.code()), (None, "_other", 999));
    }

    #[test]
    fn methods_have_their_names() {
        for name in &METHODS[..9] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(METHODS[usize::from(method_index(&method))], *name);
        }
        for odd in ["BREW", "get", "PROPFIND", "_other"] {
            assert_eq!(method_index(&Method::from_bytes(odd.as_bytes()).unwrap()), OTHER_METHOD);
        }
    }
}
