//! Which fields of a route are not the client's to say behind the body of a request: those in which
//! the upstream is told of the client, those that the operator edits, and those that decided about
//! the request.

use http::HeaderName;

use super::chain::Chain;
use crate::config::{LimitKey, Route, TokenPlace};

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let names = withheld(route);
    chain.withheld_trailers = (!names.is_empty()).then(|| names.into());
    Ok(())
}

fn withheld(route: &Route) -> Vec<HeaderName> {
    let edits = &route.request.headers;
    let set = edits.set.iter().chain(&edits.add).map(|(name, _)| name.name.clone());
    let mut names: Vec<HeaderName> = edits.remove.iter().cloned().chain(set).collect();
    if let Some(auth) = &route.auth {
        names.extend(auth.basic.iter().filter_map(|basic| basic.user_header.clone()));
        names.extend(auth.forward.iter().flat_map(|forward| &forward.response_headers).cloned());
        names.extend(auth.forward.iter().flat_map(|forward| &forward.request_headers).cloned());
        names.extend(auth.oidc.iter().flat_map(|oidc| &oidc.claims_to_headers).map(|(_, name)| name.clone()));
        if let Some(jwt) = &auth.jwt {
            names.extend(jwt.claims_to_headers.iter().map(|(_, name)| name.clone()));
            if let TokenPlace::Header(name) = &jwt.from {
                names.push(name.clone());
            }
        }
    }
    names.extend(route.rate_limits.iter().filter_map(|limit| match &limit.key {
        LimitKey::Header(name) => Some(name.clone()),
        LimitKey::ClientIp | LimitKey::Route | LimitKey::Cookie(_) | LimitKey::Claim(_) => None,
    }));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_proxy_tells_edits_and_decides_by_is_withheld() {
        let names = |route: &str| {
            let text = format!("listeners: [':80']\nroutes: [{{ upstream: '127.0.0.1:1', {route} }}]\n");
            let (config, _) = crate::config::parse("test.yaml", &text, &|_| None).unwrap();
            withheld(&config.routes[0]).iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert!(names("").is_empty());
        let edits = "request: { header: { remove: [a], set: { b: 1 }, add: { c: 1 } } }, rate_limit: { rate: 1/s, key: 'header:d' }";
        assert_eq!(names(edits), ["a", "b", "c", "d"]);
        let asked = "auth: { forward: { url: 'http://a/', request_headers: [e], response_headers: [f] } }";
        assert_eq!(names(asked), ["f", "e"]);
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
        let login = format!(
            "auth: {{ oidc: {{ issuer: 'https://id.test', client_id: a, cookie_secret_file: '{}', claims_to_headers: {{ a: g }} }} }}",
            secret.display()
        );
        assert_eq!(names(&login), ["g"]);
    }
}
