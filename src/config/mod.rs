//! The configuration: from a YAML file to a typed value with nothing left to doubt, or to
//! everything that is wrong with it at once. One file holds one section, in which each key
//! is declared once.

mod admin;
mod diff;
mod dns;
mod errors;
mod foreign;
mod headers;
mod limits;
mod listener;
mod log;
mod overlap;
mod paths;
mod pattern;
mod pem;
mod public;
mod reference;
mod root;
mod route;
mod schema;
mod section;
mod server;
mod source;
mod timeouts;
mod traces;
mod upstream;
mod value;
mod yaml;

use std::path::{Path, PathBuf};

pub use admin::{Admin, AdminAddress, AdminTls, AdminToken};
pub use diff::{Change, changes};
pub use dns::Dns;
pub use errors::{ErrorPage, ErrorPages};
pub use headers::{Headers, RequestIdField, Underscores};
pub use limits::{Limits, RouteLimits};
pub use listener::{
    CertificateFiles, CertificateRefusal, ClientAuth, ClientAuthMode, HostClientAuth, Listener, ListenerTls,
    ProxyProtocol, ServerCertificate, TicketKey, TicketKeyFile, TicketKeySource, TlsVersion,
    Versions as CertificateVersions,
};
pub use log::{
    AccessFormat, AccessLog, AccessTarget, Always, ErrorFormat, Facility, LinePart, LineTemplate, Log, LogField,
    Redact, Syslog,
};
pub use overlap::is_ipv6_only;
pub use paths::{AmbiguousPaths, Paths, RoutePaths};
pub use pem::PemFile;
pub use reference::reference;
pub use root::Config;
pub use route::*;
pub use schema::json_schema;
pub use server::{Drain, ErrorLog, Identity, Ids, OwnFilePlace, Sandbox, Server, Upgrade};
pub use source::{INPUT, Source, text_of};
pub use timeouts::{ClientTimeouts, RouteTimeouts};
pub use traces::{TraceParent, Traces};
pub use upstream::{
    ActiveCheck, Balance, CheckKind, Health, Passive, Pool, Retry, RetryMethods, RetryReason, Secret, SendProxy,
    Sticky, Upstream, UpstreamProtocol, UpstreamServer, UpstreamTimeouts, UpstreamTls,
};
pub use value::{
    Address, FieldName, FileContent, FileVersion, HostPattern, KeySource, LimitKey, Lookup, Named, OriginPattern,
    Password, RequestRate, ServerPlace, Share, StatusSet, StoreAddress, StorePlace, Template, TemplatePart,
    WatchedFile,
};
pub use yaml::{
    Invalid, Look, Problem, Rejected, Severity, excerpt, hidden_in_urls, hidden_secrets, may_be_secret, render,
};

use section::{AsSection, Form, Reader, Section, Value, Whole};
use source::read;
use yaml::{Node, Span};

const WHOLE: Whole =
    Whole { keys: Config::keys, foreign: foreign::FOREIGN, short: foreign::short, synonym: foreign::balance };

/// Reads and checks a configuration. The second value holds the warnings. Relative paths in one
/// from standard input start at the working folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(source: &Source) -> Result<(Config, Vec<Problem>), Rejected> {
    match source.text() {
        Ok(text) => parse(&source.title(), &text, &|variable| std::env::var(variable).ok()),
        Err(reason) => {
            let problem = Problem::new(Severity::Error, Span::default(), reason);
            Err(Rejected { problems: vec![problem], warnings: Vec::new(), file_name: source.title() })
        }
    }
}

/// Where the process of this file keeps its control socket and its pid file, whatever
/// else is wrong with the file, so that `-s` works with a broken file.
pub fn own_files(path: Option<&Path>) -> (OwnFilePlace, OwnFilePlace) {
    let Some(path) = path else { return (OwnFilePlace::Auto, OwnFilePlace::Auto) };
    let text = read(path).unwrap_or_default();
    let base = folder_of(&path.display().to_string());
    match yaml::parse(&text, &|variable| std::env::var(variable).ok()).0 {
        Some(root) => {
            let server =
                root.entry("server").and_then(|(_, node)| Server::form().read(&mut Reader::new(&base, WHOLE), node));
            server.map_or((OwnFilePlace::Auto, OwnFilePlace::Auto), |server| (server.upgrade_sock, server.pid_file))
        }
        None => (guess_value(&text, "upgrade_sock", &base), guess_value(&text, "pid_file", &base)),
    }
}

/// What seems to be a key's value, in a text that is no YAML.
fn guess_value(text: &str, key: &str, base: &Path) -> OwnFilePlace {
    let behind = text.split_once(key).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    let value = behind.and_then(|rest| rest.trim_start().split([',', '}', '#', ' ', '\n', '\r']).next());
    match value.map(|value| value.trim_matches(['"', '\''])) {
        None | Some("" | "auto") => OwnFilePlace::Auto,
        Some("off" | "null") => OwnFilePlace::Off,
        Some(path) => OwnFilePlace::At(base.join(path)),
    }
}

/// Checks a text. Relative paths in it start at `file_name`'s folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Vec<Problem>), Rejected> {
    let base = folder_of(file_name);
    let (tree, mut problems) = yaml::parse(text, env);
    let stopped = tree.is_none() && !problems.is_empty();
    let config = if stopped { None } else { from_tree(tree, &base, &mut problems) };
    finish(&mut problems, text);
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(|p| p.severity == Severity::Error);
    match config {
        Some(config) if errors.is_empty() => Ok((config, warnings)),
        Some(_) | None => Err(Rejected { problems: errors, warnings, file_name: file_name.to_owned() }),
    }
}

/// Every problem is added; without errors the configuration is there.
fn from_tree(tree: Option<Node>, base: &Path, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut reader = Reader::new(base, WHOLE);
    reader.problems = std::mem::take(problems);
    let config = match tree {
        Some(root) if root.text().is_some() => {
            let has_braces = root.text().is_some_and(|text| text.contains('{'));
            let what = if has_braces {
                "this is no YAML: it looks like the file of another proxy"
            } else {
                "this is no YAML map"
            };
            let help =
                "it begins with `listeners: [\"0.0.0.0:8080\"]` and `routes: [{ upstream: \"127.0.0.1:3000\" }]`";
            reader.error_help(root.span, what, help);
            None
        }
        Some(mut root) => {
            if matches!(root.kind, yaml::Kind::Map(_)) {
                // What is missing is missing in the whole file, not on its first line.
                root.span = Span::default();
            }
            Config::form().read(&mut reader, &root)
        }
        None => {
            reader.error_help(Span::default(), "the file is empty", "it needs at least `listeners` and `routes`");
            None
        }
    };
    let failed = reader.failed();
    *problems = reader.problems;
    if failed { None } else { config }
}

/// The upstream of a URL that a running process has learnt of, with the usual settings.
///
/// # Errors
/// In words, when it is no address of a server.
pub fn upstream_at(url: &str) -> Result<Upstream, String> {
    let mut reader = Reader::new(Path::new(""), WHOLE);
    let upstream = Upstream::of_address(&mut reader, url, Span::default());
    let problems = || reader.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ");
    upstream.ok_or_else(problems)
}

/// The effective configuration as YAML, defaults included. Reading it again gives the same
/// text.
pub fn to_yaml(config: &Config) -> String {
    AsSection.print(config).document()
}

/// The keys of a route as `-T` prints them, in order; those of `request` apart, as `request.path`.
pub fn route_keys(route: &Route) -> Vec<(String, String)> {
    let own = Section::print(route).into_iter().filter(|(key, _)| *key != "request");
    let own = own.map(|(key, value)| (key.to_owned(), value.document()));
    let request = Section::print(&route.request).into_iter();
    own.chain(request.map(|(key, value)| (format!("request.{key}"), value.document()))).collect()
}

/// The same for whoever may ask the process: values that may be secrets are left out of it.
pub fn to_public_yaml(config: &Config) -> String {
    public::mask(AsSection.print(config)).document()
}

fn folder_of(file_name: &str) -> PathBuf {
    let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
    // An empty path is not accepted by `absolute`, and "." would stay in every path.
    std::path::absolute(folder).or_else(|_| std::env::current_dir()).unwrap_or_default()
}

/// In the file's order, each once (an alias shows its anchor's problems again), with its line.
fn finish(problems: &mut Vec<Problem>, text: &str) {
    problems.sort_by_key(|p| (p.line, p.column));
    let mut once: Vec<Problem> = Vec::new();
    for problem in problems.drain(..) {
        let here = |p: &&Problem| (p.line, p.column) == (problem.line, problem.column);
        if !once.iter().rev().take_while(here).any(|p| *p == problem) {
            once.push(problem);
        }
    }
    excerpt(&mut once, text);
    *problems = once;
}

#[cfg(test)]
mod tests;
