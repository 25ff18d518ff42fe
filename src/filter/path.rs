//! `request.path`: the path that the upstream gets.

use std::borrow::Cow;

use regex::Regex;

use super::chain::{Chain, UpstreamRequestFilter};
use super::context::UpstreamRequestContext;
use crate::config::{PathEdit, Route};
use crate::message::path;
use crate::message::path_escapes::normal;

#[derive(Debug)]
struct Path(PathEdit);

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    if let Some(edit) = &route.request.path {
        chain.upstream_request.push(Box::new(Path(edit.clone())));
        chain.path_edit = Some(edit.clone());
    }
    Ok(())
}

impl UpstreamRequestFilter for Path {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>) {
        let path = &mut cx.target().path;
        *path = match path {
            Cow::Borrowed(path) => edited(path, &self.0),
            Cow::Owned(path) => edited(path, &self.0).into_owned().into(),
        };
    }
}

/// A path as the upstream gets it.
pub fn edited<'p>(path: &'p str, edit: &PathEdit) -> Cow<'p, str> {
    match edit {
        PathEdit::StripPrefix(prefix) => path::strip_prefix(path, prefix).into(),
        PathEdit::AddPrefix(prefix) => path::add_prefix(path, prefix).into(),
        PathEdit::Replace(whole) => whole.clone().into(),
        PathEdit::Regex { pattern, with } => match replaced(path, pattern, with) {
            Some(out) => out.into(),
            None => path.into(),
        },
    }
}

/// The pattern is looked for in the path as it was sent and, if it is not in that, in the form
/// that routes match, so that `/%61` is edited as `/a` is.
fn replaced(path: &str, pattern: &Regex, with: &str) -> Option<String> {
    let matched = if pattern.is_match(path) { Some(path.into()) } else { normal(path) };
    let out = matched.filter(|path| pattern.is_match(path)).map(|path| pattern.replace(&path, with).into_owned())?;
    // An origin-form target starts with a slash (RFC 9112 section 3.2.1).
    Some(if out.starts_with('/') { out } else { format!("/{out}") })
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::sent;
    use super::*;

    fn target(target: &str, edit: PathEdit) -> String {
        let up = sent(target, &[], |cx| Path(edit).on_upstream_request(cx));
        String::from_utf8(up.raw_path().to_vec()).unwrap()
    }

    #[test]
    fn paths_are_edited_without_touching_other_bytes() {
        let strip = || PathEdit::StripPrefix("/api".into());
        assert_eq!(target("/api/a%2Fb?x=%7e&&", strip()), "/a%2Fb?x=%7e&&");
        assert_eq!(target("/api?", strip()), "/?");
        assert_eq!(target("/x?y", PathEdit::AddPrefix("/api/".into())), "/api/x?y");
        assert_eq!(target("/x?y", PathEdit::Replace("/z".into())), "/z?y");
    }

    #[test]
    fn a_path_that_a_regex_made_starts_with_a_slash() {
        let regex = || PathEdit::Regex { pattern: "^/a/(.*)$".parse().unwrap(), with: "$1".into() };
        assert_eq!(target("/a/b?c", regex()), "/b?c");
        assert_eq!(target("/b", regex()), "/b");
    }
}
