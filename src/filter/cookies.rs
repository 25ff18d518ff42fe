//! `request.cookie`: the cookies that the upstream gets.

use http::header;

use super::chain::{Chain, UpstreamRequestFilter};
use super::context::UpstreamRequestContext;
use crate::config::{CookieEdits, Route};
use crate::message::cookie;

#[derive(Debug)]
struct Cookies(CookieEdits);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let edits = &route.request.cookies;
    if !(edits.remove.is_empty() && edits.set.is_empty()) {
        chain.upstream_request.push(Box::new(Cookies(edits.clone())));
    }
    Ok(())
}

impl Cookies {
    /// Whether cookies of that name which the client sent go no further.
    fn names(&self, name: &[u8]) -> bool {
        self.0.remove.iter().any(|r| r.as_bytes() == name) || self.0.set.iter().any(|(n, _)| n.as_bytes() == name)
    }
}

impl UpstreamRequestFilter for Cookies {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        let upstream = &mut cx.upstream;
        let came = upstream.headers.get_all(header::COOKIE).iter();
        let mut fields: Vec<Vec<u8>> =
            came.filter_map(|field| cookie::without(field.as_bytes(), |name| self.names(name))).collect();
        for (name, value) in &self.0.set {
            let pair = format!("{name}={value}").into_bytes();
            match fields.last_mut() {
                Some(field) => {
                    field.extend_from_slice(b"; ");
                    field.extend_from_slice(&pair);
                }
                None => fields.push(pair),
            }
        }
        let mut fields = fields.into_iter().map(pingora_http::header_value_from_raw);
        match fields.next() {
            // Keeps the place of the first and drops the others.
            Some(first) => upstream.set("Cookie", first),
            None => upstream.retain(|name, _| name != header::COOKIE),
        }
        fields.for_each(|field| upstream.append("Cookie", field));
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::sent;
    use super::super::fields::tests::lines;
    use super::*;

    #[test]
    fn cookies_are_set_once() {
        let cookies = Cookies(CookieEdits { remove: vec!["a".into()], set: vec![("k".into(), "new".into())] });
        let up = sent("/", &[("Cookie", "a=1; k=old"), ("Cookie", "b=2")], |cx| cookies.on_upstream_request(cx));
        assert_eq!(lines(&up), ["Cookie: b=2; k=new"]);
    }

    #[test]
    fn a_field_of_which_nothing_is_left_goes() {
        let cookies = Cookies(CookieEdits { remove: vec!["a".into()], set: Vec::new() });
        let up = sent("/", &[("Cookie", "a=1"), ("B", "1")], |cx| cookies.on_upstream_request(cx));
        assert_eq!(lines(&up), ["B: 1"]);
    }
}
