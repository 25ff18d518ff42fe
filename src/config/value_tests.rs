//! Tests of `value`. Owns no code.

use super::*;

#[test]
fn durations() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
    assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
    for bad in ["", "10", "s", "-1s", "1.5s", "0s", "1d", "1h30m", "99999999999999999999s", "9000h", "10 s", "١s"] {
        assert!(duration(bad).is_err(), "{bad}");
    }
    for text in ["500ms", "1500ms", "90s", "5m", "1h", "90m"] {
        assert_eq!(duration(text).map(duration_text).as_deref(), Ok(text));
    }
}

#[test]
fn networks() {
    assert_eq!(cidr("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
    assert_eq!(cidr("::1").unwrap().to_string(), "::1/128");
    assert_eq!(cidr("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
    assert!(cidr("10.0.0.0/33").is_err());
    assert!(cidr("example.com").is_err());
    for (text, net) in [("::ffff:10.1.1.1", "10.1.1.1/32"), ("::ffff:10.0.0.0/104", "10.0.0.0/8")] {
        let help = format!("addresses are matched in their canonical form: write `{net}`");
        assert_eq!(cidr(text).unwrap_err().help, Some(help));
    }
}

#[test]
fn headers_and_cookies() {
    assert_eq!(edited_header("X-Forwarded-For").unwrap().name.as_str(), "x-forwarded-for");
    for name in ["Connection", "Transfer-Encoding", "content-length", "a b", "", "é"] {
        assert!(edited_header(name).is_err(), "{name}");
    }
    assert!(header_value("a\nb").is_err());
    assert!(header_value(" a").is_err());
    assert!(header_value("é").is_ok());
    assert!(cookie_name("a=b").is_err());
    assert!(cookie_value("a;b").is_err());
    assert!(cookie_value("").is_ok());
}

#[test]
fn hosts() {
    assert_eq!(host_pattern("Example.COM"), Ok(HostPattern::Exact("example.com".into())));
    assert_eq!(host_pattern("*.a.b"), Ok(HostPattern::Suffix("a.b".into())));
    assert_eq!(host_pattern("*"), Ok(HostPattern::Any));
    assert_eq!(host_pattern("[::1]"), Ok(HostPattern::Exact("[::1]".into())));
    assert_eq!(host_pattern("a.b:80").unwrap_err().help.as_deref(), Some("write `a.b`"));
    assert_eq!(host_pattern("http://a.b/c").unwrap_err().help.as_deref(), Some("write `a.b`"));
    for bad in ["a.*", "", "a..b", "-a", "bücher.de", "*.*.a"] {
        assert!(host_pattern(bad).is_err(), "{bad}");
    }
}

#[test]
fn templates() {
    let t = template("https://{host}{path}{query}").unwrap();
    assert_eq!(
        t.0,
        [TemplatePart::Text("https://".into()), TemplatePart::Host, TemplatePart::Path, TemplatePart::Query]
    );
    assert_eq!(template("{hots}").unwrap_err().help.as_deref(), Some("did you mean `{host}`?"));
    for text in ["{{x}}{host}", "", "a}}b", "é{method}{client_ip}{request_id}{scheme}"] {
        assert_eq!(template(text).map(|t| template_text(&t)).as_deref(), Ok(text));
    }
    for bad in ["{", "}", "{}", "{host"] {
        assert!(template(bad).is_err(), "{bad}");
    }
}

#[test]
fn statuses() {
    assert_eq!(status("308").map(|s| s.as_u16()), Ok(308));
    for bad in ["0308", "99", "600", "abc", "", "3e2"] {
        assert!(status(bad).is_err(), "{bad}");
    }
}

#[test]
fn query_text_survives() {
    assert_eq!(query_encode("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    for text in ["a b&c=ü", "", "%41", "%", "+"] {
        assert_eq!(query_decode(&query_encode(text)), text);
    }
}

#[test]
fn nearest_words() {
    assert_eq!(nearest("upstrem", ["upstream", "redirect"]), Some("upstream"));
    assert_eq!(nearest("foo", ["upstream", "redirect"]), None);
    assert_eq!(nearest("Host", ["host"]), Some("host"));
    assert_eq!(nearest("warning", ["error", "warn", "info"]), Some("warn"));
}
