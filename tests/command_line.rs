//! The command line as a user types it: exit codes, output, the same words for
//! `-t` and start-up.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::path::{Path, PathBuf};

use support::tls::write_examples;
use support::{BINARY, Folder, Origin, Proxy, call, call_with};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_invalid_config_is_refused_with_its_words() {
    let files = yaml_files("tests/conf/invalid");
    assert!(files.len() >= 25, "{}", files.len());
    for file in files {
        let expected = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let (code, stdout, stderr) = call(&["-t", "-c", name], file.parent().unwrap());
        assert_eq!((code, stdout.as_str()), (1, ""), "{name}");
        let here = file.parent().unwrap().to_str().unwrap();
        assert_eq!(stderr.replace(here, "."), expected, "{name}");
        let (code, _, at_start) = call(&["-c", name], file.parent().unwrap());
        assert_eq!((code, at_start), (1, stderr), "{name}: start-up says it otherwise");
    }
}

#[test]
fn every_example_is_accepted_and_its_effective_form_is_stable() {
    let mut files = yaml_files("conf/examples");
    assert!(files.len() >= 8, "{}", files.len());
    files.push(root().join("conf/proxy.yaml"));
    let certificates = Folder::new();
    write_examples(&certificates);
    let call = |arguments: &[&str], folder: &Path| call_with(arguments, folder, ("CERTS", &certificates.0));
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = file.parent().unwrap();
        let (code, stdout, stderr) = call(&["-t", "-c", &name], folder);
        assert_eq!((code, stdout, stderr.as_str()), (0, format!("{name}: the configuration is fine\n"), ""), "{name}");
        let (code, printed, _) = call(&["-T", "-c", &name], folder);
        assert_eq!(code, 0, "{name}");
        let again = Folder::new();
        again.write("again.yaml", &printed);
        let (code, twice, stderr) = call(&["-T", "-c", "again.yaml"], &again.0);
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}\n{printed}");
        assert_eq!(twice, printed, "{name}");
    }
}

#[test]
fn a_missing_file_and_wrong_usage_have_their_exit_codes() {
    let folder = Folder::new();
    let (code, _, stderr) = call(&["-c", "none.yaml"], &folder.0);
    assert_eq!(code, 1);
    assert!(stderr.contains("none.yaml") && stderr.contains("No such file"), "{stderr}");
    assert_eq!(call(&["--nonsense"], &folder.0).0, 2);
    assert_eq!(call(&[], &folder.0).0, 2);
}

#[test]
fn a_port_in_use_is_an_error_and_not_a_silent_process() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new();
    folder.write("p.yaml", &format!("listeners: ['{address}']\nroutes: [{{ respond: {{ status: 204 }} }}]\n"));
    let (code, _, stderr) = call(&["-c", "p.yaml"], &folder.0);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("cannot listen on {address}: Address already in use")), "{stderr}");
}

#[test]
fn explain_names_the_route_and_why_the_others_did_not_match() {
    let folder = Folder::new();
    folder.write(
        "p.yaml",
        "listeners: ['127.0.0.1:1']\nroutes:\n  - name: api\n    match: { host: a.com, path: /api/ }\n    request: { path: { strip_prefix: /api } }\n    upstream: 127.0.0.1:3000\n  - name: post\n    match: { method: POST }\n    upstream: 127.0.0.1:3000\n  - name: beta\n    match: { cookie: { beta: 'yes' } }\n    upstream: 127.0.0.1:3000\n",
    );
    let (code, stdout, stderr) =
        call(&["explain", "-c", "p.yaml", "GET", "http://a.com/api/x?y=1", "-H", "cookie: a=b"], &folder.0);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "  route:      api (line 3)",
        "  upstream:   127.0.0.1:3000",
        "  request:    GET /x?y=1",
        "  precedence: priority 0, this very host, a prefix of 4 characters, 0 other conditions, number 1 in the file",
        "not post (line 7): method GET is none of POST",
        "not beta (line 10): cookie `beta` is not `yes`",
    ] {
        assert!(stdout.lines().any(|l| l == line), "{line}\n--\n{stdout}");
    }
}

/// What explain prints behind a label, line by line.
fn told(text: &str, label: &str) -> Vec<String> {
    text.lines().filter_map(|l| l.trim_start().strip_prefix(label)).map(|l| l.trim().to_owned()).collect()
}

#[test]
fn explain_says_what_the_proxy_does() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\ntrusted_proxies: [127.0.0.0/8]\nroutes:\n  \
         - {{ name: edit, match: {{ path: /api/ }}, request: {{ path: {{ strip_prefix: /api }}, header: {{ set: {{ X-A: '1' }}, remove: [x-c] }}, \
         query: {{ remove: [y] }}, cookie: {{ remove: [t] }}, host: a.internal }}, upstream: '{0}' }}\n  \
         - {{ name: inside, match: {{ client_ip: 9.9.9.9 }}, redirect: '{{scheme}}://{{host}}/new{{path}}{{query}}' }}\n  \
         - {{ name: plain, match: {{ host: a.test }}, upstream: '{0}' }}\n  \
         - {{ name: fixed, match: {{ host: b.test }}, respond: {{ status: 418 }} }}\n",
        origin.address
    ));
    let far = "X-Forwarded-For: 9.9.9.9";
    let cases: [(&str, &str, &[&str]); 15] = [
        ("GET", "/x/../api//%7eq/caf%c3%a9?y=1&z=2", &["Host: a.test", "Cookie: t=1; u=2", "x-c: 3"]),
        ("GET", "/x//%7eq/caf%c3%a9?y=1", &["Host: A.test:80", "x_y: 1"]),
        ("GET", "/a/./b", &["Host: a.test"]),
        ("GET", "/a<b", &["Host: a.test"]),
        ("POST", "/", &["Host: a.test", "X-Forwarded-Proto: https", "Connection: x-q", "x-q: 1"]),
        ("GET", "/p?q", &["Host: a.test", far]),
        ("GET", "/p?q", &["Host: a.test", far, "X-Forwarded-Proto: https"]),
        ("GET", "/", &["Host: b.test"]),
        ("GET", "/", &["Host: c.test"]),
        ("TRACE", "/", &["Host: a.test"]),
        ("GET", "/%zz", &["Host: a.test"]),
        ("GET", "/a#b", &["Host: a.test"]),
        ("GET", "/", &["Host: a,b"]),
        ("GET", "/", &["Host: a.test", "Host: a.test"]),
        ("GET", "/", &["Host: a.test", "Expect: more"]),
    ];
    for (method, target, fields) in cases {
        let lines: String = fields.iter().map(|f| format!("{f}\r\n")).collect();
        let before = origin.count();
        let answer = proxy.ask(format!("{method} {target} HTTP/1.1\r\n{lines}\r\n"));
        let mut call_with = vec!["explain", "-c", "proxy.yaml", method, target];
        fields.iter().for_each(|f| call_with.extend(["-H", f]));
        let (code, said, stderr) = call(&call_with, &proxy.folder.0);
        assert_eq!((code, stderr.as_str()), (0, ""), "{said}");
        if origin.count() > before {
            let came = origin.last();
            assert_eq!(told(&said, "request:"), [format!("{method} {}", came.target())], "{said}");
            assert_eq!(told(&said, "host:"), [came.header("host").unwrap()], "{said}");
            let got: Vec<String> = came.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
            // The mark of `explain`'s own process is another, and so is the id of its request.
            let varies = ["CDN-Loop: pingora-proxy;id=", "X-Request-Id: 00000000-0000-7000-8000-"];
            let is_sent = |line: &String| got.contains(line) || varies.iter().any(|start| line.starts_with(start));
            assert!(told(&said, "adds:").iter().all(is_sent), "{said}{got:?}");
            assert!(told(&said, "removes:").iter().all(|line| !got.contains(line)), "{said}{got:?}");
            let sent = fields.len() + told(&said, "adds:").len() - told(&said, "removes:").len();
            assert_eq!(got.len(), sent, "{said}{got:?}");
        } else if let Some(location) = answer.header("location") {
            assert_eq!(told(&said, "redirect:"), [format!("308 Permanent Redirect, to {location}")]);
        } else if answer.status == 418 {
            assert_eq!(told(&said, "respond:"), ["418 I'm a teapot"]);
        } else {
            let reason = answer.text().lines().next().unwrap().split_once(": ").unwrap().1.to_owned();
            let first = said.lines().next().unwrap();
            let status = format!("the proxy answers {}", answer.status);
            assert!(first.ends_with(&status) || first.ends_with(&format!("{status}, {reason}")), "{first}\n{reason}");
        }
    }
}

#[test]
fn explain_says_that_a_listener_leads_to_https() {
    let other = support::free_port();
    let proxy = Proxy::start(&format!(
        "trusted_proxies: [10.0.0.1]\nlisteners:\n  - {{ address: '{{listen}}', redirect_https: true }}\n  - '127.0.0.1:{other}'\n\
         routes: [{{ name: all, match: {{ path: /a }}, respond: {{ status: 418 }} }}]\n"
    ));
    let port = proxy.address.port();
    let explain = |url: &str, more: &[&str]| {
        let (code, said, stderr) =
            call(&[&["explain", "-c", "proxy.yaml", "GET", url], more].concat(), &proxy.folder.0);
        assert_eq!((code, stderr.as_str()), (0, ""), "{said}");
        said
    };
    for target in ["/a?q=1", "/nowhere"] {
        let url = format!("http://a.test:{port}{target}");
        let answer = proxy.ask(format!("GET {target} HTTP/1.1\r\nHost: a.test:{port}\r\n\r\n"));
        assert_eq!(answer.status, 308);
        let said = explain(&url, &[]);
        let location = answer.header("location").unwrap();
        assert_eq!(
            said,
            format!(
                "GET {url} is answered by the listener {} (`redirect_https`)\n  redirect:   308 Permanent Redirect, to {location}\n",
                proxy.address
            )
        );
    }
    // What a trusted proxy took by HTTPS goes on, and so does what comes to the other listener.
    let trusted = ["--client-ip", "10.0.0.1", "-H", "X-Forwarded-Proto: https"];
    assert!(explain(&format!("http://a.test:{port}/a"), &trusted).contains("route:      all"));
    assert!(explain(&format!("http://a.test:{other}/a"), &[]).contains("route:      all"));
    // A request that is none is told so, as on any listener.
    assert!(explain(&format!("http://a.test:{port}/%zz"), &[]).contains("the proxy answers 400"));
}

#[test]
fn a_stdout_that_is_closed_or_full_is_no_panic() {
    let folder = Folder::new();
    folder.write("p.yaml", "listeners: ['127.0.0.1:1']\nroutes: [{ respond: {} }]\n");
    let calls: [&[&str]; 5] = [
        &["-t", "-c", "p.yaml"],
        &["-T", "-c", "p.yaml"],
        &["schema"],
        &["explain", "-c", "p.yaml", "GET", "/"],
        &["proxy", "--from", ":80", "--to", "127.0.0.1:1", "--print-config"],
    ];
    for arguments in calls {
        let run = |stdout: std::process::Stdio| {
            let mut command = std::process::Command::new(BINARY);
            let output = command.args(arguments).current_dir(&folder.0).stdout(stdout).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, stderr) = run(full.into());
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(stderr.starts_with("error: cannot write to stdout: No space left"), "{stderr}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(writer.into()), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn proxy_from_to_needs_no_file() {
    let folder = Folder::new();
    let (code, yaml, _) =
        call(&["proxy", "--from", ":8080", "--to", "http://127.0.0.1:3000", "--print-config"], &folder.0);
    assert_eq!(code, 0);
    folder.write("p.yaml", &yaml);
    assert_eq!(call(&["-t", "-c", "p.yaml"], &folder.0).0, 0);

    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let port = support::free_port();
    let child = std::process::Command::new(BINARY)
        .args(["proxy", "--from", &format!("127.0.0.1:{port}"), "--to", &format!("http://{}", origin.address)])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _guard = support::Process(child);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    support::await_until("the proxy", || std::net::TcpStream::connect(address).is_ok());
    let mut client = support::Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_serves_its_page_and_service_through_the_proxy() {
    let port = support::free_port();
    let child = std::process::Command::new(BINARY)
        .args(["demo", "--listen", &format!("127.0.0.1:{port}")])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _guard = support::Process(child);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    support::await_until("the demo", || std::net::TcpStream::connect(address).is_ok());
    let get = |target: &str| {
        let mut client = support::Client::connect(address);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: demo\r\n\r\n"));
        client.response()
    };
    assert!(get("/").text().to_lowercase().contains("<!doctype html>"));
    let echo: serde_json::Value = serde_json::from_slice(&get("/api/echo?x=1").body).unwrap();
    assert_eq!(echo["query"], "x=1");
    assert!(echo["headers"].to_string().contains("x-forwarded-for"), "{echo}");
}

#[test]
fn schema_is_json() {
    let (code, stdout, _) = call(&["schema"], root());
    let schema: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, 0);
    assert!(schema["properties"]["routes"].is_object());
}

/// `pingora-proxy schema --markdown > docs/configuration.md` brings it up to date.
#[test]
fn the_reference_page_is_the_codes_own() {
    let (code, stdout, _) = call(&["schema", "--markdown"], root());
    assert_eq!(code, 0);
    assert!(stdout.contains("| `routes[].match.path` |"), "{stdout}");
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    assert!(page == stdout, "docs/configuration.md is not what `schema --markdown` prints");
}

#[test]
fn pid_file_and_logs_go_where_the_config_says() {
    let mut proxy = Proxy::start(
        "server: { pid_file: '{folder}/p.pid', error_log: '{folder}/error.log' }\nlog: { access: { to: '{folder}/access.log', format: combined } }\nlisteners: ['{listen}']\nroutes: [{ respond: { status: 204 } }]\n",
    );
    assert_eq!(proxy.get("/x").status, 204);
    support::await_until("access log", || proxy.read("access.log").contains("\"GET /x HTTP/1.1\" 204 0"));
    assert_eq!(proxy.read("p.pid").trim(), proxy.process.0.id().to_string());
    assert!(proxy.read("error.log").contains("listening on"));
    // TERM: ends by itself, with its pid file gone.
    let pid = proxy.process.0.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    let code = proxy.process.0.wait().unwrap();
    assert_eq!((code.code(), proxy.read("p.pid").as_str()), (Some(0), ""));
}

#[test]
fn a_port_alone_is_a_service_on_this_machine() {
    let folder = Folder::new();
    let (code, stdout, stderr) = call(&["proxy", "--from", ":8080", "--to", ":3000", "--print-config"], &folder.0);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "listeners: [\":8080\"]\nroutes:\n  - upstream: \"127.0.0.1:3000\"\n");
}

#[test]
fn a_mistake_on_the_command_line_is_shown_there() {
    let folder = Folder::new();
    let (code, _, stderr) = call(&["proxy", "--from", "::1:80", "--to", "app"], &folder.0);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "error: `::1:80` is not an address to listen on\n --> (command line):1:8\n  |\n\
         1 | --from ::1:80 --to app\n  |        ^^^^^^ an IPv6 address stands in brackets: write `\"[::1]:80\"`\n\
         error: there is no upstream `app`\n --> (command line):1:20\n  |\n\
         1 | --from ::1:80 --to app\n  |                    ^^^ no upstream is defined; an address is written `host:port`\n\
         2 errors, 0 warnings\n"
    );
}

#[test]
fn only_a_reload_says_that_nothing_was_changed() {
    let folder = Folder::new();
    folder.write("p.yaml", "listeners: ['127.0.0.1:1']\nroutes: [{ upstrem: a }]\n");
    for arguments in [&["-t", "-c", "p.yaml"][..], &["-c", "p.yaml"], &["explain", "-c", "p.yaml", "GET", "/"]] {
        let (code, _, stderr) = call(arguments, &folder.0);
        assert_eq!(code, 1);
        assert!(stderr.ends_with("\n1 error, 0 warnings\n"), "{stderr}");
    }
}

/// What `-t` writes to a terminal of this many columns.
fn on_a_terminal(folder: &Folder, columns: u16, variables: &[(&str, &str)]) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;

    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&ours, size).unwrap();
    let theirs = std::path::PathBuf::from(ptsname(&ours, Vec::new()).unwrap().into_string().unwrap());
    let theirs = std::fs::OpenOptions::new().read(true).write(true).open(theirs).unwrap();
    let mut command = std::process::Command::new(BINARY);
    command.args(["-t", "-c", "p.yaml"]).current_dir(&folder.0).stdin(std::process::Stdio::null()).stderr(theirs);
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color").envs(variables.iter().copied());
    let status = command.status().unwrap();
    assert_eq!(status.code(), Some(1));
    // Its last user is gone: what is left in the terminal is read, then an error says so.
    drop(command);
    let (mut text, mut ours) = (Vec::new(), std::fs::File::from(ours));
    let mut piece = [0; 4096];
    while let Ok(length) = ours.read(&mut piece)
        && length > 0
    {
        text.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

#[test]
fn a_terminal_gets_colours_and_its_width() {
    let folder = Folder::new();
    folder
        .write("p.yaml", "listeners: ['127.0.0.1:1']\nroutes:\n  - host: example.com\n    upstream: 127.0.0.1:3000\n");
    let coloured = on_a_terminal(&folder, 200, &[]);
    assert!(coloured.contains("\u{1b}[") && coloured.contains("unknown key `host`"), "{coloured:?}");
    let (_, _, piped) = call(&["-t", "-c", "p.yaml"], &folder.0);
    assert!(!piped.contains('\u{1b}'), "{piped:?}");
    for off in [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")] {
        assert_eq!(on_a_terminal(&folder, 200, &[off]), piped, "{off:?}");
    }
    let narrow = on_a_terminal(&folder, 44, &[("NO_COLOR", "1")]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 44), "{narrow}");
    assert!(narrow.contains("= help: write"), "{narrow}");
}

#[test]
fn explain_names_each_path_of_a_list() {
    let folder = Folder::new();
    folder.write(
        "p.yaml",
        "listeners: ['127.0.0.1:1']\nroutes:\n  - name: several\n    match: { path: [/a, { exact: /b }, { regex: '^/c[0-9]' }] }\n    \
         respond: {}\n  - name: rest\n    respond: {}\n",
    );
    for path in ["/a/x", "/b", "/c1/x"] {
        let (_, stdout, _) = call(&["explain", "-c", "p.yaml", "GET", path], &folder.0);
        assert_eq!(told(&stdout, "route:"), ["several (line 3)"], "{path}");
    }
    let (_, stdout, _) = call(&["explain", "-c", "p.yaml", "GET", "/b/x"], &folder.0);
    assert_eq!(told(&stdout, "route:"), ["rest (line 6)"]);
    let why = "not several (line 3): path `/b/x` is not under `/a` and is not `/b` and does not match /^/c[0-9]/";
    assert!(stdout.lines().any(|line| line == why), "{stdout}");
}
