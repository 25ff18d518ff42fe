//! `server`: the process.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use super::section::{
    Fields, Form, Reader, Scalar, Syntax, Value, Word, WordsOr, number, or_null, or_word, section, words,
};
use super::value::{DURATION_OR_ZERO, FileToMake};
use super::yaml::{Invalid, Parsed, Yaml};

section! {
    /// The process.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`server`" pub struct Server {
        /// Worker threads.
        threads: Option<usize> = "auto", with or_word("auto", "One for each core.", number(1..=1024_usize));
        /// Whether an idle thread takes over another's work.
        work_stealing: Option<bool> = "auto", with or_word("auto", "Off.", bool::form());
        /// Whether the process goes to the background, as `-d` does.
        daemon: bool = false;
        /// Where the process id is written; `auto` is `pingora-proxy.pid` in the process's own folder: $RUNTIME_DIRECTORY where a service manager sets it, else /run/pingora-proxy for root, and pingora-proxy in $XDG_RUNTIME_DIR for others.
        pid_file: OwnFilePlace = "auto";
        /// The socket by which `-u` and `-s` find the running process; `auto` is `upgrade.sock` in the same folder. Its folder is made with mode 0700, and it answers only the process's own user and root.
        upgrade_sock: OwnFilePlace = "auto";
        /// Where messages go.
        error_log: ErrorLog = "stderr";
        /// Whether the process looks at the file each second and reloads it when it has changed.
        reload_on_change: bool = false;
        /// What the process gives up once it has started: debuggers of its user, core dumps, and by that what they show of keys; new privileges; system calls that it never needs, such as ptrace, mount and bpf.
        sandbox: Sandbox = "auto";
        /// How the process ends.
        drain: Drain = {};
        /// How the process is replaced by a newer one.
        upgrade: Upgrade = {};
    }
    last { identity: Identity }
}

words! {
    /// Whether the process gives up what it never needs.
    pub enum Sandbox {
        /// All of it that the system offers.
        Auto = "auto",
        /// Nothing, for a debugger or a profiler. What a process has given up, those that take over from it do not have either: start anew.
        Off = "off",
    }
}

section! {
    /// How the process ends.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`drain`" pub struct Drain {
        /// How long everything is still served after TERM, while /ready already fails: time for a load balancer to notice.
        delay: Duration = "0s", with DURATION_OR_ZERO;
        /// How long requests in flight may take after the listeners have closed; then they are cut, and the exit code is 3.
        timeout: Duration = "25s", with DURATION_OR_ZERO;
        /// How long a WebSocket, an event stream or any other request may go on in the old process after an upgrade. The old process is gone after this time, after `timeout` or after `upgrade.probation`, whichever is longest, whatever its clients do.
        tunnels: Duration = "5m", with DURATION_OR_ZERO;
    }
}

section! {
    /// How the process is replaced by a newer one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`upgrade`" pub struct Upgrade {
        /// How long the old process waits after an upgrade and serves again if the new one dies: it is killed, crashes, or a listener of its breaks. `0s` has an upgrade be final.
        probation: Duration = "30s", with DURATION_OR_ZERO;
    }
}

/// Where a file of the process's own stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnFilePlace {
    /// In the process's own folder, if no other process has it.
    Auto,
    Off,
    At(PathBuf),
}

impl Value for OwnFilePlace {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Auto, Word { word: "auto", doc: "" }),
                (Self::Off, Word { word: "off", doc: "No such file is made." }),
                // It has always meant that there is none.
                (Self::Off, Word { word: "null", doc: "" }),
            ],
            // Its last folder is made at start.
            form: FileToMake { makes_folder: true },
            wrap: Self::At,
            unwrap: |place| match place {
                Self::At(path) => Some(path.clone()),
                Self::Auto | Self::Off => None,
            },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorLog {
    Stderr,
    File(PathBuf),
}

impl Value for ErrorLog {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [(Self::Stderr, Word { word: "stderr", doc: "Standard error." })],
            form: FileToMake { makes_folder: false },
            wrap: Self::File,
            unwrap: |log| match log {
                Self::File(path) => Some(path.clone()),
                Self::Stderr => None,
            },
        }
    }
}

section! {
    /// Who the process becomes, when root starts it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`server`" pub struct Identity {
        /// The user that the process becomes after it has opened its ports: a name or a number. Needs root.
        user: Option<UserAccount> = null, with or_null(USER);
        /// Its group; by default the user's own.
        group: Option<GroupAccount> = null, with or_null(GROUP);
    }
    check Identity::need_root;
}

/// A user that existed when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAccount {
    pub written: String,
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
}

/// A group that existed when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAccount {
    pub written: String,
    pub gid: u32,
}

/// The numbers of a user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

impl Identity {
    /// `None` changes nothing. A user without a group brings its own; a group alone leaves
    /// the user.
    pub fn ids(&self) -> Option<Ids> {
        let user = self.user.as_ref();
        let own = |user: Option<&UserAccount>| user.map(|user| user.gid);
        let gid = self.group.as_ref().map(|group| group.gid).or(own(user))?;
        Some(Ids { uid: user.map_or_else(|| Uid::effective().as_raw(), |user| user.uid), gid })
    }

    fn need_root(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let user = self.user.as_ref().filter(|user| user.uid != Uid::effective().as_raw());
        let group = self.group.as_ref().filter(|group| group.gid != Gid::effective().as_raw());
        for (name, changes) in [("user", user.is_some()), ("group", group.is_some())] {
            if changes && !Uid::effective().is_root() {
                let message = format!("only root can change the {name}");
                reader.error_help(fields.key_span(name), message, "start it as root, or leave the key out");
            }
        }
    }
}

const ACCOUNT: Syntax = Syntax { kind: "name or number", numbers: true, pattern: None, examples: &["www-data", "33"] };
const USER: Scalar<UserAccount> = Scalar {
    what: "a user's name or number",
    syntax: ACCOUNT,
    parse: user,
    print: |account| Yaml::text(&account.written),
};
const GROUP: Scalar<GroupAccount> = Scalar {
    what: "a group's name or number",
    syntax: ACCOUNT,
    parse: group,
    print: |account| Yaml::text(&account.written),
};

fn user(text: &str) -> Parsed<UserAccount> {
    let account = |uid: u32, gid: u32| UserAccount { written: text.to_owned(), uid, gid };
    let found = match text.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(text),
    };
    match (found, text.parse::<u32>()) {
        (Ok(Some(user)), _) => Ok(account(user.uid.as_raw(), user.gid.as_raw())),
        // A number needs no entry in /etc/passwd, which a small image may not have.
        (Ok(None) | Err(_), Ok(uid)) => Ok(account(uid, uid)),
        (Ok(None), Err(_)) => Err(Invalid::new(format!("there is no user `{text}`"))),
        (Err(e), Err(_)) => Err(Invalid::new(format!("cannot look up the user `{text}`: {e}"))),
    }
}

fn group(text: &str) -> Parsed<GroupAccount> {
    let account = |gid: u32| GroupAccount { written: text.to_owned(), gid };
    if let Ok(gid) = text.parse::<u32>() {
        return Ok(account(gid));
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(account(group.gid.as_raw())),
        Ok(None) => Err(Invalid::new(format!("there is no group `{text}`"))),
        Err(e) => Err(Invalid::new(format!("cannot look up the group `{text}`: {e}"))),
    }
}
