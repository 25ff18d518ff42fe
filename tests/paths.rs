//! Which path is matched and which goes upstream: no spelling gets past a rule, and every path
//! that leads one way only goes up byte for byte.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::{Folder, Origin, Proxy, call};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Spellings of `/admin/x` for services that decode, merge, resolve or drop more than others.
const DISGUISES: [&str; 30] = [
    "/admin%2fx",
    "/%2fadmin/x",
    "/%5cadmin",
    "/%5Cadmin%5Cx",
    "/x/..%5cadmin",
    "/x%5c..%5cadmin",
    "/x/..%2fadmin",
    "/x/%2e%2e%2fadmin/x",
    "/x%2f../admin/x",
    "/x/..;/admin/x",
    "/x/..;a=b/admin",
    "/x/%2e%2e;/admin",
    "/;/admin",
    "/;a/admin",
    "//admin/x",
    "///admin",
    "/./admin",
    "/x/../admin",
    "/x/%2e%2e/admin",
    "/../admin",
    "/x//../../admin",
    "/a//../b/../admin",
    "/admin;x%2f..%2f..%2fy",
    "/x%3b/..%2f..%2fadmin",
    "//x/admin",
    "//u@x/admin/users?y=1",
    "///x/admin",
    "/%2fx/admin",
    "/x/..;/admin/users/..%3B/..;/",
    "/x/../admin/u/%2e%2e/../",
];

fn guarded(origin: &Origin, more: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\n{more}\nroutes:\n  - {{ match: {{ path: /admin }}, respond: {{ status: 403 }} }}\n  \
         - {{ upstream: '{}' }}\n",
        origin.address
    ))
}

#[test]
fn no_spelling_of_a_path_gets_past_its_rule() {
    let origin = Origin::fixed(OK);
    let proxy = guarded(&origin, "");
    for target in DISGUISES {
        let response = proxy.get(target);
        assert!(matches!(response.status, 400 | 403), "{target}: {}", response.status);
        if response.status == 400 {
            assert!(response.text().contains("paths.ambiguous"), "{target}: {}", response.text());
        }
    }
    for target in
        ["/admin", "/%61dmin", "/admin/", "/admin/x%2fy", "/admin;x/y", "/admin//../x", "/admin%2fx/../../admin"]
    {
        assert!(matches!(proxy.get(target).status, 400 | 403), "{target}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_path_that_leads_one_way_goes_up_as_it_was_sent() {
    let origin = Origin::fixed(OK);
    let proxy = guarded(&origin, "");
    for target in [
        "/a/../b",
        "/bucket/up/../x",
        "/a//b///c",
        "/@scope%2fname",
        "/%40scope%2Fname/-/name-1.0.0.tgz",
        "/data;jsessionid=AB12?x=1",
        "/matrix;a=1;b=2/c;d=%3b",
        "/%7euser/%41",
        "/back%5cslash",
        "/repo.git/info/refs?service=git-upload-pack",
        "/caf%c3%a9",
        "/api/v4/projects/group%2Fname/repository/files/src%2fmain.rs/raw?ref=main",
        "/a/./b/.",
        "/..%2fetc",
        "/%2e%2e/x",
        "/?/../admin",
    ] {
        assert_eq!(proxy.get(target).status, 200, "{target}");
        assert_eq!(origin.last().target(), target);
    }
}

#[test]
fn an_edit_of_the_path_keeps_every_byte_that_it_does_not_name() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  \
         - {{ match: {{ path: /s }}, request: {{ path: {{ strip_prefix: /s }} }}, upstream: '{0}' }}\n  \
         - {{ match: {{ path: /r }}, request: {{ path: {{ regex: '^/r/(.*)', with: '/new/$1' }} }}, upstream: '{0}' }}\n  \
         - {{ match: {{ path: /r/b }}, request: {{ path: {{ regex: '^/r/b/c/(.*)', with: '/t/$1' }} }}, upstream: '{0}' }}\n  \
         - {{ match: {{ path: /svc }}, request: {{ path: {{ strip_prefix: /svc }} }}, upstream: '{0}' }}\n  \
         - {{ match: {{ path: /svc/admin }}, respond: {{ status: 403 }} }}\n  \
         - {{ match: {{ host: added }}, request: {{ path: {{ add_prefix: /base }} }}, upstream: '{0}' }}\n",
        origin.address
    ));
    for (target, sent) in [
        ("/s/data;jsessionid=AB12", "/data;jsessionid=AB12"),
        ("/s/key//with//x", "/key//with//x"),
        ("/s/a%2fb", "/a%2fb"),
        ("/s/%7eu", "/%7eu"),
        ("/%73/%7eu?a=%7e", "/%7eu?a=%7e"),
        ("/s", "/"),
        ("/s/a//../b", "/a//../b"),
        ("/s//x", "//x"),
        ("/s/a/../b", "/a/../b"),
        ("/r/%7eu//;a%2fb", "/new/%7eu//;a%2fb"),
        ("/%72/%7eu", "/new/~u"),
    ] {
        assert_eq!(proxy.get(target).status, 200, "{target}");
        assert_eq!(origin.last().target(), sent, "{target}");
    }
    let added = |target: &str| proxy.ask(format!("GET {target} HTTP/1.1\r\nHost: added\r\n\r\n")).status;
    assert_eq!(added("/a//../b;x"), 200);
    assert_eq!(origin.last().target(), "/base/a//../b;x");
    let count = origin.count();
    // What is above the prefix is not the client's.
    for target in ["/../x", "/a/../../x", "/..%2fx", "/x/..;/..;/y", "/%2e%2e/x", "/x%5c..%5c..%5cy"] {
        assert_eq!(added(target), 400, "{target}");
    }
    for target in ["/s/../x", "/r/b/c/../secret", "/r/b/c/..;/s", "/r/b/c/..%2fs"] {
        assert_eq!(proxy.get(target).status, 400, "{target}");
    }
    // What was behind the prefix comes to the front, where it is taken for an authority.
    for target in ["/svc//x/admin", "/svc/%2fx/admin", "/svc//x/admin/users"] {
        assert_eq!(proxy.get(target).status, 400, "{target}");
    }
    assert_eq!(proxy.get("/svc/admin").status, 403);
    assert_eq!(origin.count(), count);
}

#[test]
fn the_policy_for_ambiguous_paths_is_the_operators() {
    let origin = Origin::fixed(OK);
    let as_sent = guarded(&origin, "paths: { ambiguous: as_sent }");
    let canonical = guarded(&origin, "paths: { ambiguous: canonical }");
    for target in ["/x/../admin", "//admin", "/admin%2fx", "/admin;x"] {
        assert_eq!(as_sent.get(target).status, 200, "{target}");
        assert_eq!(origin.last().target(), target);
        assert_eq!(canonical.get(target).status, 403, "{target}");
    }
    // The one that is decided by its resolved reading goes up as that.
    assert_eq!(canonical.get("/admin/..;p/b%2fc//d?q=1").status, 200);
    assert_eq!(origin.last().target(), "/b/c/d?q=1");
    assert_eq!(canonical.get("/a//b").status, 200);
    assert_eq!(origin.last().target(), "/a//b");
}

#[test]
fn a_path_with_more_readings_than_can_be_followed_is_refused() {
    let origin = Origin::fixed(OK);
    let proxy = guarded(&origin, "");
    let mixed = "/a;b//c%2F..%5C..;d//%2F..//e%3Bf%5C;g/../h%2F;i//..%2Fj".repeat(20);
    assert_eq!(proxy.get(&mixed).status, 400);
    let as_sent = guarded(&origin, "paths: { ambiguous: as_sent }");
    assert_eq!(as_sent.get(&mixed).status, 200);
    assert_eq!(origin.last().target(), mixed);
}

/// `/repo` takes paths as they were sent, whatever they are read as; `/admin` and `/tidy` do not
/// let others be read as theirs.
fn with_policies(origin: &Origin) -> Proxy {
    Proxy::start(&format!(
        "listeners: ['{{listen}}']\npaths: {{ ambiguous: as_sent }}\nroutes:\n  \
         - {{ match: {{ path: /admin }}, paths: {{ ambiguous: reject }}, respond: {{ status: 403 }} }}\n  \
         - {{ match: {{ path: /tidy }}, paths: {{ ambiguous: canonical }}, upstream: '{0}' }}\n  \
         - {{ match: {{ path: /repo }}, upstream: '{0}' }}\n  \
         - {{ match: {{ path: /repo/x }}, respond: {{ status: 204 }} }}\n",
        origin.address
    ))
}

#[test]
fn the_strictest_of_the_routes_that_a_path_leads_to_decides() {
    let origin = Origin::fixed(OK);
    let proxy = with_policies(&origin);
    for (target, status, sent) in [
        // Read as `/repo/x` or as nothing that a route takes: no rule of those minds.
        ("/repo/a%2f..%2fx", 200, "/repo/a%2f..%2fx"),
        ("/repo/..%2fnowhere", 200, "/repo/..%2fnowhere"),
        ("/repo/../tidy/..%2f..%2frepo", 200, "/repo"),
        ("/repo/..%2ftidy/x;v=1", 200, "/tidy/x"),
    ] {
        assert_eq!(proxy.get(target).status, status, "{target}");
        assert_eq!(origin.last().target(), sent, "{target}");
    }
    let count = origin.count();
    for target in ["/repo/..%2fadmin", "/admin/..%2frepo", "/repo/..;/tidy/..;/admin", "/nowhere/..%2fadmin"] {
        assert_eq!(proxy.get(target).status, 400, "{target}");
    }
    assert_eq!((origin.count(), proxy.get("/repo/x").status), (count, 204));
}

#[test]
fn a_path_that_cannot_be_followed_is_refused_where_a_route_of_its_host_minds() {
    let origin = Origin::fixed(OK);
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  \
         - {{ match: {{ host: plain }}, upstream: '{0}' }}\n  \
         - {{ match: {{ host: lax }}, paths: {{ ambiguous: as_sent }}, upstream: '{0}' }}\n  \
         - {{ match: {{ host: lax, path: /x }}, paths: {{ ambiguous: as_sent }}, respond: {{ status: 403 }} }}\n  \
         - {{ match: {{ host: [guarded] }}, paths: {{ ambiguous: as_sent }}, upstream: '{0}' }}\n  \
         - {{ match: {{ host: guarded, path: /x }}, respond: {{ status: 403 }} }}\n  \
         - {{ match: {{ path: /y }}, respond: {{ status: 403 }} }}\n",
        origin.address
    ));
    let mixed = "/a;b//c%2F..%5C..;d//%2F..//e%3Bf%5C;g/../h%2F;i//..%2Fj".repeat(20);
    let status = |host: &str| proxy.ask(format!("GET {mixed} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    // Other hosts' rules are no concern of a host that has none.
    assert_eq!((status("plain"), status("lax"), status("guarded"), status("other")), (200, 200, 400, 400));
    assert_eq!(origin.last().target(), mixed);
}

#[test]
fn explain_says_whose_policy_decides() {
    let origin = Origin::fixed(OK);
    let proxy = with_policies(&origin);
    let folder = Folder::new();
    folder.write("p.yaml", &proxy.read("proxy.yaml"));
    let explained = |target: &str| call(&["explain", "-c", "p.yaml", "GET", target, "-H", "host: a"], &folder.0).1;
    for (target, decided) in [
        ("/repo/..%2fadmin", "`paths.ambiguous: reject` of routes[0] (line 4)"),
        ("/repo/..%2ftidy", "`paths.ambiguous: canonical` of routes[1] (line 5)"),
        ("/repo/a%2f..%2fx", "`paths.ambiguous: as_sent` of routes[2] (line 6)"),
    ] {
        let text = explained(target);
        assert!(text.contains(&format!("  decided by: {decided}\n")), "{target}: {text}");
    }
    for target in ["/repo/a", "/repo/a;b", "/nowhere/..%2fx"] {
        assert!(!explained(target).contains("decided by"), "{target}: {}", explained(target));
    }
}

#[test]
fn explain_shows_the_readings_and_agrees_on_raw_bytes() {
    let origin = Origin::fixed(OK);
    let proxy = guarded(&origin, "");
    let folder = Folder::new();
    folder.write("p.yaml", &proxy.read("proxy.yaml"));
    let explained = |target: &str| call(&["explain", "-c", "p.yaml", "GET", target, "-H", "host: a"], &folder.0).1;
    let ambiguous = explained("/x/..%2fadmin");
    assert!(ambiguous.contains("is refused: the proxy answers 400"), "{ambiguous}");
    for reading in
        ["/x/..%2Fadmin, routes[1] (line 5)", "/x/../admin, routes[1] (line 5)", "/admin, routes[0] (line 4)"]
    {
        assert!(ambiguous.contains(&format!("read as:    {reading}")), "{ambiguous}");
    }
    assert!(!explained("/x/y").contains("read as"));
    for target in ["/\u{e9}", "/?q=\u{e9}", "/a\\b", "/%zz", "/%00"] {
        let mut client = proxy.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, 400, "{target}");
        assert!(response.text().contains("must be escaped"), "{target}: {}", response.text());
        assert!(explained(target).contains("is refused: the proxy answers 400, the target"), "{}", explained(target));
    }
}
