//! `request`: what a route changes before a request goes to the upstream.

use regex::Regex;

use super::edits::{CookieEdits, HeaderEdits, QueryEdits};
use crate::config::section::{
    AsSection, Fields, Form, FromKeys, Reader, Scalar, Shape, Syntax, Value, Word, WordsOr, nearest, optional, section,
};
use crate::config::value::{EDITED_IN_REQUESTS, PATH, PATH_PREFIX, PREFIX_TO_MATCH, REGEX, check_replacement, plain};
use crate::config::yaml::{Invalid, Kind, Node, Parsed, Span, Yaml};
use crate::message::host::split as split_host;

section! {
    /// Changes to a request before it goes to the upstream.
    #[derive(Clone, Debug, Default)]
    "`request`" pub struct RequestEdits {
        /// One change of the path.
        path: Option<PathEdit>;
        /// Changes of header fields.
        headers as "header": HeaderEdits = {}, with WithoutHost;
        /// Changes of query parameters.
        query: QueryEdits = {};
        /// Changes of cookies.
        cookies as "cookie": CookieEdits = {};
        /// The Host header: `preserve`, `upstream` or a name.
        host: HostPolicy = "preserve";
    }
}

/// Header edits of requests, without Host, which has a key of its own.
struct WithoutHost;

impl Form<HeaderEdits> for WithoutHost {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<HeaderEdits> {
        for span in host_edits(node) {
            reader.error_help(span, "`host` cannot be edited here", "write `request: { host: … }`");
        }
        AsSection.read(reader, node)
    }

    fn shape(&self) -> Shape {
        Form::<HeaderEdits>::shape(&AsSection).with_names(EDITED_IN_REQUESTS)
    }

    fn print(&self, edits: &HeaderEdits) -> Yaml {
        AsSection.print(edits)
    }
}

/// Where Host stands among the header edits.
fn host_edits(header: &Node) -> Vec<Span> {
    let is_host = |text: &str| text.eq_ignore_ascii_case("host");
    let edits = ["set", "add", "remove"].into_iter().filter_map(|name| header.entry(name));
    let mut spans = Vec::new();
    for (_, edit) in edits {
        match &edit.kind {
            Kind::Map(entries) => {
                spans.extend(entries.iter().filter(|(key, _)| is_host(&key.text)).map(|(key, _)| key.span));
            }
            Kind::Seq(items) => {
                spans.extend(items.iter().filter(|item| item.text().is_some_and(is_host)).map(|item| item.span));
            }
            Kind::Null | Kind::Bool(..) | Kind::Number(_) | Kind::String(_) | Kind::Bad => {}
        }
    }
    spans
}

#[derive(Clone, Debug)]
pub enum PathEdit {
    StripPrefix(String),
    AddPrefix(String),
    Replace(String),
    /// `with` may name groups as `$1` or `${name}`.
    Regex {
        pattern: Regex,
        with: String,
    },
}

section! {
    /// One change of the path.
    #[derive(Clone, Debug, Default)]
    "`path`" pub struct PathEditKeys {
        /// Removes this prefix.
        strip_prefix: Option<String>, with optional(PREFIX_TO_MATCH);
        /// Adds this prefix.
        add_prefix: Option<String>, with optional(PATH_PREFIX);
        /// Replaces the whole path by this one.
        replace: Option<String>, with optional(PATH);
        /// Replaces the first match of this regex by `with`.
        regex: Option<Regex>, with optional(REGEX);
        /// `$1` and `$${name}` are the regex's groups.
        with: Option<String>, with optional(plain("a path such as `/$1`"));
    }
    one_of "change" { strip_prefix, add_prefix, replace, regex }
    together { regex, with }
    check PathEditKeys::check;
}

impl PathEditKeys {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if let (Some(pattern), Some(with)) = (&self.regex, &self.with) {
            let span = fields.get("with").map_or(fields.span, |node| node.span);
            reader.accept(span, check_replacement(pattern, with));
        }
    }
}

impl FromKeys for PathEdit {
    type Keys = PathEditKeys;

    fn from_keys(keys: PathEditKeys) -> Option<Self> {
        let regex = keys.regex.zip(keys.with).map(|(pattern, with)| Self::Regex { pattern, with });
        let strip = keys.strip_prefix.map(Self::StripPrefix);
        strip.or(keys.add_prefix.map(Self::AddPrefix)).or(keys.replace.map(Self::Replace)).or(regex)
    }

    fn to_keys(&self) -> PathEditKeys {
        let mut keys = PathEditKeys::default();
        match self.clone() {
            Self::StripPrefix(path) => keys.strip_prefix = Some(path),
            Self::AddPrefix(path) => keys.add_prefix = Some(path),
            Self::Replace(path) => keys.replace = Some(path),
            Self::Regex { pattern, with } => (keys.regex, keys.with) = (Some(pattern), Some(with)),
        }
        keys
    }
}

impl Value for PathEdit {
    fn form() -> impl Form<Self> {
        AsSection
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    #[default]
    Preserve,
    /// The upstream server's own name (its SNI with TLS, otherwise as it was written).
    Upstream,
    Literal(String),
}

impl Value for HostPolicy {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Preserve, Word { word: "preserve", doc: "As the client sent it." }),
                (Self::Upstream, Word { word: "upstream", doc: "The server's own name." }),
            ],
            form: HOST,
            wrap: Self::Literal,
            unwrap: |policy| match policy {
                Self::Literal(host) => Some(host.clone()),
                Self::Preserve | Self::Upstream => None,
            },
        }
    }
}

const HOST: Scalar<String> = Scalar {
    what: "a host name",
    syntax: Syntax {
        kind: "host",
        numbers: true,
        pattern: Some(r"^([A-Za-z0-9._~!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?$"),
        examples: &["app.internal", "app.internal:8080"],
    },
    parse: host,
    print: |host| Yaml::text(host),
};

fn host(text: &str) -> Parsed<String> {
    if !text.contains(['.', ':'])
        && let Some(word) = nearest(text, ["preserve", "upstream"])
    {
        let help = format!("did you mean `{word}`?");
        return Err(Invalid::with_help(format!("`{text}` is not a host name"), help));
    }
    match split_host(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(Invalid::new(format!("`{text}` is not a host name, with or without a port"))),
    }
}
