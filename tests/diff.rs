//! `diff` says what a new configuration changes in the one that is in force, and which of it waits for an upgrade.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use support::{Folder, Proxy, call_for};

const BASE: &str = "
listeners: ['{listen}']
limits: { request_body: 100MiB }
upstreams: { api: { servers: ['127.0.0.1:3000', '127.0.0.1:3001'] } }
routes:
  - { name: api, match: { path: /api }, upstream: api }
  - { name: rest, upstream: '127.0.0.1:4000' }
";

/// The file that the proxy was started with, edited.
fn edited(proxy: &Proxy, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(proxy.read("proxy.yaml"), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

#[test]
fn the_running_configuration_is_compared_and_not_its_file() {
    let proxy = Proxy::start(BASE);
    let diff = || call_for(&proxy.folder, &["diff", "new.yaml"]);
    proxy.folder.write("new.yaml", &edited(&proxy, &[]));
    let (code, text) = diff();
    assert!(code == 0 && text.contains("new.yaml is the same as configuration 1 of process "), "{code} {text}");
    let changed = [
        ("100MiB", "10MiB"),
        (", '127.0.0.1:3001'", ""),
        ("path: /api }, ", "path: /api }, stream: true, "),
        ("listeners: [", "listeners: ['127.0.0.1:1', "),
        ("server: { ", "server: { threads: 1, "),
    ];
    let new = edited(&proxy, &changed);
    proxy.folder.write("new.yaml", &new);
    // The file is changed as well, but nothing was reloaded.
    proxy.folder.write("proxy.yaml", &new);
    let (code, text) = diff();
    assert_eq!(code, 4, "{text}");
    for line in [
        "  `limits.request_body`: 100MiB → 10MiB\n",
        "  upstream `api`: server 127.0.0.1:3001 was removed\n",
        "  listener 127.0.0.1:1 was added: ",
        "  route `api` (line 6): `stream`: false → true\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let waits: Vec<_> = text.lines().filter(|line| line.ends_with("(waits for an upgrade)")).collect();
    assert!(waits.len() == 2 && waits[0].contains("`server.threads`") && waits[1].contains("127.0.0.1:1 "), "{text}");
    assert_eq!(proxy.order("reload").0, 0);
    let (code, text) = diff();
    assert!(code == 0 && text.contains("the same as configuration 2 of process "), "{code} {text}");
}

#[test]
fn without_a_process_the_file_is_compared_and_a_bad_one_is_refused() {
    let folder = Folder::new();
    let text = BASE.replace("{listen}", "127.0.0.1:8080");
    folder.write("proxy.yaml", &text);
    folder.write("new.yaml", &text.replace("name: rest", "name: last"));
    let (code, out) = call_for(&folder, &["diff", "new.yaml"]);
    assert!(
        code == 4 && out.contains("route `rest` was removed\n") && out.contains("proxy.yaml is compared"),
        "{code} {out}"
    );
    let (code, out) = call_for(&folder, &["diff", "new.yaml", "--json"]);
    assert!(code == 4 && out.contains("\"path\": \"routes.last\""), "{code} {out}");
    folder.write("new.yaml", "listeners: 7\n");
    let (code, out) = call_for(&folder, &["diff", "new.yaml"]);
    assert!(code == 1 && out.contains("error"), "{code} {out}");
    assert_eq!(call_for(&folder, &["diff"]).0, 2);
}
