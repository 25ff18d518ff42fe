//! `request.query`: the query that the upstream gets.

use super::chain::{Chain, UpstreamRequestFilter};
use super::context::UpstreamRequestContext;
use crate::config::{QueryEdits, Route};
use crate::message::query;

#[derive(Debug)]
struct Query(QueryEdits);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let edits = &route.request.query;
    if !(edits.remove.is_empty() && edits.set.is_empty() && edits.add.is_empty()) {
        chain.upstream_request.push(Box::new(Query(edits.clone())));
    }
    Ok(())
}

impl UpstreamRequestFilter for Query {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        let edits = &self.0;
        let query = &mut cx.target().query;
        *query = query::edit(query.as_deref(), &edits.remove, &edits.set, &edits.add).map(Into::into);
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::sent;
    use super::*;

    #[test]
    fn a_query_is_edited_and_the_path_stays() {
        let edits = QueryEdits { remove: vec!["a".into()], set: vec![("b".into(), "2".into())], add: Vec::new() };
        let edited = |target| {
            let up = sent(target, &[], |cx| Query(edits.clone()).on_upstream_request(cx));
            String::from_utf8(up.raw_path().to_vec()).unwrap()
        };
        assert_eq!(edited("/x%2f?a=1&c=%7e"), "/x%2f?c=%7e&b=2");
        assert_eq!(edited("/x"), "/x?b=2");
        let gone = QueryEdits { remove: vec!["a".into()], ..QueryEdits::default() };
        let up = sent("/x?a", &[], |cx| Query(gone).on_upstream_request(cx));
        assert_eq!(up.raw_path(), b"/x");
    }
}
