//! The walls of the house: a room imports only from floors below its own.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Floors from the ground up; rooms on one floor do not know each other.
const FLOORS: [&[&str]; 8] = [
    &["message", "metrics", "transport"],
    &["config", "http1", "http2", "exchange"],
    &["auth", "route", "upstream", "telemetry", "demo", "downstream", "listener", "limit"],
    &["filter"],
    &["runtime"],
    &["proxy"],
    &["server", "fuzz", "replay"],
    &["cli", "main"],
];

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Each source file with the room it stands in.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    found
        .into_iter()
        .filter(|path| path != &src.join("lib.rs"))
        .map(|path| {
            let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
            let room = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (room, path, text)
        })
        .collect()
}

/// Every room named behind `crate::` or `proxy_service::`, braces included.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for prefix in ["crate::", "proxy_service::"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            let inside = rest.strip_prefix('{').and_then(|r| r.split('}').next());
            for piece in inside.unwrap_or(rest).split(',').take(if inside.is_some() { usize::MAX } else { 1 }) {
                let name: String = piece.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn rooms_know_only_the_floors_below() {
    let mut climbs = Vec::new();
    let mut seen = 0;
    for (room, path, text) in rooms() {
        let floor = floor_of(&room).unwrap_or_else(|| panic!("{} stands in no room", path.display()));
        for import in imports(&text) {
            if let Some(other) = floor_of(&import) {
                seen += 1;
                if import != room && other >= floor {
                    climbs.push(format!("{}: {room} (floor {floor}) knows {import} (floor {other})", path.display()));
                }
            }
        }
    }
    assert!(seen > 30, "only {seen} imports were found: the check is blind");
    assert!(climbs.is_empty(), "{climbs:#?}");
}

#[test]
fn the_check_sees_a_climb() {
    assert_eq!(imports("use crate::proxy::x; use proxy_service::{config, server};"), ["proxy", "config", "server"]);
    assert!(floor_of("proxy") > floor_of("config"));
}

/// The files of a crate's folder as modules, by their paths from the crate's root: the code
/// without comments, strings and unit tests.
fn modules(root: &str) -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut found = Vec::new();
    sources(&root, &mut found);
    let is_test = |path: &Path| path.file_stem().is_some_and(|stem| stem.to_str().unwrap().ends_with("tests"));
    let module = |path: &PathBuf| {
        let names = path.strip_prefix(&root).unwrap().with_extension("");
        let mut names: Vec<String> = names.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
        names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("mod tests {").next().unwrap();
        // Whom a name is shown to is not what is known of others.
        let code = code.replace("(in crate", "(in ").replace("(in super", "(in ");
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        (names, lines.collect::<Vec<_>>().join("\n"))
    };
    found.iter().filter(|path| !is_test(path)).map(module).collect()
}

/// The paths of one `use`, with its braces taken apart.
fn spread(tree: &str) -> Vec<String> {
    let Some((head, inside)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
    let (mut paths, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let piece = inside[start..at].trim();
                paths.extend(spread(piece).iter().filter(|p| !p.is_empty()).map(|p| format!("{}{p}", head.trim())));
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// The paths of all `use`s.
fn uses(code: &str) -> Vec<String> {
    code.match_indices("use ")
        .flat_map(|(at, _)| code[at + 4..].split(';').next().map(spread).unwrap_or_default())
        .collect()
}

/// Whatever `code` names by a path, and the modules that it owns.
fn named_paths(code: &str) -> Vec<String> {
    let mut paths = uses(code);
    for prefix in ["crate::", "super::"] {
        for (at, _) in code.match_indices(prefix) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let path: String = code[at..].chars().take_while(|c| is_path(*c)).collect();
            // Braces follow otherwise, which are a `use`'s.
            paths.extend(Some(path).filter(|path| !path.ends_with(':')));
        }
    }
    for (at, _) in code.match_indices("mod ") {
        let name = code[at + 4..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        paths.push(format!("self::{name}"));
    }
    paths
}

type Modules = BTreeMap<Vec<String>, String>;

/// The file in which stands what a path names, seen from the module `from`. A module that
/// only passes a name on is not the one.
fn resolve(path: &str, from: &[String], modules: &Modules) -> Option<Vec<String>> {
    let mut at: Vec<String> = from.to_vec();
    let names: Vec<&str> = path.split("::").collect();
    for (index, name) in names.iter().enumerate() {
        match *name {
            "crate" if index == 0 => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            name => {
                at.push(name.to_owned());
                if !modules.contains_key(&at) {
                    at.pop();
                    let code = modules.get(&at).filter(|_| index > 0)?;
                    let is_it = |used: &&String| used.rsplit("::").next() == Some(name) && **used != path;
                    let passed_on = uses(code).iter().find(is_it).and_then(|used| resolve(used, &at, modules));
                    return Some(passed_on.unwrap_or(at));
                }
            }
        }
    }
    modules.contains_key(&at).then_some(at)
}

/// Files of one room that know each other, each with those that it shares a circle with.
fn circles(modules: &Modules) -> BTreeMap<String, Vec<String>> {
    circles_within(modules, |one, other| one.first() == other.first())
}

fn circles_within(
    modules: &Modules,
    is_one_room: impl Fn(&[String], &[String]) -> bool,
) -> BTreeMap<String, Vec<String>> {
    let knows: BTreeMap<&Vec<String>, Vec<Vec<String>>> = modules
        .iter()
        .map(|(from, code)| {
            let paths = named_paths(code);
            let known = paths.iter().filter_map(|path| resolve(path, from, modules));
            (from, known.filter(|known| known != from && is_one_room(known, from)).collect())
        })
        .collect();
    let reach = |from: &Vec<String>| {
        let mut seen = std::collections::BTreeSet::new();
        let mut next = knows[from].clone();
        while let Some(module) = next.pop() {
            next.extend(knows[&module].iter().filter(|known| !seen.contains(*known)).cloned());
            seen.insert(module);
        }
        seen
    };
    let reached: BTreeMap<_, _> = modules.keys().map(|module| (module, reach(module))).collect();
    let shared = |module: &Vec<String>| {
        let others = reached[module].iter().filter(|other| *other != module && reached[*other].contains(module));
        others.map(|other| other.join("::")).collect::<Vec<_>>()
    };
    modules.keys().map(|m| (m.join("::"), shared(m))).filter(|(_, others)| !others.is_empty()).collect()
}

/// Rooms and folders whose files may know each other, and why.
const CIRCLES: [(&str, &str); 2] = [
    ("config::section::forms", "one trait in the folder's own file, and its implementations beside it"),
    ("proxy", "the hooks stand in the room's own file, and the service beside it hands requests to them"),
];

#[test]
fn no_files_of_a_room_know_each_other_in_a_circle() {
    let mut found = circles(&modules("src"));
    for (room, reason) in CIRCLES {
        let before = found.len();
        found.retain(|module, _| !module.starts_with(room));
        assert!(found.len() < before, "{room} has no circle any more ({reason}): take it off the list");
    }
    assert!(found.is_empty(), "{found:#?}");
    let benches = modules("benches/compare");
    assert!(benches.len() > 10, "the check of the benches is blind");
    let found = circles_within(&benches, |_, _| true);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_check_sees_a_circle() {
    let module = |path: &str, code: &str| (path.split("::").map(str::to_owned).collect(), code.to_owned());
    let apart = [module("a", "mod b; mod c; pub use b::B;"), module("a::b", "use super::c::{self, C};")];
    let straight = module("a::c", "fn f() {}");
    assert!(circles(&apart.clone().into_iter().chain([straight]).collect()).is_empty());
    for back in ["use crate::a::b::{X, Y};", "use crate::a::{b::X};", "fn f() { super::b::g() }", "use super::B;"] {
        let found = circles(&apart.clone().into_iter().chain([module("a::c", back)]).collect());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a::b", "a::c"], "{back}");
    }
}

#[test]
fn the_ground_floor_does_not_know_pingora_and_one_file_sends_replies() {
    for (room, path, text) in rooms() {
        let code = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let knows_pingora = code.contains("pingora::") || code.contains("pingora_");
        if ["message", "config", "route", "telemetry"].contains(&room.as_str()) {
            assert!(!knows_pingora || room == "config", "{} knows Pingora", path.display());
        }
        // The drivers of the protocols implement it; they make no response. The admin endpoint's callers are
        // no clients.
        let is_admin = path.components().any(|part| part.as_os_str() == "admin");
        if room != "downstream" && !is_admin && code.contains("write_response_header(") {
            assert!(path.ends_with("proxy/reply.rs"), "{} writes a response", path.display());
        }
        if code.contains("impl ProxyHttp for") {
            assert!(path.ends_with("proxy/mod.rs"), "{} implements ProxyHttp", path.display());
        }
    }
}

#[test]
fn files_open_with_what_they_own_and_stay_small() {
    let mut sizes = BTreeMap::new();
    for (_, path, text) in rooms() {
        assert!(text.starts_with("//!"), "{} does not say what it owns", path.display());
        // A room's tests are looked up, not read through.
        if !path.ends_with("tests.rs") {
            sizes.insert(path, text.lines().count());
        }
    }
    let large: Vec<_> = sizes.iter().filter(|(_, lines)| **lines > 420).collect();
    assert!(large.is_empty(), "{large:?}");
}
