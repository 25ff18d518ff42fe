//! What else than host and path a route asks for, in words. Values that may be secrets are left out, by the
//! rule of the public configuration.

use crate::config::{ClientCertPattern, Match, Such, ValuePattern, may_be_secret};

/// A text for each condition.
pub fn describe(matcher: &Match) -> Vec<String> {
    let Match { methods, headers, query, cookies, client_ips, client_cert, .. } = matcher;
    let mut all = Vec::new();
    if !methods.is_empty() {
        all.push(format!("method {}", one_of(methods)));
    }
    all.extend(headers.iter().map(|(name, pattern)| value("header", name.as_str(), pattern)));
    all.extend(query.iter().map(|(name, pattern)| value("query parameter", name, pattern)));
    all.extend(cookies.iter().map(|(name, pattern)| value("cookie", name, pattern)));
    if !client_ips.is_empty() {
        all.push(format!("client address in {}", one_of(client_ips)));
    }
    all.extend(client_cert.as_ref().map(certificate));
    all
}

fn value(what: &str, name: &str, pattern: &ValuePattern) -> String {
    let shown = |value: &str| if may_be_secret(name) { "***".to_owned() } else { value.to_owned() };
    let test = match pattern {
        ValuePattern::Is(value) => format!("is `{}`", shown(value)),
        ValuePattern::Regex(regex) => format!("matches /{}/", shown(regex.as_str())),
        ValuePattern::Present => "is there".to_owned(),
        ValuePattern::Absent => "is not there".to_owned(),
    };
    format!("{what} `{name}` {test}")
}

fn certificate(pattern: &ClientCertPattern) -> String {
    let Such { common_names, sans, fingerprints } = match pattern {
        ClientCertPattern::Present => return "with a client certificate".to_owned(),
        ClientCertPattern::Absent => return "without a client certificate".to_owned(),
        ClientCertPattern::Such(such) => such,
    };
    let parts = [
        ("common name", one_of(common_names)),
        ("alternative name", one_of(sans)),
        ("SHA-256 fingerprint", one_of(fingerprints)),
    ];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<_> = parts.map(|(what, names)| format!("{what} {names}")).collect();
    format!("client certificate with {}", parts.join(" and "))
}

fn one_of(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn conditions(matcher: &str) -> Vec<String> {
        let yaml = format!("listeners: [':80']\nroutes:\n  - match: {matcher}\n    respond: {{}}\n");
        let config = parse("p.yaml", &yaml, &|_| None).unwrap_or_else(|e| panic!("{e}")).0;
        describe(&config.routes[0].matcher)
    }

    #[test]
    fn each_condition_is_told_and_no_secret() {
        assert_eq!(conditions("{ host: a.test, path: /a }"), Vec::<String>::new());
        let all = "{ method: [GET, POST], header: { x-plain: v, X-Api-Key: s3cret, x-a: { present: true } }, \
                   query: { q: { regex: '^1' }, token: { regex: s3cret } }, cookie: { c: { present: false } }, \
                   client_ip: [10.0.0.0/8, '::1'] }";
        assert_eq!(
            conditions(all),
            [
                "method GET or POST",
                "header `x-plain` is `v`",
                "header `x-api-key` is `***`",
                "header `x-a` is there",
                "query parameter `q` matches /^1/",
                "query parameter `token` matches /***/",
                "cookie `c` is not there",
                "client address in 10.0.0.0/8 or ::1/128",
            ]
        );
    }

    #[test]
    fn a_certificate_is_told_by_what_is_asked_of_it() {
        let such = Such {
            common_names: vec!["a".to_owned(), "b".to_owned()],
            sans: vec!["c.test".to_owned()],
            fingerprints: Vec::new(),
        };
        let told = |client_cert| describe(&Match { client_cert: Some(client_cert), ..Match::default() });
        assert_eq!(
            told(ClientCertPattern::Such(such)),
            ["client certificate with common name a or b and alternative name c.test"]
        );
        assert_eq!(told(ClientCertPattern::Absent), ["without a client certificate"]);
    }
}
