//! The small languages that have no tests beside them.

use super::*;

fn is_accepted<T>(form: &Scalar<T>, text: &str) -> bool {
    (form.parse)(text).is_ok()
}

fn help<T: std::fmt::Debug>(form: &Scalar<T>, text: &str) -> String {
    (form.parse)(text).unwrap_err().help.unwrap()
}

#[test]
fn headers_and_cookies() {
    assert_eq!((EDITED_HEADER.parse)("X-Forwarded-For").unwrap().name.as_str(), "x-forwarded-for");
    for name in ["Connection", "Transfer-Encoding", "content-length", "a b", "", "é"] {
        assert!(!is_accepted(&EDITED_HEADER, name), "{name}");
    }
    assert!(!is_accepted(&HEADER_VALUE, "a\nb") && !is_accepted(&HEADER_VALUE, " a"));
    assert!(is_accepted(&HEADER_VALUE, "é"));
    assert!(!is_accepted(&COOKIE_NAME, "a=b") && !is_accepted(&COOKIE_VALUE, "a;b"));
    assert!(is_accepted(&COOKIE_VALUE, ""));
}

#[test]
fn hosts() {
    let host = |text| (HOST_PATTERN.parse)(text);
    assert_eq!(host("Example.COM"), Ok(HostPattern::Exact("example.com".into())));
    assert_eq!(host("*.a.b"), Ok(HostPattern::Suffix("a.b".into())));
    assert_eq!(host("*"), Ok(HostPattern::Any));
    assert_eq!(host("[::1]"), Ok(HostPattern::Exact("[::1]".into())));
    assert_eq!(help(&HOST_PATTERN, "a.b:80"), "write `a.b`");
    assert_eq!(help(&HOST_PATTERN, "http://a.b/c"), "write `a.b`");
    assert_eq!(help(&HOST_PATTERN, ".a.b"), "write `[\"*.a.b\", a.b]`, or one of the two");
    assert!(help(&HOST_PATTERN, "~^www\\d+").contains(r"header: { host: { regex: '^www\d+' } }"));
    assert_eq!(help(&HOST_PATTERN, "a.b, *.c.d"), "write `[a.b, \"*.c.d\"]`");
    assert_eq!(help(&HOST_PATTERN, "_"), "for every host, leave `host` out");
    for bad in ["a.*", "..a", ".", "", "a..b", "-a", "bücher.de", "*.*.a"] {
        assert!(!is_accepted(&HOST_PATTERN, bad), "{bad}");
    }
}

#[test]
fn methods() {
    assert!(is_accepted(&METHOD, "GET") && is_accepted(&METHOD, "PROPFIND"));
    assert_eq!(help(&METHOD, "get"), "write `GET`");
    assert_eq!(help(&METHOD, "get|POST"), "write `[GET, POST]`");
    assert_eq!(help(&METHOD, "*"), "for every method, leave `method` out");
    for bad in ["CONNECT", "TRACE", "", "A B"] {
        assert!(!is_accepted(&METHOD, bad), "{bad}");
    }
}
