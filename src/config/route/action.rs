//! What becomes of a request: an upstream, a redirect, or an answer by the proxy itself.

use http::{HeaderValue, StatusCode};

use super::upstream_ref::UpstreamRef;
use crate::config::section::{
    AsSection, Either, Fields, Form, FromKeys, Reader, Shape, Value, Word, Words, number, optional, section,
};
use crate::config::value::{ANY_TEXT, FieldName, KeySource, NAME, Template, status_in};
use crate::config::yaml::{Invalid, Kind, Node, Yaml};

#[derive(Clone, Debug)]
pub enum Action {
    Upstream(UpstreamRef),
    Split(Split),
    Redirect(Redirect),
    Respond(Respond),
}

/// Several upstreams, each with its share of the requests.
#[derive(Clone, Debug)]
pub struct Split {
    /// At least one; shares of at least 1.
    pub shares: Vec<(UpstreamRef, u32)>,
    /// What keeps a client at its part; `None` is chance.
    pub by: Option<KeySource>,
}

impl Action {
    /// The upstreams that the action may send a request to.
    pub fn upstreams(&self) -> Vec<&UpstreamRef> {
        match self {
            Self::Upstream(upstream) => vec![upstream],
            Self::Split(split) => split.shares.iter().map(|(upstream, _)| upstream).collect(),
            Self::Redirect(_) | Self::Respond(_) => Vec::new(),
        }
    }

    /// The key of the file that holds the action.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Upstream(_) | Self::Split(_) => "upstream",
            Self::Redirect(_) => "redirect",
            Self::Respond(_) => "respond",
        }
    }
}

section! {
    /// What becomes of a request; a route has exactly one.
    #[derive(Clone, Debug)]
    "a route" pub struct ActionKeys {
        /// An upstream's name, `host:port`, `http://host:port`, or a split: names to shares.
        upstream: Option<Upstreams>;
        /// What keeps a client at its part of a split: a value as for `balance.hash`.
        split_by: Option<KeySource>;
        /// Sends the client to another URL.
        redirect: Option<Redirect>, with optional(Redirect::short_or_map());
        /// Answers without an upstream.
        respond: Option<Respond>;
    }
    one_of "action" { upstream, redirect, respond }
    no_effect ActionKeys::no_effect;
}

impl ActionKeys {
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = key == "split_by" && !matches!(self.upstream, Some(Upstreams::Split(_)));
        has_no_effect.then(|| Invalid::new("`split_by` has no effect without a split"))
    }
}

impl FromKeys for Action {
    type Keys = ActionKeys;

    fn from_keys(keys: ActionKeys) -> Option<Self> {
        let upstream = keys.upstream.map(|upstream| match upstream {
            Upstreams::One(upstream) => Self::Upstream(upstream),
            Upstreams::Split(shares) => Self::Split(Split { shares, by: keys.split_by }),
        });
        upstream.or(keys.redirect.map(Self::Redirect)).or(keys.respond.map(Self::Respond))
    }

    fn to_keys(&self) -> ActionKeys {
        let mut keys = ActionKeys { upstream: None, split_by: None, redirect: None, respond: None };
        match self.clone() {
            Self::Upstream(upstream) => keys.upstream = Some(Upstreams::One(upstream)),
            Self::Split(split) => {
                keys.upstream = Some(Upstreams::Split(split.shares));
                keys.split_by = split.by;
            }
            Self::Redirect(redirect) => keys.redirect = Some(redirect),
            Self::Respond(respond) => keys.respond = Some(respond),
        }
        keys
    }
}

/// What the key `upstream` of a route holds.
#[derive(Clone, Debug)]
pub enum Upstreams {
    One(UpstreamRef),
    Split(Vec<(UpstreamRef, u32)>),
}

impl Value for Upstreams {
    fn form() -> impl Form<Self> {
        OneOrSplit
    }
}

struct OneOrSplit;

impl Form<Upstreams> for OneOrSplit {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Upstreams> {
        let entries = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Seq(items) => {
                reader.upstreams.doubt();
                let help = instead_of_list(reader, items);
                reader.expected_help(node, &["one upstream, or a split such as `{ api: 90, api-next: 10 }`"], help);
                return None;
            }
            Kind::Null | Kind::Bool(..) | Kind::Number(_) | Kind::String(_) | Kind::Bad => {
                let one = UpstreamRef::form().read(reader, node);
                if one.is_none() {
                    reader.upstreams.doubt();
                }
                return one.map(Upstreams::One);
            }
        };
        if entries.iter().any(|(key, _)| key.text == "servers") && !reader.upstreams.holds("servers") {
            reader.upstreams.doubt();
            let help = "define it by a name, `upstreams: { api: { servers: […] } }`, and write `upstream: api`";
            reader.error_help(node.span, "a route names its upstream, and does not define it", help);
            return None;
        }
        if entries.is_empty() {
            reader.error(node.span, "this split has no parts");
        }
        let mut shares = Vec::new();
        for (key, share) in entries {
            let upstream = UpstreamRef::named(reader, key.span, &key.text);
            let share = number(1..=1_000_000_u32).read(reader, share);
            shares.extend(upstream.zip(share));
        }
        (!shares.is_empty()).then_some(Upstreams::Split(shares))
    }

    fn shape(&self) -> Shape {
        let share = Shape::Integer { least: 1, most: 1_000_000 };
        let split = Shape::Map { name: NAME.syntax, value: Box::new(share), least: 1 };
        Shape::Any(vec![UpstreamRef::form().shape(), split])
    }

    fn print(&self, upstreams: &Upstreams) -> Yaml {
        match upstreams {
            Upstreams::One(upstream) => UpstreamRef::form().print(upstream),
            Upstreams::Split(shares) => {
                Yaml::Map(shares.iter().map(|(upstream, share)| (upstream.name.clone(), Yaml::word(share))).collect())
            }
        }
    }
}

/// What to write instead of a list of upstreams.
fn instead_of_list(reader: &Reader<'_>, items: &[Node]) -> Option<String> {
    let names: Vec<&str> = items.iter().map(Node::text).collect::<Option<_>>()?;
    if names.is_empty() {
        return None;
    }
    if names.iter().all(|name| reader.upstreams.holds(name)) {
        let shares: Vec<String> = names.iter().map(|name| format!("{name}: 1")).collect();
        return Some(format!("write `{{ {} }}` for equal shares", shares.join(", ")));
    }
    let servers: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let define = format!("upstreams: {{ api: {{ servers: [{}] }} }}", servers.join(", "));
    Some(format!("for several servers write `{define}`, and `upstream: api` here"))
}

section! {
    /// Sends the client to another URL.
    #[derive(Clone, Debug)]
    "`redirect`" pub struct Redirect {
        /// With {scheme} {host} {hostname} {path} {query} {method} {client_ip} {request_id}; {hostname} has no port.
        to: Template, required "\"https://{host}{path}{query}\"";
        /// The status of the redirect.
        status: StatusCode = 308, with REDIRECT_STATUS;
    }
}

const REDIRECT_STATUS: Words<StatusCode, 5> = Words([
    (StatusCode::MOVED_PERMANENTLY, Word { word: "301", doc: "Permanent; clients may turn a POST into a GET." }),
    (StatusCode::FOUND, Word { word: "302", doc: "Temporary; clients may turn a POST into a GET." }),
    (StatusCode::SEE_OTHER, Word { word: "303", doc: "Clients send a GET." }),
    (StatusCode::TEMPORARY_REDIRECT, Word { word: "307", doc: "Temporary; clients keep the method." }),
    (StatusCode::PERMANENT_REDIRECT, Word { word: "308", doc: "Permanent; clients keep the method." }),
]);

impl Redirect {
    /// The target alone, or a map.
    fn short_or_map() -> impl Form<Self> {
        Either { short: TargetOnly, map: AsSection, prints_short: false }
    }
}

/// A redirect of which only the target is written.
struct TargetOnly;

impl Form<Redirect> for TargetOnly {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Redirect> {
        let to = Template::form().read(reader, node)?;
        Some(Redirect { to, status: StatusCode::PERMANENT_REDIRECT })
    }

    fn shape(&self) -> Shape {
        Template::form().shape()
    }

    fn print(&self, redirect: &Redirect) -> Yaml {
        Template::form().print(&redirect.to)
    }
}

section! {
    /// Answers without an upstream.
    #[derive(Clone, Debug)]
    "`respond`" pub struct Respond {
        /// The status, 200 to 599.
        status: StatusCode = 200, with status_in(200..=599);
        /// The body.
        body: String = "", with ANY_TEXT;
        /// The header fields, by name.
        headers as "header": Vec<(FieldName, HeaderValue)> = {}, with super::edits::headers();
    }
    check Respond::check;
}

impl Respond {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if matches!(self.status.as_u16(), 204 | 205 | 304) && !self.body.is_empty() {
            let message = format!("a response with status {} has no body", self.status.as_u16());
            reader.error(fields.key_span("body"), message);
        }
    }
}
