//! Words for routes: what they match, and where they lead.

use super::entry::{ANY, MATCH, PATH, REDIRECT, RESPOND, ROUTE, TLS, TOP, later, nothing, valued, write};
use super::translate::{path, service};
use crate::config::section::Foreign;
use crate::config::section::Place::{Here, Route, Top};

pub const ROUTES: &[Foreign] = &[
    // Routes.
    write(
        words![
            "routers" "router" "locations" "location" "handle" "handle_path" "virtual_hosts" "vhosts" "sites" "site"
        ],
        TOP,
        Top,
        &["routes: [{ match: { host: example.com, path: /api }, upstream: \"127.0.0.1:3000\" }]"],
        "",
    ),
    valued(
        words!["location" "locations" "handle" "path_prefix" "pathprefix" "prefix" "paths" "uri" "url" "path"],
        ROUTE,
        Route,
        &["match: { path: % }"],
        "/api",
        path,
    ),
    valued(words!["location" "locations" "handle"], ANY, Route, &["match: { path: % }"], "/api", path),
    valued(
        words!["handle_path"],
        ANY,
        Route,
        &["match: { path: % }, request: { path: { strip_prefix: % } }"],
        "/api",
        path,
    ),
    valued(
        words!["prefix" "path_prefix" "pathprefix" "location" "paths" "uri"],
        MATCH,
        Here,
        &["path: %"],
        "/api",
        path,
    ),
    valued(words!["prefix" "path_prefix" "pathprefix"], PATH, Here, &["path: %"], "/api", path),
    write(
        words![
            "server_name" "server_names" "domain" "domains" "host" "hosts" "hostname" "hostnames" "virtual_host"
            "vhost"
        ],
        ROUTE,
        Route,
        &["match: { host: % }"],
        "example.com",
    ),
    write(
        words!["server_name" "server_names" "domain" "domains" "hostname" "hostnames" "hostregexp"],
        MATCH,
        Here,
        &["host: %"],
        "example.com",
    ),
    write(
        words!["server_name" "server_names" "domain" "domains" "host" "hosts"],
        TOP,
        Route,
        &["match: { host: % }"],
        "example.com",
    ),
    write(words!["server_name"], ANY, Route, &["match: { host: % }"], "example.com"),
    write(
        words!["rule" "rules" "matcher" "matchers" "matches" "conditions" "condition" "when" "if" "acl"],
        ROUTE,
        Here,
        &["match: { host: example.com, path: /api }"],
        "",
    ),
    write(
        words!["ip" "ips" "remote_ip" "remote_addr" "client" "src" "source" "sourcerange" "clientip"],
        MATCH,
        Here,
        &["client_ip: [%]"],
        "10.0.0.0/8",
    ),
    nothing(words!["port"], MATCH, "a route does not look at it: leave it out"),
    write(words!["scheme" "protocol"], MATCH, Here, &["header: { x-forwarded-proto: % }"], "http"),
    valued(
        words![
            "proxy_pass" "grpc_pass" "reverse_proxy" "backend" "backends" "default_backend" "use_backend" "service"
            "services" "target" "targets" "forward" "forward_to" "to" "proxy" "proxy_to" "dest" "destination"
            "cluster" "server" "servers" "address" "addresses" "endpoint" "upstreams"
        ],
        ROUTE,
        Here,
        &["upstream: %"],
        "127.0.0.1:3000",
        service,
    ),
    valued(
        words!["proxy_pass" "grpc_pass" "reverse_proxy" "default_backend" "use_backend"],
        ANY,
        Route,
        &["upstream: %"],
        "127.0.0.1:3000",
        service,
    ),
    nothing(words!["fastcgi_pass" "uwsgi_pass" "scgi_pass" "php_fastcgi"], ANY, "servers are asked by HTTP only"),
    write(
        words!["weighted" "weights" "split" "canary" "traffic_split" "split_clients"],
        ROUTE,
        Here,
        &["upstream: { api: 90, api-next: 10 }"],
        "",
    ),
    write(
        words![
            "redir" "redirects" "redirect_to" "redirectregex" "redirectscheme" "http_redirect" "https_redirect"
            "force_https"
        ],
        ANY,
        Route,
        &["redirect: \"https://{host}{path}{query}\""],
        "",
    ),
    write(
        words!["return"],
        ANY,
        Route,
        &["redirect: { to: \"https://{host}{path}{query}\", status: 301 }", "respond: { status: 404 }"],
        "",
    ),
    write(
        words!["static_response" "direct_response" "fixed_response" "body"],
        ROUTE,
        Here,
        &["respond: { status: 200, body: % }"],
        "ok",
    ),
    later(
        words![
            "root" "alias" "index" "autoindex" "try_files" "file_server" "static" "static_files" "directory"
            "browse"
        ],
        ANY,
        "routes[].files",
    ),
    later(words!["gzip" "brotli" "zstd" "compression" "compress" "encode"], ANY, "routes[].compress"),
    nothing(
        words!["auth_basic" "auth_basic_user_file" "basic_auth" "basicauth"],
        ANY,
        "in a route write `auth: { basic: { users_file: htpasswd } }`; `pingora-proxy hash-password` makes its lines",
    ),
    nothing(
        words!["digestauth" "auth_digest"],
        ANY,
        "digest authentication is not spoken: in a route write `auth: { basic: … }`, behind TLS",
    ),
    nothing(
        words!["auth_request" "forward_auth" "forwardauth"],
        ANY,
        "in a route write `auth: { forward: { url: \"http://127.0.0.1:9091/verify\" } }`",
    ),
    nothing(
        words!["jwt" "auth_jwt"],
        ANY,
        "in a route write `auth: { jwt: { jwks_url: \"https://…\", issuer: …, audience: … } }`",
    ),
    nothing(
        words!["oidc" "openid" "openid_connect" "oauth2" "auth_oidc" "authopenidc"],
        ANY,
        "in a route write `auth: { oidc: { issuer: \"https://…\", client_id: …, cookie_secret_file: … } }`",
    ),
    write(
        words!["limit_req" "limit_req_zone" "rate_limiting" "ratelimit" "rate_limit"],
        ANY,
        Route,
        &["rate_limit: { rate: 100/s }"],
        "",
    ),
    nothing(words!["limit_rate"], ANY, "how fast a response is sent is not limited: `rate_limit` counts requests"),
    write(words!["limit_conn" "limit_conn_zone" "inflightreq"], ANY, Route, &["concurrency: { max: 512 }"], ""),
    write(words!["allow" "ipallowlist" "ipwhitelist"], ANY, Route, &["access: { allow: [%] }"], "10.0.0.0/8"),
    write(words!["deny"], ANY, Route, &["access: { deny: [%] }"], "10.0.0.0/8"),
    nothing(words!["acls"], ANY, "lists of addresses are `access` of a route, other conditions are its `match`"),
    write(words!["error"], ROUTE, Here, &["respond: { status: % }"], "404"),
    write(words!["request_body"], ROUTE, Here, &["limits: { request_body: 100MiB }"], ""),
    later(words!["proxy_cache" "proxy_cache_valid" "proxy_cache_key"], ANY, "routes[].cache"),
    nothing(
        words!["websocket" "websockets" "upgrade" "proxy_http_version"],
        ANY,
        "WebSockets and keep-alive need no key: leave it out",
    ),
    nothing(
        words![
            "proxy_buffering" "proxy_request_buffering" "flush_interval" "proxy_buffers" "proxy_buffer_size"
            "buffering"
        ],
        ANY,
        "bodies are never buffered: leave it out",
    ),
    nothing(
        words!["middlewares" "middleware" "filters" "plugins" "handlers" "handler"],
        ANY,
        "what is changed stands in the route itself: `request`, `response`, `mirror`",
    ),
    write(words!["code" "status_code" "http_code"], REDIRECT, Here, &["status: %"], "301"),
    write(words!["permanent"], REDIRECT, Here, &["status: 308"], ""),
    write(
        words!["url" "target" "location" "destination" "uri" "replacement"],
        REDIRECT,
        Here,
        &["to: %"],
        "https://example.com",
    ),
    write(words!["code" "status_code" "http_code"], RESPOND, Here, &["status: %"], "404"),
    write(words!["text" "content" "message" "string" "html" "json"], RESPOND, Here, &["body: %"], "ok"),
    write(words!["content_type" "contenttype" "type"], RESPOND, Here, &["header: { content-type: % }"], "text/plain"),
    write(words!["name" "cookie_name"], &["`sticky`"], Here, &["cookie: %"], "lb"),
    nothing(words!["enabled" "enable" "on"], ANY, "what stands here is on: leave it out"),
    write(
        words!["skip_verify" "insecure" "insecure_skip_verify" "insecureskipverify" "tls_insecure_skip_verify"],
        TLS,
        Here,
        &["verify: false"],
        "",
    ),
    write(words!["server_name" "servername" "tls_server_name" "name"], TLS, Here, &["sni: %"], "app.internal"),
];
