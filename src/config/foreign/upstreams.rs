//! Words for upstreams and their servers.

use super::entry::{ANY, SERVER, TOP, UPSTREAM, valued, write};
use super::translate::{attempts, balance, number, seconds, server};
use crate::config::section::Foreign;
use crate::config::section::Place::{Here, Top, Upstream};

pub const UPSTREAMS: &[Foreign] = &[
    // Upstreams.
    write(
        words!["backend" "backends" "services" "service" "clusters" "cluster" "servers" "targets" "server_pools"],
        TOP,
        Top,
        &["upstreams: { api: { servers: [\"127.0.0.1:3000\"] } }"],
        "",
    ),
    valued(
        words![
            "server" "backend" "backends" "endpoint" "endpoints" "target" "targets" "hosts" "nodes" "members"
            "address" "addresses" "url" "urls" "instances" "to"
        ],
        UPSTREAM,
        Here,
        &["servers: [%]"],
        "127.0.0.1:3000",
        server,
    ),
    valued(
        words!["server" "url" "uri" "host" "hostname" "ip" "port" "target" "upstream" "dial" "name" "endpoint"],
        SERVER,
        Here,
        &["address: %"],
        "127.0.0.1:3000",
        server,
    ),
    valued(
        words![
            "load_balance" "load_balancing" "load_balancer" "loadbalancer" "lb" "lb_policy" "lb_method"
            "lb_algorithm" "policy" "strategy" "algorithm" "balancer" "method" "load_balancing_policy"
        ],
        UPSTREAM,
        Here,
        &["balance: %"],
        "round_robin",
        balance,
    ),
    valued(
        words!["ip_hash" "least_conn" "random" "round_robin" "p2c"],
        UPSTREAM,
        Here,
        &["balance: ip_hash", "balance: least_conn"],
        "",
        |_| None,
    ),
    valued(
        words!["lb_policy" "load_balance" "load_balancing" "load_balancer" "loadbalancer" "lb"],
        ANY,
        Upstream,
        &["balance: %"],
        "round_robin",
        balance,
    ),
    write(
        words![
            "health_check" "health_checks" "healthcheck" "health_uri" "health_path" "check" "checks" "httpchk"
            "health_interval"
        ],
        ANY,
        Upstream,
        &["health: { active: { path: /healthz } }"],
        "",
    ),
    valued(
        words!["interval" "inter"],
        UPSTREAM,
        Here,
        &["health: { active: { path: /healthz, interval: % } }"],
        "5s",
        seconds,
    ),
    valued(
        words!["max_fails" "fall" "max_failures"],
        ANY,
        Upstream,
        &["health: { passive: { failures: % } }"],
        "5",
        number,
    ),
    valued(
        words!["fail_timeout" "fail_duration"],
        ANY,
        Upstream,
        &["health: { passive: { eject_for: % } }"],
        "30s",
        seconds,
    ),
    write(
        words!["keepalive" "keepalive_connections" "keepalive_idle_conns" "max_idle_conns"],
        UPSTREAM,
        Here,
        &["pool: { max_idle: % }"],
        "128",
    ),
    write(words!["max_conns" "maxconn" "maxconns"], ANY, Upstream, &["pool: { max_connections: % }"], "100"),
    valued(
        words![
            "retries" "max_retries" "proxy_next_upstream" "proxy_next_upstream_tries" "retry_on" "lb_retries"
            "lb_try_duration" "redispatch"
        ],
        ANY,
        Upstream,
        &["retry: { attempts: % }"],
        "2",
        attempts,
    ),
    write(
        words!["sticky_session" "sticky_sessions" "stickiness" "affinity" "session_affinity" "stick_table"],
        ANY,
        Upstream,
        &["sticky: { cookie: lb }"],
        "",
    ),
    valued(
        words!["timeout" "proxy_read_timeout" "read_timeout" "timeout_server"],
        ANY,
        Upstream,
        &["timeouts: { response_header: %, read_idle: % }"],
        "60s",
        seconds,
    ),
    valued(
        words!["proxy_connect_timeout" "connect_timeout" "dial_timeout" "timeout_connect" "dialtimeout"],
        ANY,
        Upstream,
        &["timeouts: { connect: % }"],
        "3s",
        seconds,
    ),
    valued(
        words!["proxy_send_timeout" "write_timeout"],
        ANY,
        Upstream,
        &["timeouts: { write_idle: % }"],
        "60s",
        seconds,
    ),
    valued(
        words!["response_header_timeout" "responseheadertimeout"],
        ANY,
        Upstream,
        &["timeouts: { response_header: % }"],
        "60s",
        seconds,
    ),
    write(
        words![
            "proxy_ssl_verify" "tls_insecure_skip_verify" "insecureskipverify" "insecure_skip_verify" "skip_verify"
            "insecure"
        ],
        ANY,
        Upstream,
        &["tls: { verify: false }"],
        "",
    ),
    write(
        words!["proxy_ssl_name" "proxy_ssl_server_name" "server_name" "servername" "tls_server_name"],
        UPSTREAM,
        Here,
        &["tls: { sni: % }"],
        "app.internal",
    ),
];
