//! What the filters found out of a request, for the phases after them.

use http::{HeaderName, HeaderValue};
use pingora_http::{RequestHeader, ResponseHeader};

use super::fields::Edited;

/// Fields that follow from who the client is and what it may do. They are there before the edits
/// of the operator, who can look at them and change them.
#[derive(Debug, Default)]
pub struct Findings {
    to_upstream: Vec<(HeaderName, Option<HeaderValue>)>,
    to_client: Vec<(HeaderName, HeaderValue)>,
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

    pub fn edit_request(&self, upstream: &mut Edited<'_, RequestHeader>) {
        for (name, value) in &self.to_upstream {
            match value {
                Some(value) => upstream.set(name.clone(), value.clone()),
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
        for (name, value) in [("X-Role", "admin"), ("X-User", "bob"), ("X-User", "eve"), ("X-Other", "1")] {
            upstream.append_header(name, value).unwrap();
        }
        let mut edited = Edited::new(&mut upstream);
        findings.edit_request(&mut edited);
        assert_eq!(edited.outcome(), Ok(()));
        assert_eq!(lines(&upstream), ["x-user: ann", "X-Other: 1"]);
    }
}
