//! What the filters found out of a request, for the phases after them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use pingora_http::{RequestHeader, ResponseHeader};

use super::fields::Edited;
use crate::auth::Told;
use crate::http1::spelling::SpelledName;
use crate::limit::Counted;
use crate::message::alike::are_alike;

/// Fields that follow from who the client is and what it may do. They are there before the edits
/// of the operator, who can look at them and change them.
#[derive(Debug, Default)]
pub struct Findings {
    to_upstream: Vec<(HeaderName, Option<HeaderValue>)>,
    to_client: Vec<(HeaderName, HeaderValue)>,
    cookies: Vec<HeaderValue>,
    told: Option<Arc<Told>>,
    /// Whether no cache may keep the response, whatever the operator's fields say.
    is_private: bool,
    /// What an error page offers.
    way_out: Option<Box<WayOut>>,
    /// By which of the route's rate limits the request was counted, where there are several.
    counted: Vec<(usize, Counted)>,
}

/// What an error page says beside the reason, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayOut {
    /// A path of this host.
    pub href: String,
    pub label: &'static str,
    /// In words that others have chosen.
    pub detail: Option<String>,
}

impl Findings {
    /// The upstream is told so in this field, whatever the client said there. Without a value
    /// it has no such field.
    pub fn tell_upstream(&mut self, name: HeaderName, value: Option<HeaderValue>) {
        self.to_upstream.push((name, value));
    }

    /// The client is told so in a field of its response, whoever gives that.
    pub fn tell_client(&mut self, name: HeaderName, value: HeaderValue) {
        self.to_client.push((name, value));
    }

    /// The client is told `value` in the place of what it was to be told in such a field before,
    /// beginning with `start`.
    pub fn correct_client(&mut self, name: &HeaderName, start: &str, value: &HeaderValue) {
        let told = self.to_client.iter_mut().filter(|(told, _)| told == name);
        told.filter(|(_, before)| before.as_bytes().starts_with(start.as_bytes()))
            .for_each(|(_, before)| before.clone_from(value));
    }

    /// The limit at this place of the route's list has counted the request.
    pub fn note_counted(&mut self, at: usize, counted: Counted) {
        self.counted.push((at, counted));
    }

    /// The limits that have counted the request.
    pub fn take_counted(&mut self) -> Vec<(usize, Counted)> {
        std::mem::take(&mut self.counted)
    }

    /// The client gets this cookie, as it is: what the operator changes in the cookies of upstreams
    /// is not said of it.
    pub fn set_cookie(&mut self, cookie: HeaderValue) {
        self.cookies.push(cookie);
    }

    /// No cache keeps the response, whatever the operator's fields say.
    pub fn keep_private(&mut self) {
        self.is_private = true;
    }

    /// An error page leads there.
    pub fn offer(&mut self, way_out: WayOut) {
        self.way_out = Some(Box::new(way_out));
    }

    pub fn way_out(&self) -> Option<&WayOut> {
        self.way_out.as_deref()
    }

    /// Sets the cookies, when the response was edited.
    pub fn set_cookies(&self, response: &mut Edited<'_, ResponseHeader>) {
        if self.is_private {
            response.set("Cache-Control", HeaderValue::from_static("no-store"));
        }
        self.cookies.iter().for_each(|cookie| response.append("Set-Cookie", cookie.clone()));
    }

    /// What the token of the client says, once it was found to be good.
    pub fn set_claims(&mut self, told: Arc<Told>) {
        self.told = Some(told);
    }

    pub fn claim(&self, name: &str) -> Option<&str> {
        self.told.as_ref()?.text(name)
    }

    pub fn edit_request(&self, upstream: &mut Edited<'_, RequestHeader>) {
        for (name, value) in &self.to_upstream {
            // CGI and WSGI fold `_` and `-`: nobody is to say it in disguise.
            upstream.retain(|field, _| field == name || !are_alike(field.as_str(), name.as_str()));
            match value {
                Some(value) => upstream.set(SpelledName::Usual(name).to_bytes(), value.clone()),
                None => upstream.retain(|field, _| field != name),
            }
        }
    }

    pub fn edit_response(&self, response: &mut Edited<'_, ResponseHeader>) {
        self.to_client.iter().for_each(|(name, value)| response.append(name.clone(), value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::lines;
    use super::*;

    #[test]
    fn an_upstream_is_told_what_was_found_and_not_what_the_client_says() {
        let mut findings = Findings::default();
        findings.tell_upstream(HeaderName::from_static("x-user"), Some(HeaderValue::from_static("ann")));
        findings.tell_upstream(HeaderName::from_static("x-role"), None);
        let mut upstream = RequestHeader::build("GET", b"/", None).unwrap();
        let came = [
            ("X-Role", "admin"),
            ("X-User", "bob"),
            ("X_User", "bob"),
            ("X-User", "eve"),
            ("x_role", "admin"),
            ("X-Other", "1"),
        ];
        for (name, value) in came {
            upstream.append_header(name, value).unwrap();
        }
        let mut edited = Edited::new(&mut upstream);
        findings.edit_request(&mut edited);
        assert_eq!(edited.outcome(), Ok(()));
        assert_eq!(lines(&upstream), ["X-User: ann", "X-Other: 1"]);
    }
}
