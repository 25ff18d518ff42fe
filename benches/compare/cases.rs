//! The cases that are measured: each is a workload and what it needs of the proxies'
//! configuration.

use crate::behind::Behind;
use crate::certificates::Key;
use crate::front::Front;
use crate::kind::Kind;
use crate::load::{Call, Connections, Shape, Streams};

#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub what: &'static str,
    pub load: Workload,
    pub threads: usize,
    pub routes: usize,
    pub servers: usize,
    /// Whether the proxies log that can.
    pub log: bool,
    pub front: Front,
    pub behind: Behind,
    pub contenders: Contenders,
    /// Whether the case is measured in the same rounds as the one before it, with which it is
    /// compared: the machine's speed drifts.
    pub beside: bool,
}

#[derive(Clone, Debug)]
pub enum Workload {
    Saturate(Shape),
    /// At half of our saturation.
    Pace(Shape),
    Tunnels(usize),
    Multiplex(Streams),
    Idle(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contenders {
    Everybody,
    Ours,
    /// Ours, and the proxies whose template takes any number of servers.
    Pools,
    /// Ours, and the proxies whose template knows every [`Front`].
    Fronts,
    /// Those that speak HTTP/2 in the clear.
    Http2,
}

impl Case {
    pub fn includes(&self, kind: &Kind) -> bool {
        match self.contenders {
            Contenders::Everybody => true,
            Contenders::Ours => matches!(kind, Kind::Ours(_)),
            Contenders::Pools => matches!(kind, Kind::Ours(_) | Kind::Nginx | Kind::Haproxy),
            Contenders::Http2 => !matches!(kind, Kind::Pingap(_)),
            Contenders::Fronts => matches!(kind, Kind::Ours(_) | Kind::Nginx | Kind::Haproxy | Kind::Caddy),
        }
    }

    fn of(name: &'static str, what: &'static str, load: Workload) -> Self {
        Self {
            name,
            what,
            load,
            threads: 1,
            routes: 1,
            servers: 1,
            log: false,
            front: Front::Http1,
            behind: Behind::Http1,
            contenders: Contenders::Everybody,
            beside: false,
        }
    }

    fn body(name: &'static str, what: &'static str, path: &'static str, size: usize, clients: usize) -> Self {
        Self::of(name, what, Workload::Saturate(Shape { path, size, clients, ..Shape::SMALL }))
    }
}

pub fn all() -> Vec<Case> {
    let mut all = http1();
    all.extend(tls());
    all.extend(http2());
    all
}

fn http1() -> Vec<Case> {
    let small = || Workload::Saturate(Shape::SMALL);
    let upload = Shape { path: "/upload", upload: 10_000_000, clients: 4, ..Shape::SMALL };
    let routes = |name, what, routes, path| Case {
        routes,
        contenders: Contenders::Ours,
        beside: routes > 1,
        ..Case::of(name, what, Workload::Saturate(Shape { path, ..Shape::SMALL }))
    };
    vec![
        Case::of("small", "60 bytes, keep-alive", small()),
        Case {
            log: true,
            beside: true,
            ..Case::of("log", "60 bytes, keep-alive, access log to a file where there is one", small())
        },
        Case { threads: 2, ..Case::of("small-2", "60 bytes, keep-alive, two threads", small()) },
        Case::body("10k", "10 kB, keep-alive", "/bytes/10000", 10_000, 32),
        Case::body("100k", "100 kB, keep-alive", "/bytes/100000", 100_000, 32),
        Case { threads: 2, ..Case::body("100k-2", "100 kB, keep-alive, two threads", "/bytes/100000", 100_000, 32) },
        Case::body("download", "10 MB down", "/bytes/10000000", 10_000_000, 4),
        Case::of("upload", "10 MB up", Workload::Saturate(upload)),
        Case::of(
            "connect",
            "60 bytes, a new connection for each request",
            Workload::Saturate(Shape { connections: Connections::Fresh, ..Shape::SMALL }),
        ),
        Case::of("websocket", "WebSocket messages of 64 bytes, there and back, 16 tunnels", Workload::Tunnels(16)),
        routes("routes-1", "60 bytes, one route", 1, "/service-5/x"),
        routes("routes-100", "60 bytes, one of 100 routes", 100, "/service-50/x"),
        routes("routes-10000", "60 bytes, one of 10,000 routes", 10_000, "/service-5000/x"),
        Case {
            servers: 1000,
            contenders: Contenders::Pools,
            ..Case::of("servers-1000", "60 bytes, keep-alive, 1,000 upstream servers", small())
        },
        Case::of("tail", "60 bytes at half of our saturation", Workload::Pace(Shape::SMALL)),
        Case::of("idle-2000", "2,000 idle connections, each after one request", Workload::Idle(2000)),
        Case::of("idle-8000", "8,000 idle connections, each after one request", Workload::Idle(8000)),
    ]
}

fn tls() -> Vec<Case> {
    let over = |key, case| Case { front: Front::Tls(key), contenders: Contenders::Fronts, ..case };
    let handshakes = |name, what, key, connections| {
        over(key, Case::of(name, what, Workload::Saturate(Shape { connections, ..Shape::SMALL })))
    };
    let idle = Case::of("idle-tls", "2,000 idle TLS connections, each after one request", Workload::Idle(2000));
    vec![
        handshakes(
            "tls-resumed",
            "60 bytes, a new TLS connection for each request, session resumed",
            Key::Ecdsa,
            Connections::Resumed,
        ),
        handshakes(
            "tls-full-ecdsa",
            "60 bytes, a new TLS connection for each request, full handshake, P-256",
            Key::Ecdsa,
            Connections::Fresh,
        ),
        handshakes(
            "tls-full-rsa",
            "60 bytes, a new TLS connection for each request, full handshake, RSA-2048",
            Key::Rsa,
            Connections::Fresh,
        ),
        over(Key::Ecdsa, Case::body("tls-1M", "1 MiB, TLS, keep-alive", "/bytes/1048576", 1 << 20, 8)),
        over(Key::Ecdsa, idle),
    ]
}

fn http2() -> Vec<Case> {
    let of = |name, what, front, call| Case {
        front,
        contenders: if front == Front::H2c { Contenders::Http2 } else { Contenders::Fronts },
        ..Case::of(name, what, Workload::Multiplex(Streams { connections: 8, streams: 16, call }))
    };
    vec![
        of("h2", "60 bytes, HTTP/2 over TLS, 8 connections of 16 streams", Front::Tls(Key::Ecdsa), Call::Get),
        of("h2c", "60 bytes, HTTP/2 in the clear, 8 connections of 16 streams", Front::H2c, Call::Get),
        Case {
            behind: Behind::Grpc,
            ..of(
                "grpc",
                "gRPC, unary calls, HTTP/2 in the clear on both sides, 8 connections of 16 streams",
                Front::H2c,
                Call::Grpc,
            )
        },
    ]
}
