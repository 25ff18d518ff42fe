//! A `Config` as YAML that can be fed back, defaults included. Owns the YAML's layout;
//! must not know where the config came from.

use std::path::Path;
use std::time::Duration;

use super::env;
use super::model::*;
use super::value::{duration_text, size_text};
use super::{emit_route, emit_upstream};

/// The effective configuration. Reading it again gives the same text.
pub fn to_yaml(config: &Config) -> String {
    let named = config.upstreams.iter().filter(|u| !u.implicit);
    let root = Yaml::map([
        ("server", server(&config.server)),
        ("admin", Yaml::map([("address", admin(&config.admin))])),
        ("log", log(&config.log)),
        ("listeners", Yaml::list(config.listeners.iter().map(|l| Yaml::text(super::address::text(&l.address))))),
        ("trusted_proxies", Yaml::list(config.trusted_proxies.iter().map(Yaml::text))),
        ("limits", limits(&config.limits)),
        ("timeouts", client_timeouts(&config.timeouts)),
        ("dns", emit_upstream::dns(&config.dns)),
        ("upstreams", Yaml::Map(named.map(|u| (u.name.clone(), emit_upstream::upstream(u))).collect())),
        ("routes", Yaml::list(config.routes.iter().enumerate().map(|(i, r)| emit_route::route(config, i, r)))),
        ("errors", Yaml::map([("pages", pages(&config.errors))])),
    ]);
    let mut out = String::new();
    root.write(0, &mut out);
    out
}

/// A value to print, with maps in order.
pub enum Yaml {
    /// A word of ours, which stands as it is.
    Word(String),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub fn word(value: impl ToString) -> Yaml {
        Yaml::Word(value.to_string())
    }

    pub fn text(value: impl ToString) -> Yaml {
        Yaml::Text(value.to_string())
    }

    pub fn list(items: impl IntoIterator<Item = Yaml>) -> Yaml {
        Yaml::List(items.into_iter().collect())
    }

    pub fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
        Yaml::Map(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    /// `null` where there is nothing.
    pub fn or_null(value: Option<Yaml>) -> Yaml {
        value.unwrap_or_else(|| Yaml::word("null"))
    }

    fn write(&self, indent: usize, out: &mut String) {
        match self {
            Yaml::Map(entries) => {
                for (i, (key, value)) in entries.iter().enumerate() {
                    // The first key of a list's item follows its dash.
                    if i > 0 || !out.ends_with("- ") {
                        out.push_str(&" ".repeat(indent));
                    }
                    out.push_str(&scalar(key));
                    out.push(':');
                    value.write_after_key(indent, out);
                }
            }
            Yaml::List(items) => {
                for item in items {
                    out.push_str(&" ".repeat(indent));
                    out.push_str("- ");
                    item.write_item(indent + 2, out);
                }
            }
            Yaml::Word(_) | Yaml::Text(_) => self.write_item(indent, out),
        }
    }

    fn write_after_key(&self, indent: usize, out: &mut String) {
        if self.is_block() {
            out.push('\n');
            self.write(indent + 2, out);
        } else {
            out.push(' ');
            self.write_item(indent + 2, out);
        }
    }

    fn write_item(&self, indent: usize, out: &mut String) {
        match self {
            Yaml::Word(word) => out.push_str(word),
            Yaml::Text(text) => out.push_str(&scalar(&env::escape(text))),
            Yaml::List(items) if items.is_empty() => out.push_str("[]"),
            Yaml::Map(entries) if entries.is_empty() => out.push_str("{}"),
            block => return block.write(indent, out),
        }
        out.push('\n');
    }

    fn is_block(&self) -> bool {
        match self {
            Yaml::List(items) => !items.is_empty(),
            Yaml::Map(entries) => !entries.is_empty(),
            _ => false,
        }
    }
}

/// Plain where YAML cannot take it for anything else, quoted otherwise.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// What may stand as it is (YAML 1.2 section 5.1), without what breaks a line or marks
/// the byte order. All others have at most four digits.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

pub fn path(path: &Path) -> Yaml {
    Yaml::text(path.display())
}

pub fn duration(value: Duration) -> Yaml {
    Yaml::word(duration_text(value))
}

fn server(server: &Server) -> Yaml {
    Yaml::map([
        ("threads", server.threads.map_or(Yaml::word("auto"), Yaml::word)),
        ("work_stealing", server.work_stealing.map_or(Yaml::word("auto"), Yaml::word)),
        ("daemon", Yaml::word(server.daemon)),
        ("pid_file", place(&server.pid_file)),
        ("upgrade_sock", place(&server.upgrade_sock)),
        ("user", account(server.identity.as_ref().map(|identity| &identity.user))),
        ("group", account(server.identity.as_ref().map(|identity| &identity.group))),
        (
            "error_log",
            match &server.error_log {
                ErrorLog::Stderr => Yaml::word("stderr"),
                ErrorLog::File(file) => path(file),
            },
        ),
        ("reload_on_change", Yaml::word(server.reload_on_change)),
        (
            "drain",
            Yaml::map([
                ("delay", duration(server.drain.delay)),
                ("timeout", duration(server.drain.timeout)),
                ("tunnels", duration(server.drain.tunnels)),
            ]),
        ),
    ])
}

fn place(place: &Place) -> Yaml {
    match place {
        Place::Auto => Yaml::word("auto"),
        Place::Off => Yaml::text("off"),
        Place::At(file) => path(file),
    }
}

fn account(account: Option<&Account>) -> Yaml {
    Yaml::or_null(account.and_then(|account| account.written.as_ref()).map(Yaml::text))
}

fn admin(admin: &AdminAddress) -> Yaml {
    match admin {
        AdminAddress::Auto => Yaml::word("auto"),
        AdminAddress::Off => Yaml::text("off"),
        AdminAddress::At(address) => Yaml::text(super::address::text(address)),
    }
}

fn log(log: &Log) -> Yaml {
    let to = match &log.access.to {
        AccessTarget::Off => Yaml::text("off"),
        AccessTarget::Stdout => Yaml::word("stdout"),
        AccessTarget::File(file) => path(file),
    };
    let format = match log.access.format {
        None => "auto",
        Some(AccessFormat::Json) => "json",
        Some(AccessFormat::Combined) => "combined",
        Some(AccessFormat::Text) => "text",
    };
    Yaml::map([
        ("level", Yaml::text(log.level.as_str().to_ascii_lowercase())),
        ("access", Yaml::map([("to", to), ("format", Yaml::word(format))])),
    ])
}

fn limits(limits: &HeadLimits) -> Yaml {
    Yaml::map([
        ("request_line", Yaml::word(size_text(limits.request_line))),
        ("request_headers", Yaml::word(size_text(limits.request_headers))),
        ("request_header_count", Yaml::word(limits.request_header_count)),
    ])
}

fn client_timeouts(timeouts: &ClientTimeouts) -> Yaml {
    Yaml::map([
        ("request_header", duration(timeouts.request_header)),
        ("request_body_idle", duration(timeouts.request_body_idle)),
        ("keepalive", duration(timeouts.keepalive)),
        ("tunnel_idle", duration(timeouts.tunnel_idle)),
    ])
}

fn pages(errors: &ErrorPages) -> Yaml {
    let name = |set: &StatusSet| match set {
        StatusSet::One(status) => status.as_str().to_owned(),
        StatusSet::Class(class) => format!("{class}xx"),
    };
    Yaml::Map(errors.pages.iter().map(|(set, page)| (name(set), path(&page.path))).collect())
}
