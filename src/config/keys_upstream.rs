//! The keys of upstreams: their shapes, defaults and meanings. Must not know how a key
//! is read or what becomes of it.

use super::shape::{Section, Shape, bare, key, later};

pub const BALANCE: &[&str] = &["round_robin", "least_conn", "p2c", "random", "ip_hash"];
pub const RETRY_ON: &[&str] = &["connect", "reset", "timeout"];
pub const RETRY_METHODS: &[&str] = &["idempotent", "safe"];
const NONE: Shape = Shape::Word(&["none"]);
const DEADLINE: Shape = Shape::Any(&[Shape::Duration, NONE]);
const PATH_OR_NULL: Shape = Shape::Any(&[Shape::Text, Shape::Null]);
const STATUSES: Shape = Shape::List(&Shape::Integer(400, 599));

pub static UPSTREAM: Section = Section {
    title: "an upstream",
    keys: &[
        bare(
            "servers",
            Shape::Some(&Shape::Any(&[Shape::Text, Shape::Section(&UPSTREAM_SERVER)])),
            "`IP:port`, `name:port` (its first address), `unix:/path`, or a map; at least one.",
        ),
        key(
            "balance",
            Shape::Any(&[Shape::Word(BALANCE), Shape::Section(&BALANCE_HASH)]),
            "\"round_robin\"",
            "How a server is chosen. `p2c`: the less busy of two random ones.",
        ),
        key(
            "sticky",
            Shape::Any(&[Shape::Section(&STICKY), Shape::Null]),
            "null",
            "A cookie that keeps a client at its server.",
        ),
        later("protocol"),
        key(
            "tls",
            Shape::Any(&[Shape::Bool, Shape::Section(&UPSTREAM_TLS)]),
            "false",
            "TLS to the servers; `true` for its defaults.",
        ),
        key("health", Shape::Section(&HEALTH), "{}", "How it is noticed that a server is down."),
        key("retry", Shape::Section(&RETRY), "{}", "When a request is tried again, at another server if there is one."),
        key("timeouts", Shape::Section(&UPSTREAM_TIMEOUTS), "{}", "The servers' side; `none` is no deadline."),
        key("pool", Shape::Section(&POOL), "{}", "Connections kept for later requests."),
        key("slow_start", Shape::Duration, "\"0s\"", "How long a server that came back gets a growing share."),
    ],
};

pub static UPSTREAM_SERVER: Section = Section {
    title: "a server",
    keys: &[
        bare("address", Shape::Text, "`IP:port`, `name:port` or `unix:/path`."),
        bare("dns", Shape::Text, "`name:port`: each address of the name is a server."),
        bare(
            "srv",
            Shape::Text,
            "A name such as `_http._tcp.app.internal`: each target of its SRV records is a server.",
        ),
        key("refresh", Shape::Duration, "\"10s\"", "How often a name is looked up; at least 1s."),
        key("weight", Shape::Integer(1, 1000), "1", "Its share of the requests, relative to the others'."),
        key("backup", Shape::Bool, "false", "Asked only while all others are down."),
    ],
};

pub static UPSTREAM_TLS: Section = Section {
    title: "`tls`",
    keys: &[
        key("sni", PATH_OR_NULL, "null", "The name asked for and verified; by default the servers' host name."),
        key("verify", Shape::Bool, "true", "Whether the certificate is verified."),
        key("ca", PATH_OR_NULL, "null", "PEM certificates to trust instead of the system's."),
        key("cert", PATH_OR_NULL, "null", "The client certificate, PEM."),
        key("key", PATH_OR_NULL, "null", "Its private key, PEM."),
    ],
};

pub static UPSTREAM_TIMEOUTS: Section = Section {
    title: "an upstream's `timeouts`",
    keys: &[
        key("connect", DEADLINE, "\"3s\"", "To connect, with the TLS handshake."),
        key(
            "response_header",
            DEADLINE,
            "\"60s\"",
            "From the last byte of a request to the whole head of its response: 504.",
        ),
        key(
            "read_idle",
            DEADLINE,
            "\"60s\"",
            "Between two pieces of a response. Event streams and upgrades: tunnel_idle.",
        ),
        key(
            "write_idle",
            DEADLINE,
            "\"60s\"",
            "Between two writes of a request's body, of which the kernel takes up to a few megabytes at a time: 504.",
        ),
        key(
            "request",
            DEADLINE,
            "\"none\"",
            "From a request's head to the last byte of its response, over all tries: 504. Not for event streams and upgrades.",
        ),
        key("pool_idle", DEADLINE, "\"55s\"", "An idle connection in the pool."),
    ],
};

pub static POOL: Section = Section {
    title: "`pool`",
    keys: &[
        key(
            "max_idle",
            Shape::Any(&[Shape::Integer(0, 65535), Shape::Word(&["auto"])]),
            "\"auto\"",
            "Idle connections that each thread keeps, in room that all upstreams share; 0 closes each after its request; `auto` is 128, or two for each server if that is more.",
        ),
        key(
            "max_connections",
            Shape::Any(&[Shape::Integer(1, 1_000_000), Shape::Word(&["unlimited"])]),
            "\"unlimited\"",
            "Requests at once to each server. What is more waits in the queue, or gets 503.",
        ),
        key(
            "queue",
            Shape::Integer(0, 1_000_000),
            "0",
            "Requests that may wait while all servers are at `max_connections`.",
        ),
        key("queue_timeout", Shape::Duration, "\"5s\"", "How long one waits: then 503."),
    ],
};

pub static BALANCE_HASH: Section = Section {
    title: "`balance`",
    keys: &[bare(
        "hash",
        Shape::Text,
        "`header:name`, `cookie:name`, `query:name`, `path` or `client_ip`: what is equal goes to the same server.",
    )],
};

pub static STICKY: Section = Section {
    title: "`sticky`",
    keys: &[
        bare("cookie", Shape::Text, "The cookie's name."),
        key("max_age", Shape::Duration, "\"1h\"", "How long a client keeps it; at least 1s."),
        key(
            "secure",
            Shape::Any(&[Shape::Bool, Shape::Word(&["auto"])]),
            "\"auto\"",
            "`auto`: where the client came over HTTPS.",
        ),
        key(
            "secret_file",
            PATH_OR_NULL,
            "null",
            "What signs it, for several proxies with the same one; by default a key in the process's own folder.",
        ),
    ],
};

pub static HEALTH: Section = Section {
    title: "`health`",
    keys: &[
        key(
            "active",
            Shape::Any(&[Shape::Section(&ACTIVE), Shape::Null]),
            "null",
            "Each server is asked at intervals.",
        ),
        key(
            "passive",
            Shape::Any(&[Shape::Section(&PASSIVE), Shape::Word(&["off"])]),
            "{}",
            "A server whose answers to real requests fail gets none for a while; never the last one.",
        ),
    ],
};

pub static ACTIVE: Section = Section {
    title: "`active`",
    keys: &[
        bare("path", Shape::Text, "What is asked for with GET."),
        bare("tcp", Shape::Bool, "`true`: a connection is enough."),
        key("interval", Shape::Duration, "\"5s\"", "Between two checks, give or take a tenth; at least 100ms."),
        key("timeout", Shape::Duration, "\"1s\"", "Of one check."),
        key(
            "healthy_after",
            Shape::Integer(1, 100),
            "2",
            "Good ones in a row; one is enough while no server is there.",
        ),
        key("unhealthy_after", Shape::Integer(1, 100), "3", "Bad ones in a row."),
        key("status", Shape::Text, "\"200-399\"", "The good answers: a status, or from-to."),
        key("host", PATH_OR_NULL, "null", "The Host asked for; by default the server's name."),
        key(
            "port",
            Shape::Any(&[Shape::Integer(1, 65535), Shape::Null]),
            "null",
            "Another port than the server's own.",
        ),
        key(
            "tls",
            Shape::Any(&[Shape::Bool, Shape::Null]),
            "null",
            "Whether the check speaks TLS; by default as the upstream does.",
        ),
    ],
};

pub static PASSIVE: Section = Section {
    title: "`passive`",
    keys: &[
        key("failures", Shape::Integer(1, 10_000), "5", "In a row, after which a server is ejected."),
        key(
            "eject_for",
            Shape::Duration,
            "\"30s\"",
            "The first time; twice as long the second time in a row, and so on up to ten times.",
        ),
        key("max_ejected", Shape::Text, "\"50%\"", "Of the servers; never the last one."),
        key(
            "statuses",
            STATUSES,
            "[502, 503, 504]",
            "Answers that are failures, beside resets, timeouts and refused connections.",
        ),
    ],
};

pub static RETRY: Section = Section {
    title: "`retry`",
    keys: &[
        key(
            "attempts",
            Shape::Integer(1, 10),
            "2",
            "Tries in all; 1 is no retry. Servers that cannot be connected to are passed over without counting.",
        ),
        key("on", Shape::List(&Shape::Word(RETRY_ON)), "[\"connect\", \"reset\", \"timeout\"]", "What is tried again."),
        key(
            "methods",
            Shape::Word(RETRY_METHODS),
            "\"idempotent\"",
            "Which requests, once they were sent. POST and PATCH never.",
        ),
        key("statuses", STATUSES, "[]", "Answers that are tried again."),
        key("budget", Shape::Text, "\"20%\"", "Retries, of the requests of the last seconds."),
        key(
            "body_buffer",
            Shape::Size,
            "\"64KiB\"",
            "Of a request's body; a longer one is not tried again. At most 64KiB.",
        ),
    ],
};

pub static DNS: Section = Section {
    title: "`dns`",
    keys: &[
        key("nameservers", Shape::List(&Shape::Text), "[]", "`IP` or `IP:port`; by default the system's."),
        key("timeout", Shape::Duration, "\"2s\"", "Of one question."),
    ],
};

pub static MIRROR: Section = Section {
    title: "`mirror`",
    keys: &[
        bare("upstream", Shape::Text, "Where copies of requests go; what it answers is not read."),
        key("share", Shape::Text, "\"100%\"", "Of the requests."),
    ],
};
