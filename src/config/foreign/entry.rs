//! How a row of the table is written.

use crate::config::section::{Foreign, Ours, Place};

/// Anywhere.
pub const ANY: &[&str] = &[];
pub const TOP: &[&str] = &["the configuration"];
pub const LISTENER: &[&str] = &["a listener"];
pub const ROUTE: &[&str] = &["a route"];
pub const ROUTE_LIMITS: &[&str] = &["a route's `limits`"];
pub const ROUTE_TIMEOUTS: &[&str] = &["a route's `timeouts`"];
pub const LIMITS: &[&str] = &["`limits`", "a route's `limits`"];
pub const MATCH: &[&str] = &["`match`"];
pub const REQUEST: &[&str] = &["`request`"];
pub const RESPONSE: &[&str] = &["`response`"];
pub const PATH: &[&str] = &["a path"];
pub const REDIRECT: &[&str] = &["`redirect`"];
pub const TLS: &[&str] = &["`tls`"];
pub const LISTENER_TLS: &[&str] = &["a listener's `tls`"];
pub const RESPOND: &[&str] = &["`respond`"];
pub const UPSTREAM: &[&str] = &["an upstream"];
pub const SERVER: &[&str] = &["a server"];

pub const fn write(
    words: &'static [&'static str],
    within: &'static [&'static str],
    place: Place,
    yaml: &'static [&'static str],
    example: &'static str,
) -> Foreign {
    valued(words, within, place, yaml, example, |text| Some(text.to_owned()))
}

pub const fn valued(
    words: &'static [&'static str],
    within: &'static [&'static str],
    place: Place,
    yaml: &'static [&'static str],
    example: &'static str,
    value: fn(&str) -> Option<String>,
) -> Foreign {
    Foreign { words, within, ours: Ours::Write { place, yaml, example, value } }
}

pub const fn later(words: &'static [&'static str], within: &'static [&'static str], path: &'static str) -> Foreign {
    Foreign { words, within, ours: Ours::Later(path) }
}

pub const fn nothing(words: &'static [&'static str], within: &'static [&'static str], why: &'static str) -> Foreign {
    Foreign { words, within, ours: Ours::Nothing(why) }
}
