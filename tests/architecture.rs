//! The walls of the house: a room imports only from floors below its own.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Floors from the ground up; rooms on one floor do not know each other.
const FLOORS: [&[&str]; 8] = [
    &["message"],
    &["config"],
    &["route", "upstream", "observe", "demo", "downstream"],
    &["filter"],
    &["runtime"],
    &["proxy"],
    &["server"],
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

#[test]
fn the_ground_floor_does_not_know_pingora_and_one_file_sends_replies() {
    for (room, path, text) in rooms() {
        let code = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let knows_pingora = code.contains("pingora::") || code.contains("pingora_");
        if ["message", "config", "route", "observe"].contains(&room.as_str()) {
            assert!(!knows_pingora || room == "config", "{} knows Pingora", path.display());
        }
        if code.contains("write_response_header(") {
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
