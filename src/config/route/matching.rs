//! `match`: which requests a route takes.

use http::{HeaderName, Method};
use ipnet::IpNet;
use regex::Regex;

use super::client_cert::ClientCertPattern;
use crate::config::section::{AsSection, Form, FromKeys, Reader, Scalar, Shape, map, one_or_list, optional, section};
use crate::config::value::{
    ANY_TEXT, COOKIE_NAME, HEADER_NAME, HOST_PATTERN, HostPattern, MATCHED_COOKIE, MATCHED_HEADER_VALUE,
    MATCHED_PARAMETER, METHOD, Networks, PATH_TO_MATCH, PREFIX_TO_MATCH, REGEX, path_as_regex,
};
use crate::config::yaml::{Kind, Node, Yaml, flow_scalar};
use crate::message::path::has_prefix;

section! {
    /// Which requests a route takes. All conditions must hold; within a list one is enough.
    #[derive(Clone, Debug, Default)]
    "`match`" pub struct Match {
        /// `example.com`, `*.example.com` or `*`; without port.
        hosts as "host": Vec<HostPattern>, with one_or_list(HOST_PATTERN.what, HOST_PATTERN);
        /// A prefix of whole segments, or `exact` or `regex`, or a list of these.
        paths as "path": Vec<PathPattern>, with one_or_list(PREFIX_TO_MATCH.what, PathForm);
        /// One of these methods.
        methods as "method": Vec<Method>, with one_or_list(METHOD.what, METHOD);
        /// Conditions on header fields, by name. It is enough if one of several values, or one element of a list, fits.
        headers as "header": Vec<(HeaderName, ValuePattern)>, with conditions(HEADER_NAME, MATCHED_HEADER_VALUE);
        /// Conditions on query parameters, by name. It is enough if one of several values fits; `;` separates parameters as `&` does.
        query: Vec<(String, ValuePattern)>, with conditions(ANY_TEXT, MATCHED_PARAMETER);
        /// Conditions on cookies, by name. It is enough if one of several values fits, also without its quotes or percent-decoded.
        cookies as "cookie": Vec<(String, ValuePattern)>, with conditions(COOKIE_NAME, MATCHED_COOKIE);
        /// Networks or addresses that the client is in.
        client_ips as "client_ip": Vec<IpNet>, with one_or_list(Networks::WHAT, Networks);
        /// Whether the client has shown this proxy a certificate that `client_auth` of the listener accepts, or which one.
        client_cert: Option<ClientCertPattern>;
    }
    derived {
        /// Whether a condition was not understood.
        has_errors: bool,
    }
}

/// The conditions of a route, and whether all of them were understood.
#[derive(Debug)]
pub struct Conditions;

impl Form<Match> for Conditions {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Match> {
        let before = reader.problems.len();
        if let Some(help) = node.text().and_then(instead_of_text) {
            reader.expected_help(node, &["a map with keys such as `host`, `path`, `method`"], Some(help));
            return Some(Match { has_errors: true, ..Match::default() });
        }
        let read: Option<Match> = AsSection.read(reader, node);
        let has_errors = reader.failed_since(before);
        // Its problems are reported; the rest of the route is read all the same.
        Some(Match { has_errors, ..read.unwrap_or_default() })
    }

    fn shape(&self) -> Shape {
        Form::<Match>::shape(&AsSection)
    }

    fn print(&self, conditions: &Match) -> Yaml {
        AsSection.print(conditions)
    }
}

/// What to write instead of a text: a path, a host, or a rule of Traefik's.
fn instead_of_text(text: &str) -> Option<String> {
    let condition = if text.starts_with('/') {
        format!("path: {text}")
    } else if text.contains('`') || text.contains('(') {
        "host: example.com, path: /api".to_owned()
    } else if text.contains('.') {
        format!("host: {}", flow_scalar(text))
    } else {
        return None;
    };
    Some(format!("write `{{ {condition} }}`"))
}

#[derive(Clone, Debug)]
pub enum PathPattern {
    /// By segment: `/api` and `/api/` match `/api`, `/api/` and `/api/x`, not `/apix`.
    Prefix(String),
    Exact(String),
    Regex(Regex),
}

impl PathPattern {
    pub fn holds(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Prefix(prefix) => has_prefix(path, prefix),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

section! {
    /// A path that is not a prefix.
    #[derive(Clone, Debug, Default)]
    "a path" pub struct PathKeys {
        /// This path and no other.
        exact: Option<String>, with optional(PATH_TO_MATCH);
        /// A path that this regex matches anywhere.
        regex: Option<Regex>, with optional(REGEX);
    }
    one_of "pattern" { exact, regex }
}

impl FromKeys for PathPattern {
    type Keys = PathKeys;

    fn from_keys(keys: PathKeys) -> Option<Self> {
        keys.exact.map(Self::Exact).or(keys.regex.map(Self::Regex))
    }

    fn to_keys(&self) -> PathKeys {
        match self.clone() {
            // The short form says it.
            Self::Prefix(_) => PathKeys::default(),
            Self::Exact(path) => PathKeys { exact: Some(path), regex: None },
            Self::Regex(regex) => PathKeys { exact: None, regex: Some(regex) },
        }
    }
}

#[derive(Debug)]
struct PathForm;

impl Form<PathPattern> for PathForm {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<PathPattern> {
        if matches!(node.kind, Kind::Map(_)) {
            return AsSection.read(reader, node);
        }
        let prefix = PREFIX_TO_MATCH.read(reader, node)?;
        let is_named = |segment: &&str| {
            segment.strip_prefix(':').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        };
        if let Some(segment) = prefix.split('/').find(is_named) {
            let help = format!("for any segment there write `{{ regex: '{}' }}`", path_as_regex(&prefix));
            reader.warn(node.span, format!("`{segment}` is no placeholder: only this very text matches"), Some(help));
        }
        Some(PathPattern::Prefix(prefix))
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![PREFIX_TO_MATCH.shape(), Form::<PathPattern>::shape(&AsSection)])
    }

    fn print(&self, pattern: &PathPattern) -> Yaml {
        match pattern {
            PathPattern::Prefix(prefix) => PREFIX_TO_MATCH.print(prefix),
            PathPattern::Exact(_) | PathPattern::Regex(_) => AsSection.print(pattern),
        }
    }
}

#[derive(Clone, Debug)]
pub enum ValuePattern {
    Is(String),
    Regex(Regex),
    Present,
    Absent,
}

section! {
    /// A condition that is not an equal value.
    #[derive(Clone, Debug, Default)]
    "a condition" pub struct ValueKeys {
        /// A value that this regex matches anywhere.
        regex: Option<Regex>, with optional(REGEX);
        /// `true` if it must be there, `false` if it must not.
        present: Option<bool>;
    }
    one_of "test" { regex, present }
}

impl FromKeys for ValuePattern {
    type Keys = ValueKeys;

    fn from_keys(keys: ValueKeys) -> Option<Self> {
        let if_absent = |there: bool| if there { Self::Present } else { Self::Absent };
        keys.regex.map(Self::Regex).or(keys.present.map(if_absent))
    }

    fn to_keys(&self) -> ValueKeys {
        match self {
            // The short form says it.
            Self::Is(_) => ValueKeys::default(),
            Self::Regex(regex) => ValueKeys { regex: Some(regex.clone()), present: None },
            Self::Present => ValueKeys { regex: None, present: Some(true) },
            Self::Absent => ValueKeys { regex: None, present: Some(false) },
        }
    }
}

/// Conditions by name; `equal` are the values that there can be at all.
fn conditions<K: Clone + Eq + std::hash::Hash>(
    name: Scalar<K>,
    equal: Scalar<String>,
) -> impl Form<Vec<(K, ValuePattern)>> {
    map("names to values", name, ValueForm { equal }).of("condition on").left_out()
}

struct ValueForm {
    equal: Scalar<String>,
}

impl Form<ValuePattern> for ValueForm {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<ValuePattern> {
        if matches!(node.kind, Kind::Map(_)) {
            return AsSection.read(reader, node);
        }
        self.equal.read(reader, node).map(ValuePattern::Is)
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![self.equal.shape(), Form::<ValuePattern>::shape(&AsSection)])
    }

    fn print(&self, pattern: &ValuePattern) -> Yaml {
        match pattern {
            ValuePattern::Is(value) => self.equal.print(value),
            ValuePattern::Regex(_) | ValuePattern::Present | ValuePattern::Absent => AsSection.print(pattern),
        }
    }
}
