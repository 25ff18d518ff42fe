//! `request.header` and `response.header`: the route's own fields. In a response they
//! come after everything else, in an upstream's as in the proxy's own.

use super::chain::{Chain, ResponseFilter, UpstreamRequestFilter};
use super::context::{ResponseContext, UpstreamRequestContext};
use super::editable::EditableHead;
use super::fields::Edited;
use crate::config::{HeaderEdits, Route};

#[derive(Debug)]
struct Headers(HeaderEdits);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    if let Some(headers) = Headers::of(&route.request.headers) {
        chain.upstream_request.push(Box::new(headers));
    }
    if let Some(headers) = Headers::of(&route.response.headers) {
        chain.response.push(Box::new(headers));
    }
    Ok(())
}

impl Headers {
    fn of(edits: &HeaderEdits) -> Option<Self> {
        let none = edits.remove.is_empty() && edits.set.is_empty() && edits.add.is_empty();
        (!none).then(|| Self(edits.clone()))
    }

    fn edit<H: EditableHead>(&self, head: &mut Edited<'_, H>) {
        if self.0.remove.iter().any(|name| head.fields().contains_key(name)) {
            head.retain(|name, _| !self.0.remove.contains(name));
        }
        for (name, value) in &self.0.set {
            head.set(name.spelled.clone(), value.clone());
        }
        for (name, value) in &self.0.add {
            head.append(name.spelled.clone(), value.clone());
        }
    }
}

impl UpstreamRequestFilter for Headers {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        self.edit(&mut cx.upstream);
    }
}

impl ResponseFilter for Headers {
    fn on_response(&self, cx: &mut ResponseContext<'_>) {
        self.edit(&mut cx.response);
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::{answered, sent};
    use super::super::fields::tests::{lines, response_lines};
    use super::*;
    use crate::config::FieldName;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn fields_go_are_replaced_and_are_added() {
        let name = |spelled: &str| FieldName { name: spelled.parse().unwrap(), spelled: spelled.to_owned() };
        let headers = Headers(HeaderEdits {
            remove: vec![HeaderName::from_static("x-gone")],
            set: vec![(name("X-Set"), HeaderValue::from_static("2"))],
            add: vec![(name("X-Add"), HeaderValue::from_static("3"))],
        });
        let fields = [("X-Gone", "1"), ("x-set", "1"), ("B", "1"), ("x-add", "1")];
        let expected = ["X-Set: 2", "B: 1", "x-add: 1", "X-Add: 3"];
        assert_eq!(lines(&sent("/", &fields, |cx| headers.on_upstream_request(cx))), expected);
        assert_eq!(response_lines(&answered(&fields, |cx| headers.on_response(cx))), expected);
    }
}
