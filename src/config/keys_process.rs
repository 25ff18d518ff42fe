//! The keys of the process itself (see `keys`): `server`, `admin` and `log`. Must not
//! know how a key is read or what becomes of it.

use super::shape::{Section, Shape, key};

pub const LOG_LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
pub const ACCESS_FORMATS: &[&str] = &["auto", "json", "combined", "text"];
const AUTO: Shape = Shape::Word(&["auto"]);
const PLACE: Shape = Shape::Any(&[Shape::Word(&["auto", "off"]), Shape::Text, Shape::Null]);
const TEXT_OR_NULL: Shape = Shape::Any(&[Shape::Text, Shape::Null]);

pub static SERVER: Section = Section {
    title: "`server`",
    keys: &[
        key(
            "threads",
            Shape::Any(&[Shape::Integer(1, 1024), AUTO]),
            "\"auto\"",
            "Worker threads; `auto` is one per core.",
        ),
        key(
            "work_stealing",
            Shape::Any(&[Shape::Bool, AUTO]),
            "\"auto\"",
            "Whether an idle thread takes over another's work.",
        ),
        key("daemon", Shape::Bool, "false", "Whether it goes to the background, as `-d` does."),
        key(
            "pid_file",
            PLACE,
            "\"auto\"",
            "Where the process id is written; `auto` is `pingora-proxy.pid` in the process's own folder: $RUNTIME_DIRECTORY where a service manager sets it, else /run/pingora-proxy for root, and pingora-proxy in $XDG_RUNTIME_DIR for others.",
        ),
        key(
            "upgrade_sock",
            PLACE,
            "\"auto\"",
            "Where `-u` and `-s` find the running process; `auto` is `upgrade.sock` in the same folder. Its folder is made with mode 0700, and only its own user and root are answered.",
        ),
        key("user", TEXT_OR_NULL, "null", "Who it runs as once its ports are open: a name or a number. Needs root."),
        key("group", TEXT_OR_NULL, "null", "Its group; by default the user's own."),
        key("error_log", Shape::Text, "\"stderr\"", "`stderr` or a file."),
        key(
            "reload_on_change",
            Shape::Bool,
            "false",
            "Whether the file is looked at each second and reloaded when it changed.",
        ),
        key("drain", Shape::Section(&DRAIN), "{}", "How it ends."),
    ],
};

pub static DRAIN: Section = Section {
    title: "`drain`",
    keys: &[
        key(
            "delay",
            Shape::Duration,
            "\"0s\"",
            "Between TERM, when /ready fails, and the closing of the listeners: time for a load balancer to notice.",
        ),
        key(
            "timeout",
            Shape::Duration,
            "\"25s\"",
            "How long requests in flight may take once the listeners are closed; then they are cut, and the exit code is 3.",
        ),
        key(
            "tunnels",
            Shape::Duration,
            "\"5m\"",
            "How long WebSockets, other upgrades and event streams may outlive an upgrade in the old process.",
        ),
    ],
};

pub static ADMIN: Section = Section {
    title: "`admin`",
    keys: &[key(
        "address",
        Shape::Text,
        "\"auto\"",
        "`IP:port` on loopback, `unix:/path`, `off`, or `auto`: 127.0.0.1:9180 unless something else has it. Answers /health and /ready.",
    )],
};

pub static LOG: Section = Section {
    title: "`log`",
    keys: &[
        key("level", Shape::Word(LOG_LEVELS), "\"info\"", "The least severe message that is logged."),
        key("access", Shape::Section(&ACCESS), "{}", "One line for each request."),
    ],
};

pub static ACCESS: Section = Section {
    title: "`access`",
    keys: &[
        key("to", Shape::Text, "\"stdout\"", "`off`, `stdout` or a file."),
        key("format", Shape::Word(ACCESS_FORMATS), "\"auto\"", "`auto` is text on a terminal and JSON elsewhere."),
    ],
};
