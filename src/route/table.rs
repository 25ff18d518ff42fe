//! The compiled table: it finds hosts by hash, exact paths by hash, prefixes by one hash for
//! each segment, and tries regexes in order.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::condition::{self, Mismatch, RequestView};
use crate::config::rank::{self, Rank};
use crate::config::{HostPattern, Match, PathPattern};

/// Index of a route in the order of the file.
pub type RouteIndex = usize;

/// Finds the route with the greatest [`Rank`] among those that match.
#[derive(Debug)]
pub struct RouteTable {
    matchers: Vec<Match>,
    exact_hosts: HashMap<String, Paths>,
    /// The key is the host pattern without its `*.`.
    suffixes: HashMap<String, Paths>,
    any_host: Paths,
}

/// Routes by falling rank, so that the first one that matches is the best of its list.
type Candidates = Vec<(Rank, RouteIndex)>;

#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<String, Candidates>,
    /// The key is the prefix without its final slash; that of the root is empty.
    prefix: HashMap<String, Candidates>,
    longest_prefix: usize,
    regex: Candidates,
    any: Candidates,
    /// The greatest rank of a route for some paths only.
    best_of_some: Option<Rank>,
}

impl RouteTable {
    /// Compiles matchers and their priorities, in the order of the file.
    pub fn new(routes: impl IntoIterator<Item = (Match, i32)>) -> Self {
        let mut table = Self::empty();
        for (index, (matcher, priority)) in routes.into_iter().enumerate() {
            table.insert(index, &matcher, priority);
            table.matchers.push(matcher);
        }
        table.sorted()
    }

    /// A table for requests of which not everything is known: each route ranks as its own matcher says, and
    /// takes what the other one lets through; without another one it takes nothing.
    pub fn supposing(routes: impl IntoIterator<Item = (Match, i32, Option<Match>)>) -> Self {
        let mut table = Self::empty();
        for (index, (matcher, priority, supposed)) in routes.into_iter().enumerate() {
            if supposed.is_some() {
                table.insert(index, &matcher, priority);
            }
            table.matchers.push(supposed.unwrap_or(matcher));
        }
        table.sorted()
    }

    fn empty() -> Self {
        Self { matchers: Vec::new(), exact_hosts: HashMap::new(), suffixes: HashMap::new(), any_host: Paths::default() }
    }

    fn sorted(mut self) -> Self {
        self.any_host.sort();
        self.exact_hosts.values_mut().chain(self.suffixes.values_mut()).for_each(Paths::sort);
        self
    }

    fn insert(&mut self, index: RouteIndex, matcher: &Match, priority: i32) {
        for host in rank::hosts(matcher) {
            let paths = match host {
                HostPattern::Any => &mut self.any_host,
                HostPattern::Suffix(suffix) => self.suffixes.entry(suffix.clone()).or_default(),
                HostPattern::Exact(exact) => self.exact_hosts.entry(exact.clone()).or_default(),
            };
            for path in rank::paths(matcher) {
                paths.insert(index, path, Rank::of(matcher, priority, host, path, index));
            }
        }
    }

    /// The route that takes a request. Hosts and paths are matched without allocation.
    pub fn find(&self, view: &RequestView<'_>) -> Option<RouteIndex> {
        self.find_ranked(view).map(|(_, index)| index)
    }

    /// The route that takes a request, with its rank.
    pub fn find_ranked(&self, view: &RequestView<'_>) -> Option<(Rank, RouteIndex)> {
        let mut best = None;
        self.each_of_host(view.host, |paths| paths.improve(&mut best, view, &self.matchers));
        best
    }

    /// Whether another path could lead such a request to another route: whether, for its host, a
    /// route for some paths ranks above the best of those for all.
    pub fn tells_paths_apart(&self, view: &RequestView<'_>) -> bool {
        let for_all = self.best_for_all_paths(view);
        let mut apart = false;
        self.each_of_host(view.host, |paths| {
            apart |= paths.best_of_some.is_some_and(|rank| for_all.is_none_or(|(best, _)| rank > best));
        });
        apart
    }

    /// Every route that takes such a request with some path.
    pub fn for_some_path(&self, view: &RequestView<'_>) -> Vec<RouteIndex> {
        let for_all = self.best_for_all_paths(view);
        let mut found = Vec::new();
        self.each_of_host(view.host, |paths| {
            let could_win = |(rank, index): &&(Rank, RouteIndex)| {
                for_all.is_none_or(|(best, _)| *rank >= best)
                    && self.matchers.get(*index).is_some_and(|matcher| condition::others_hold(matcher, view))
            };
            found.extend(paths.all().filter(could_win).map(|(_, index)| *index));
        });
        found
    }

    /// The best of the routes that take such a request whatever its path.
    fn best_for_all_paths(&self, view: &RequestView<'_>) -> Option<(Rank, RouteIndex)> {
        let mut best = None;
        self.each_of_host(view.host, |paths| paths.improve_for_all(&mut best, view, &self.matchers));
        best
    }

    /// What is known of the paths of a host, by each pattern that covers it.
    fn each_of_host<'t>(&'t self, host: &str, mut then: impl FnMut(&'t Paths)) {
        if let Some(paths) = self.exact_hosts.get(host) {
            then(paths);
        }
        if !self.suffixes.is_empty() {
            for (at, _) in host.match_indices('.').filter(|(at, _)| *at > 0) {
                if let Some(paths) = self.suffixes.get(&host[at + 1..]) {
                    then(paths);
                }
            }
        }
        then(&self.any_host);
    }

    /// Why a route does not match a request; `None` when it matches.
    pub fn mismatch(&self, index: RouteIndex, view: &RequestView<'_>) -> Option<Mismatch> {
        self.matchers.get(index).and_then(|m| condition::first_mismatch(m, view))
    }
}

/// Whether a pattern covers every path that begins with `/`.
fn is_for_all(pattern: Option<&PathPattern>) -> bool {
    match pattern {
        None => true,
        Some(PathPattern::Prefix(prefix)) => prefix == "/",
        Some(PathPattern::Exact(_) | PathPattern::Regex(_)) => false,
    }
}

impl Paths {
    fn insert(&mut self, index: RouteIndex, path: Option<&PathPattern>, rank: Rank) {
        if !is_for_all(path) {
            self.best_of_some = self.best_of_some.max(Some(rank));
        }
        let list = match path {
            None => &mut self.any,
            Some(PathPattern::Regex(_)) => &mut self.regex,
            Some(PathPattern::Exact(exact)) => self.exact.entry(exact.clone()).or_default(),
            Some(PathPattern::Prefix(prefix)) => {
                let key = rank::without_slash(prefix);
                self.longest_prefix = self.longest_prefix.max(key.len());
                self.prefix.entry(key.to_owned()).or_default()
            }
        };
        // All regexes of a route have one rank, and are tried together.
        if list.last() != Some(&(rank, index)) {
            list.push((rank, index));
        }
    }

    fn sort(&mut self) {
        let lists = self.exact.values_mut().chain(self.prefix.values_mut());
        for list in lists.chain([&mut self.regex, &mut self.any]) {
            list.sort_by_key(|&(rank, _)| Reverse(rank));
        }
    }

    fn improve(&self, best: &mut Option<(Rank, RouteIndex)>, view: &RequestView<'_>, matchers: &[Match]) {
        let mut offer = |list: &Candidates, path_holds: PathHolds| offer(list, path_holds, best, view, matchers);
        if let Some(list) = self.exact.get(view.path) {
            offer(list, |_, _| true);
        }
        if !self.prefix.is_empty() {
            self.offer_prefixes(view.path, &mut |list| offer(list, |_, _| true));
        }
        // The one kind of path that the index has not checked.
        offer(&self.regex, condition::regex_holds);
        offer(&self.any, |_, _| true);
    }

    /// The same, of those only that cover every path.
    fn improve_for_all(&self, best: &mut Option<(Rank, RouteIndex)>, view: &RequestView<'_>, matchers: &[Match]) {
        let root = self.prefix.get("").filter(|_| view.path.starts_with('/'));
        for list in root.into_iter().chain([&self.any]) {
            offer(list, |_, _| true, best, view, matchers);
        }
    }

    fn all(&self) -> impl Iterator<Item = &(Rank, RouteIndex)> {
        self.exact.values().chain(self.prefix.values()).chain([&self.regex, &self.any]).flatten()
    }

    /// Offers the prefixes that cover the path: the path itself, then each of its parents,
    /// longest first. A long path costs no more than the longest configured prefix.
    fn offer_prefixes(&self, path: &str, offer: &mut impl FnMut(&Candidates)) {
        let reach = path.len().min(self.longest_prefix + 1);
        let whole = (path.len() <= self.longest_prefix).then(|| self.prefix.get(path));
        if let Some(list) = whole.flatten() {
            offer(list);
        }
        for at in memchr::memrchr_iter(b'/', &path.as_bytes()[..reach]) {
            if let Some(list) = self.prefix.get(&path[..at]) {
                offer(list);
            }
        }
    }
}

/// Whether the path holds of a route that the index has offered.
type PathHolds = fn(&Match, &RequestView<'_>) -> bool;

/// Takes the first of a list that matches, if it ranks above the best so far.
fn offer(
    list: &Candidates,
    path_holds: PathHolds,
    best: &mut Option<(Rank, RouteIndex)>,
    view: &RequestView<'_>,
    matchers: &[Match],
) {
    for &(rank, index) in list {
        if best.is_some_and(|(winner, _)| winner >= rank) {
            return;
        }
        if matchers.get(index).is_some_and(|m| path_holds(m, view) && condition::others_hold(m, view)) {
            *best = Some((rank, index));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};
    use proptest::prelude::*;
    use regex::Regex;
    use std::collections::BTreeSet;

    fn on(host: &str, path: Option<PathPattern>) -> Match {
        let host = match (host, host.strip_prefix("*.")) {
            ("", _) => vec![],
            (_, Some(suffix)) => vec![HostPattern::Suffix(suffix.into())],
            (exact, None) => vec![HostPattern::Exact(exact.into())],
        };
        Match { hosts: host, paths: path.into_iter().collect(), ..Match::default() }
    }

    fn prefix(text: &str) -> Option<PathPattern> {
        Some(PathPattern::Prefix(text.into()))
    }

    fn find(table: &RouteTable, host: &str, path: &str) -> Option<RouteIndex> {
        let headers = HeaderMap::new();
        let view = RequestView {
            method: &Method::GET,
            host,
            path,
            query: "",
            headers: &headers,
            client_ip: None,
            client_cert: None,
        };
        table.find(&view)
    }

    #[test]
    fn the_most_specific_route_wins() {
        let table = RouteTable::new([
            (on("", None), 0),
            (on("", prefix("/")), 0),
            (on("", prefix("/api/")), 0),
            (on("", prefix("/api/v1")), 0),
            (on("", Some(PathPattern::Exact("/api/v1/x".into()))), 0),
            (on("*.a.com", None), 0),
            (on("b.a.com", None), 0),
            (on("", Some(PathPattern::Regex(Regex::new("^/api/re").unwrap()))), 0),
            (on("", prefix("/forced")), 0),
            (on("", Some(PathPattern::Regex(Regex::new("^/forced").unwrap()))), 1),
        ]);
        for (host, path, index) in [
            ("x", "/", 1),
            ("x", "/apix", 1),
            ("x", "/api", 2),
            ("x", "/api/v1/y", 3),
            ("x", "/api/v1/x", 4),
            ("c.a.com", "/api", 5),
            ("d.c.a.com", "/api", 5),
            ("a.com", "/api", 2),
            ("b.a.com", "/api/v1/x", 6),
            ("x", "/api/re", 2),
            ("x", "/forced/x", 9),
        ] {
            assert_eq!(find(&table, host, path), Some(index), "{host}{path}");
        }
        assert_eq!(find(&RouteTable::new([(on("a", None), 0)]), "b", "/"), None);
    }

    #[test]
    fn more_conditions_win_and_the_first_among_equals() {
        let get = Match { methods: vec![Method::GET], ..on("", None) };
        let post = Match { methods: vec![Method::POST], ..on("", None) };
        let table = RouteTable::new([(on("", None), 0), (get.clone(), 0), (get, 0), (post, 0)]);
        assert_eq!(find(&table, "x", "/"), Some(1));
    }

    #[test]
    fn paths_are_told_apart_for_the_hosts_whose_routes_do() {
        let routes = [
            (on("plain", None), 0),
            (on("split", None), 0),
            (on("split", prefix("/x")), 0),
            (on("*.any", prefix("/")), 0),
            (on("", prefix("/y")), 0),
        ];
        let above_all = (on("", Some(PathPattern::Exact("/z".into()))), 1);
        let asked = |table: &RouteTable, host: &str| {
            let headers = HeaderMap::new();
            let view = RequestView {
                method: &Method::GET,
                host,
                path: "/q",
                query: "",
                headers: &headers,
                client_ip: None,
                client_cert: None,
            };
            let mut routes = table.for_some_path(&view);
            routes.sort_unstable();
            (table.tells_paths_apart(&view), routes)
        };
        let table = RouteTable::new(routes.clone());
        assert_eq!(asked(&table, "plain"), (false, vec![0]));
        assert_eq!(asked(&table, "split"), (true, vec![1, 2]));
        assert_eq!(asked(&table, "b.any"), (false, vec![3]));
        assert_eq!(asked(&table, "other"), (true, vec![4]));
        let table = RouteTable::new(routes.into_iter().chain([above_all]));
        assert_eq!(asked(&table, "plain"), (true, vec![0, 5]));
    }

    proptest! {
        /// The index agrees with a search of all routes in turn.
        #[test]
        fn the_index_agrees_with_a_plain_search(
            routes in proptest::collection::vec(
                ("(|a|b\\.a|\\*\\.a)", proptest::collection::vec(("(/|/x|/x/|/x/y|/xy)", 0..3), 0..3), -1i32..2),
                1..12,
            ),
            host in "(a|b\\.a|c\\.b\\.a|z)",
            path in "(/|/x|/x/|/x/y|/x/y/z|/xy|/q)",
        ) {
            let pattern = |(path, kind): &(String, i32)| match kind {
                0 => PathPattern::Exact(path.clone()),
                1 => PathPattern::Prefix(path.clone()),
                _ => PathPattern::Regex(Regex::new(&format!("^{path}$")).unwrap()),
            };
            let matchers: Vec<(Match, i32)> = routes.iter().map(|(host, paths, priority)| {
                (Match { paths: paths.iter().map(pattern).collect(), ..on(host, None) }, *priority)
            }).collect();
            let headers = HeaderMap::new();
            let view = RequestView { method: &Method::GET, host: &host, path: &path, query: "", headers: &headers, client_ip: None, client_cert: None };
            let table = RouteTable::new(matchers.clone());
            let plain = matchers.iter().enumerate()
                .filter(|(_, (m, _))| condition::first_mismatch(m, &view).is_none())
                .flat_map(|(i, (m, priority))| {
                    let holds = |pattern: &Option<&PathPattern>| pattern.is_none_or(|pattern| pattern.holds(&path));
                    let rank = move |path| (Rank::of(m, *priority, &rank::hosts(m)[0], path, i), i);
                    rank::paths(m).filter(holds).map(rank).collect::<Vec<_>>()
                })
                .max();
            prop_assert_eq!(table.find_ranked(&view), plain);
            // Every path's winner is one of those for some path, and there is one where paths are not told apart.
            let winners: BTreeSet<_> = ["/", "/x", "/x/y", "/x/y/z", "/xy", "/q", &path].into_iter()
                .filter_map(|path| table.find(&RequestView { path, ..view })).collect();
            let some = table.for_some_path(&view);
            prop_assert!(winners.iter().all(|winner| some.contains(winner)));
            prop_assert!(table.tells_paths_apart(&view) || winners.len() <= 1);
        }
    }
}
