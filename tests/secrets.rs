//! Secrets of the configuration and of requests stay out of what people read: logs, `/requests`, `/config`,
//! `/generations`.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;

use support::faults::named;
use support::{Client, Proxy, await_until, free_port};

const SECRET: &str = "s3cret";

fn ask(address: SocketAddr, target: &str) -> String {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    String::from_utf8(client.response().body).unwrap()
}

/// Each fault stands in the line of a secret, which a person at the terminal would be shown.
#[test]
fn a_refused_configuration_is_quoted_without_its_secrets() {
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let yaml = |edits: &str| {
        format!(
            "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\nroutes:\n  - respond: {{ status: 200 }}\n    {edits}\n"
        )
    };
    let proxy = Proxy::start(&yaml(""));
    for (edits, named) in [
        ("response: { header: { sett: { X-Api-Key: s3cret } } }", "sett"),
        ("response: { header: { set: { 'X Api': a, X-Pass: \"s3cret\" } } }", "X Api"),
        ("response: { header: { set: { X-Api-Key: \"s3cret\\u0001\" } } }", "X-Api-Key"),
        ("response: { header: { set: { Authorization: 'Bearer s3cret ${NOT_SET_ANYWHERE}' } } }", "NOT_SET_ANYWHERE"),
        ("redirect: { to: 'https://u:s3cret@x.test/?token=s3cret', status: 999 }", "999"),
    ] {
        proxy.rewrite(&yaml(edits));
        let (code, text) = proxy.order("reload");
        assert!(code != 0 && text.contains(named), "{edits}: {text}");
        let told = ask(admin, "/generations");
        assert!(told.contains(named.split(' ').next().unwrap()) && !told.contains(SECRET), "{edits}: {told}");
        let log = proxy.read("stderr");
        assert!(log.contains("proxy.yaml:") && !log.contains(SECRET), "{edits}: {log}");
    }
}

#[test]
fn the_configuration_in_force_is_shown_without_secrets_in_urls() {
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let _proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\nroutes:\n  - {{ match: {{ path: /a }}, redirect: {{ to: \
         'https://u:s3cret@x.test/?token=s3cret&q=shown' }} }}\n  - {{ match: {{ path: /b }}, auth: {{ forward: {{ url: \
         'http://127.0.0.1:{}/ask?key=s3cret' }} }}, response: {{ header: {{ set: {{ X-Api-Key: s3cret }} }} }}, respond: {{ status: 200 }} }}\n",
        free_port()
    ));
    for target in ["/config", "/explain?url=http://x/b", "/explain?url=http://x/a", "/routes", "/generations"] {
        let told = ask(admin, target);
        assert!(!told.is_empty() && !told.contains(SECRET), "{target}: {told}");
    }
    assert!(ask(admin, "/config").contains("q=shown"));
}

/// It is repeated by browsers in Referer, and by mistakes at other paths.
#[test]
fn a_token_in_a_query_is_logged_nowhere() {
    let origin = named("a");
    let admin: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let folder = support::Folder::new();
    let secret = folder.write("secret", "0123456789abcdef0123456789abcdef");
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nadmin: {{ address: '{admin}' }}\nroutes:\n  - {{ match: {{ path: /q }}, auth: {{ jwt: {{ \
         secret_file: {}, algorithms: [HS256], audience: a, from: {{ query: token }} }} }}, upstream: '{origin}' }}\n  - {{ upstream: \
         '{origin}' }}\n",
        secret.display(),
        origin = origin.address
    ));
    let requests = [
        "GET /q?token=s3cret HTTP/1.1\r\nHost: a\r\n",
        "GET /Q?a=1&token=s3cret HTTP/1.1\r\nHost: a\r\n",
        "GET /Q?a=1;token=s3cret HTTP/1.1\r\nHost: a\r\n",
        "GET /page HTTP/1.1\r\nHost: a\r\nReferer: http://a/q?token=s3cret\r\n",
        "GET /q//../x?token=s3cret HTTP/1.1\r\nHost: a\r\n",
        "GET /q?token=s3cret#x HTTP/1.1\r\nHost: a\r\n",
        "GET http://u:s3cret@a/ HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: u:s3cret@a\r\n",
    ];
    for request in requests {
        proxy.ask(format!("{request}Connection: close\r\n\r\n"));
    }
    assert_eq!(proxy.access_log(requests.len()).len(), requests.len());
    let told = |text: String| assert!(!text.contains(SECRET), "{text}");
    await_until("all of them", || ask(admin, "/requests").matches("\"seq\"").count() >= requests.len());
    told(ask(admin, "/requests"));
    told(proxy.read("stdout"));
    told(proxy.read("stderr"));
}
