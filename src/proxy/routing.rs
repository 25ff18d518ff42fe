//! Which route takes a request, by which reading of its path, and the target that its upstream
//! gets.

use std::borrow::Cow;
use std::cmp::Reverse;

use pingora_http::RequestHeader;

use crate::config::{AmbiguousPaths, PathEdit};
use crate::filter::{Cause, edited};
use crate::message::path;
use crate::message::path_escapes::normal;
use crate::message::readings::{Readings, mixes_spellings_of_dots, resolved};
use crate::route::{RequestView, RouteIndex};
use crate::runtime::Snapshot;

/// A request as routes see it, and the parts of its target.
#[derive(Debug)]
pub struct TargetView<'r> {
    pub route_view: RequestView<'r>,
    pub target: &'r str,
    /// As it was sent.
    pub path: &'r str,
    pub query: Option<&'r str>,
    pub has_one_reading: bool,
}

/// Who decides on a path whose readings lead to different routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub policy: AmbiguousPaths,
    /// The route whose policy it is.
    pub route: RouteIndex,
}

impl TargetView<'_> {
    /// Every reading of the path, as sent first; `None` when they are too many.
    pub fn readings(&self) -> Option<Readings> {
        Readings::of(self.route_view.path)
    }

    /// The route that takes the request for a reading of its path.
    pub fn route_for(&self, path: &str, snapshot: &Snapshot) -> Option<RouteIndex> {
        snapshot.table.find(&RequestView { path, ..self.route_view })
    }

    /// Whether it matters that there are several readings: for the host that is asked for, or for
    /// an edit of the path.
    pub fn is_examined(&self, snapshot: &Snapshot) -> bool {
        !self.has_one_reading
            && (snapshot.minds_readings && snapshot.table.tells_paths_apart(&self.route_view)
                || path_edit(self.route_for(self.route_view.path, snapshot), snapshot).is_some())
    }

    /// Where the readings lead to different routes, the policy of the strictest of these.
    pub fn decision(&self, readings: &Readings, snapshot: &Snapshot) -> Option<Decision> {
        let routes: Vec<_> = readings.texts.iter().map(|path| self.route_for(path, snapshot)).collect();
        let differ = mixes_spellings_of_dots(self.path) || routes.iter().any(|route| Some(route) != routes.first());
        if differ { strictest(routes.into_iter().flatten(), snapshot) } else { None }
    }
}

fn path_edit(route: Option<RouteIndex>, snapshot: &Snapshot) -> Option<&PathEdit> {
    route.and_then(|index| snapshot.routes.get(index)).and_then(|route| route.filters.path_edit())
}

/// The first of the strictest. A reading that leads to no route has no rule that it could evade.
fn strictest(routes: impl Iterator<Item = RouteIndex>, snapshot: &Snapshot) -> Option<Decision> {
    let policy = |route: RouteIndex| Some(Decision { policy: snapshot.routes.get(route)?.ambiguous_paths, route });
    routes.filter_map(policy).min_by_key(|decision| Reverse(decision.policy.strictness()))
}

/// The route, and the target for its upstream where it is not the one that came.
pub fn find_route(
    request: &RequestHeader,
    snapshot: &Snapshot,
    view: &TargetView<'_>,
) -> Result<(RouteIndex, Option<String>), Cause> {
    let route = snapshot.table.find(&view.route_view);
    if view.is_examined(snapshot) {
        match (view.readings(), path_edit(route, snapshot)) {
            (Some(readings), edit) => match view.decision(&readings, snapshot).map(|decision| decision.policy) {
                Some(AmbiguousPaths::Reject) => return Err(Cause::PathAmbiguous),
                Some(AmbiguousPaths::Canonical) => return canonical_route(snapshot, view),
                Some(AmbiguousPaths::AsSent) | None => {
                    edit.map_or(Ok(()), |edit| check_edit(edit, &readings, view, snapshot, route))?;
                }
            },
            (None, Some(_)) => return Err(Cause::PathAmbiguous),
            (None, None) => {
                let possible = snapshot.table.for_some_path(&view.route_view);
                let decision = strictest(possible.into_iter(), snapshot);
                if decision.is_some_and(|decision| decision.policy != AmbiguousPaths::AsSent) {
                    return Err(Cause::PathAmbiguous);
                }
            }
        }
    }
    let as_sent = request.raw_path() == view.target.as_bytes();
    let normalized_target = (!as_sent).then(|| view.target.to_owned());
    Ok((route.ok_or(Cause::NoRoute)?, normalized_target))
}

/// The route of the resolved path, and that as the target.
fn canonical_route(snapshot: &Snapshot, view: &TargetView<'_>) -> Result<(RouteIndex, Option<String>), Cause> {
    let path = resolved(view.route_view.path);
    let route = view.route_for(&path, snapshot).ok_or(Cause::NoRoute)?;
    Ok((route, Some(with_query(path, view.query))))
}

/// Refuses a path where the edited one has a reading that is no edit of a reading: dots could
/// lead out of what the edit made.
fn check_edit(
    edit: &PathEdit,
    readings: &Readings,
    view: &TargetView<'_>,
    snapshot: &Snapshot,
    route: Option<RouteIndex>,
) -> Result<(), Cause> {
    if readings.leaves_root {
        return Err(Cause::PathLeavesRoot);
    }
    let sent = edited(view.route_view.path, edit);
    let made = normal(&sent).and_then(|path| Readings::of(&path)).ok_or(Cause::PathAmbiguous)?;
    // What the edit has brought to the front may be taken for an authority.
    let has_authority = |readings: &Readings| readings.texts.iter().any(|text| text.starts_with("//"));
    if !readings.have_dots() && (has_authority(readings) || !has_authority(&made)) {
        return Ok(());
    }
    let expected: Vec<Cow<'_, str>> = readings.texts.iter().map(|path| edited(path, edit)).collect();
    let is_expected = |path: &String| {
        let leads_back = |prefix: &str| view.route_for(&path::add_prefix(path, prefix), snapshot) == route;
        expected.iter().any(|other| other == path)
            || matches!(edit, PathEdit::StripPrefix(prefix) if leads_back(prefix))
    };
    if made.texts.iter().all(is_expected) { Ok(()) } else { Err(Cause::PathAmbiguous) }
}

fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        Some(query) => path + "?" + query,
        None => path,
    }
}
