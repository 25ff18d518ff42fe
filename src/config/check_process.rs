//! From the tree to the process's own settings: threads, files, user, drain, logs,
//! the admin endpoint. Must not know how a process is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use nix::unistd::{Gid, Group, Uid, User};

use super::address;
use super::check::{DURATION, has_folder, open};
use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Kind, Node};
use super::value::{self, Read, Wrong, nearest};

pub fn server(cx: &mut Cx<'_>, node: Option<&Node>) -> Server {
    let mut server = Server {
        threads: None,
        work_stealing: None,
        daemon: false,
        pid_file: Place::Auto,
        upgrade_sock: Place::Auto,
        identity: None,
        error_log: ErrorLog::Stderr,
        reload_on_change: false,
        drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(25), tunnels: Duration::from_secs(300) },
    };
    let Some(fields) = open(cx, node, &keys::SERVER) else { return server };
    threading(cx, &fields, &mut server);
    let flag = |cx: &mut Cx<'_>, name| fields.get(name).and_then(|node| cx.boolean(node)).unwrap_or(false);
    server.daemon = flag(cx, "daemon");
    server.reload_on_change = flag(cx, "reload_on_change");
    server.pid_file = place(cx, &fields, "pid_file");
    server.upgrade_sock = place(cx, &fields, "upgrade_sock");
    server.identity = identity(cx, &fields);
    if let Some(node) = fields.get("error_log")
        && node.text() != Some("stderr")
        && let Some(path) = file(cx, node, "`stderr` or a file's path", &["stderr"])
    {
        has_folder(cx, node, &path);
        server.error_log = ErrorLog::File(path);
    }
    drain(cx, fields.get("drain"), &mut server.drain);
    server
}

fn threading(cx: &mut Cx<'_>, fields: &Fields<'_>, server: &mut Server) {
    if let Some(node) = fields.get("threads")
        && node.text() != Some("auto")
    {
        if matches!(node.kind, Kind::Number(_)) {
            server.threads = cx.integer(node, 1, 1024).and_then(|n| usize::try_from(n).ok());
        } else {
            cx.expected(node, "`auto` or a whole number from 1 to 1024");
        }
    }
    if let Some(node) = fields.get("work_stealing")
        && node.text() != Some("auto")
    {
        if let Kind::Bool(value, _) = node.kind {
            server.work_stealing = Some(value);
        } else {
            cx.expected(node, "`auto`, `true` or `false`");
        }
    }
}

/// A path, which needs a `/` or a `.` so that a misspelt word does not become a file.
fn file(cx: &mut Cx<'_>, node: &Node, what: &str, words: &[&str]) -> Option<PathBuf> {
    let text = cx.text(node, what)?;
    if text.contains(['/', '.']) && !text.ends_with('/') && !text.contains('\0') {
        return Some(cx.path(text));
    }
    let help = match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => "a file is written with its folder, as in `/var/log/x.log` or `./x.log`".into(),
    };
    let message = format!("expected {what}, found `{text}`");
    cx.error_help(node.span, message, help);
    None
}

fn place(cx: &mut Cx<'_>, fields: &Fields<'_>, name: &str) -> Place {
    // `null` has always meant that there is none.
    let written = fields.raw(name);
    if written.is_some_and(Node::is_null) {
        return Place::Off;
    }
    let Some(node) = written else { return Place::Auto };
    match node.text() {
        Some("auto") => Place::Auto,
        Some("off") => Place::Off,
        _ => {
            let path = file(cx, node, "`auto`, `off` or a file's path", &["auto", "off"]);
            // Its last folder is made at start.
            if let Some(folder) = path.as_deref().and_then(Path::parent).filter(|folder| !folder.is_dir()) {
                has_folder(cx, node, folder);
            }
            path.map_or(Place::Off, Place::At)
        }
    }
}

fn drain(cx: &mut Cx<'_>, node: Option<&Node>, drain: &mut Drain) {
    let Some(fields) = open(cx, node, &keys::DRAIN) else { return };
    let mut set = |name: &str, to: &mut Duration, read: fn(&str) -> Read<Duration>| {
        let node = fields.get(name)?;
        *to = cx.read(node, DURATION, read)?;
        Some(())
    };
    set("delay", &mut drain.delay, value::duration_or_zero);
    set("timeout", &mut drain.timeout, value::duration_or_zero);
    set("tunnels", &mut drain.tunnels, value::duration_or_zero);
}

/// A user without a group brings its own; a group alone leaves the user.
fn identity(cx: &mut Cx<'_>, fields: &Fields<'_>) -> Option<Identity> {
    let user = fields.get("user").map(|node| cx.read(node, "a user's name or number", user));
    let group = fields.get("group").map(|node| cx.read(node, "a group's name or number", group));
    for (name, id, own) in [
        ("user", user.as_ref().and_then(|u| u.as_ref()).map(|(account, _)| account.id), Uid::effective().as_raw()),
        ("group", group.as_ref().and_then(|g| g.as_ref()).map(|account| account.id), Gid::effective().as_raw()),
    ] {
        if id.is_some_and(|id| id != own) && !Uid::effective().is_root() {
            cx.error_help(
                fields.key_span(name),
                format!("only root can change the {name}"),
                "start it as root, or leave the key out",
            );
        }
    }
    let implied = |id: u32| Account { written: None, id };
    match (user, group) {
        (None, None) => None,
        (Some(user), None) => user.map(|(user, own)| Identity { user, group: implied(own) }),
        (None, Some(group)) => group.map(|group| Identity { user: implied(Uid::effective().as_raw()), group }),
        (Some(user), Some(group)) => user.zip(group).map(|((user, _), group)| Identity { user, group }),
    }
}

/// The user and the number of its own group.
fn user(text: &str) -> Read<(Account, u32)> {
    let found = match text.parse::<u32>() {
        Ok(id) => User::from_uid(Uid::from_raw(id)),
        Err(_) => User::from_name(text),
    };
    let account = |id: u32| Account { written: Some(text.to_owned()), id };
    match (found, text.parse::<u32>()) {
        (Ok(Some(user)), _) => Ok((account(user.uid.as_raw()), user.gid.as_raw())),
        // A number needs no entry in /etc/passwd, which a small image may not have.
        (Ok(None) | Err(_), Ok(id)) => Ok((account(id), id)),
        (Ok(None), Err(_)) => Err(Wrong::new(format!("there is no user `{text}`"))),
        (Err(e), Err(_)) => Err(Wrong::new(format!("cannot look up the user `{text}`: {e}"))),
    }
}

fn group(text: &str) -> Read<Account> {
    let account = |id: u32| Account { written: Some(text.to_owned()), id };
    if let Ok(id) = text.parse::<u32>() {
        return Ok(account(id));
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(account(group.gid.as_raw())),
        Ok(None) => Err(Wrong::new(format!("there is no group `{text}`"))),
        Err(e) => Err(Wrong::new(format!("cannot look up the group `{text}`: {e}"))),
    }
}

pub fn log(cx: &mut Cx<'_>, node: Option<&Node>) -> Log {
    let mut log = Log { level: LevelFilter::Info, access: AccessLog { to: AccessTarget::Stdout, format: None } };
    let Some(fields) = open(cx, node, &keys::LOG) else { return log };
    if let Some(node) = fields.get("level")
        && let Some(word) = cx.word(node, keys::LOG_LEVELS)
    {
        log.level = word.parse().unwrap_or(LevelFilter::Info);
    }
    let Some(access) = open(cx, fields.get("access"), &keys::ACCESS) else { return log };
    if let Some(node) = access.get("to") {
        log.access.to = match node.text() {
            Some("off") => AccessTarget::Off,
            Some("stdout") => AccessTarget::Stdout,
            _ => file(cx, node, "`off`, `stdout` or a file's path", &["off", "stdout"])
                .inspect(|path| has_folder(cx, node, path))
                .map_or(AccessTarget::Off, AccessTarget::File),
        };
    }
    if let Some(node) = access.get("format") {
        log.access.format = match cx.word(node, keys::ACCESS_FORMATS) {
            Some("json") => Some(AccessFormat::Json),
            Some("combined") => Some(AccessFormat::Combined),
            Some("text") => Some(AccessFormat::Text),
            _ => None,
        };
    }
    log
}

pub fn admin(cx: &mut Cx<'_>, node: Option<&Node>, listeners: &[Listener]) -> AdminAddress {
    let Some(fields) = open(cx, node, &keys::ADMIN) else { return AdminAddress::Auto };
    let Some(node) = fields.get("address") else { return AdminAddress::Auto };
    match node.text() {
        Some("auto") => return AdminAddress::Auto,
        Some("off") => return AdminAddress::Off,
        _ => {}
    }
    let Some(address) = cx.read(node, "an address such as `127.0.0.1:9180`", address::listener) else {
        return AdminAddress::Off;
    };
    if let Address::Tcp(tcp) = &address
        && !tcp.ip().is_loopback()
    {
        cx.error_help(
            node.span,
            "the admin endpoint asks for no password: it listens on loopback or a unix socket",
            format!("write `127.0.0.1:{}` or `unix:/path`", tcp.port()),
        );
    }
    if let Address::Unix(path) = &address {
        has_folder(cx, node, path);
    }
    if listeners.iter().any(|listener| listener.address == address) {
        cx.error(node.span, format!("`{}` is a listener's address too", address::text(&address)));
    }
    AdminAddress::At(address)
}
