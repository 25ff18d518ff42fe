//! Names and passwords: who may pass, what the upstream sees of it, and what a flood costs.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use support::front::{Ask, Front, every_front};
use support::{BINARY, Folder, Origin, Proxy, Response, await_until};

/// `U*U` by bcrypt with the least cost, from the source of bcrypt.
const CHEAP: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

fn ok() -> Origin {
    Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

fn basic(both: &str) -> String {
    format!("Basic {}", BASE64.encode(both.as_bytes()))
}

fn yaml(folder: &Folder, origin: SocketAddr, more: &str) -> String {
    let users = folder.0.join("users");
    format!(
        "listeners: ['{{listen}}']\nroutes:\n\
         - {{ match: {{ path: /open }}, upstream: '{origin}' }}\n\
         - {{ auth: {{ basic: {{ users_file: '{}'{more} }} }}, upstream: '{origin}' }}\n",
        users.display()
    )
}

fn hash(arguments: &[&str], password: &str) -> (bool, String) {
    let mut child = Command::new(BINARY)
        .arg("hash-password")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).unwrap())
}

every_front! { only_users_pass_and_the_upstream_is_told_who_they_are }

fn only_users_pass_and_the_upstream_is_told_who_they_are(front: Front) {
    let (origin, folder) = (ok(), Folder::new());
    folder.write("users", &format!("ann:{CHEAP}\n"));
    let more = ", realm: 'the \"staff\"', user_header: X-User, forward_credentials: false";
    let proxy = front.start(&format!("{}headers: {{ underscores: keep }}\n", yaml(&folder, origin.address, more)));
    let refused = [
        Ask::get("/"),
        Ask::get("/").field("Authorization", &basic("ann:wrong")),
        Ask::get("/").field("Authorization", &basic("eve:U*U")),
        Ask::get("/").field("Authorization", "Basic %"),
        Ask::get("/").field("Authorization", "Bearer x"),
        Ask::get("/").field("X-User", "ann"),
        // No method is exempt, nor what asks for another protocol.
        Ask::new("OPTIONS", "/").field("Origin", "https://a").field("Access-Control-Request-Method", "GET"),
        Ask::new("HEAD", "/"),
        Ask::post("/", "body"),
        Ask::websocket("/"),
    ];
    for ask in &refused {
        let answer = proxy.ask(ask);
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            (answer.status, challenge),
            (401, Some("Basic realm=\"the \\\"staff\\\"\", charset=\"UTF-8\"")),
            "{ask:?}"
        );
        assert!(answer.header("proxy-status").unwrap().contains("http_request_denied"), "{ask:?}");
    }
    let twice = Ask::get("/").field("Authorization", &basic("ann:U*U")).field("Authorization", &basic("eve:x"));
    assert_eq!(proxy.ask(&twice).status, 400);
    assert_eq!(origin.count(), 0);
    let good = Ask::get("/").field("Authorization", &basic("ann:U*U"));
    for _ in 0..2 {
        let forging = good.clone().field("X-User", "root").field("x_user", "root");
        assert_eq!(proxy.ask(&forging).status, 200);
        let seen = origin.last();
        let users: Vec<_> = seen
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("x-user") || name.eq_ignore_ascii_case("x_user"))
            .collect();
        assert_eq!(users.len(), 1, "{users:?}");
        assert_eq!((users[0].1.as_str(), seen.header("authorization")), ("ann", None));
    }
    assert_eq!(proxy.get("/open").status, 200);
}

#[test]
fn a_path_that_is_written_in_another_way_does_not_get_around_the_rule() {
    let (origin, folder) = (ok(), Folder::new());
    folder.write("users", &format!("ann:{CHEAP}\n"));
    let users = folder.0.join("users");
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n\
         - {{ match: {{ path: /admin }}, auth: {{ basic: {{ users_file: '{}' }} }}, upstream: '{origin}' }}\n\
         - {{ upstream: '{origin}' }}\n",
        users.display(),
        origin = origin.address
    ));
    for path in [
        "/admin",
        "/admin/",
        "/%61dmin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/..%2fadmin",
        "//admin",
        "/x%5c..%5cadmin",
        "/admin;a=b",
        "/admin%2f",
    ] {
        let status = proxy.get(path).status;
        assert!([400, 401].contains(&status), "{path}: {status}");
    }
    assert_eq!(proxy.ask("GET http://a.test/admin HTTP/1.1\r\nHost: a.test\r\n\r\n").status, 401);
    assert_eq!(origin.count(), 0);
    assert_eq!(proxy.get("/x").status, 200);
}

#[test]
fn the_file_is_read_again_and_a_bad_one_changes_nothing() {
    let (origin, folder) = (ok(), Folder::new());
    folder.write("users", &format!("ann:{CHEAP}\n"));
    let proxy = Proxy::start(&yaml(&folder, origin.address, ""));
    let ask = |user: &str| {
        let field = basic(&format!("{user}:U*U"));
        proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {field}\r\n\r\n"))
    };
    assert_eq!((ask("ann").status, ask("bob").status), (200, 401));
    // The password goes on unless the operator says otherwise.
    assert_eq!(origin.last().header("authorization"), Some(basic("ann:U*U").as_str()));
    folder.write("users", &format!("bob:{CHEAP}\n"));
    await_until("the new users", || ask("bob").status == 200);
    // Who is gone is out at once, whatever was known of the password.
    assert_eq!(ask("ann").status, 401);
    folder.write("users", "bob:plain\n");
    await_until("the refusal", || proxy.read("stderr").contains("the user `bob`: its password is no hash"));
    assert!(proxy.read("stderr").contains("the users of before stay in force"));
    assert_eq!(ask("bob").status, 200);
    // A reload with it is refused, too.
    let (code, said) = proxy.order("reload");
    assert!(code == 1 && said.contains("line 1 of this file: the user `bob`"), "{code} {said}");
    assert_eq!(ask("bob").status, 200);
    folder.write("users", "");
    await_until("nobody", || ask("bob").status == 401);
}

#[test]
fn a_flood_of_passwords_stops_neither_the_proxy_nor_who_is_known() {
    let (origin, folder) = (ok(), Folder::new());
    let (made, line) = hash(&["--user", "ann", "--bcrypt"], "secret");
    assert!(made, "{line}");
    folder.write("users", &line);
    let proxy = Proxy::start(&yaml(&folder, origin.address, ""));
    let request = |both: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\n\r\n", basic(both));
    assert_eq!(proxy.ask(request("ann:secret")).status, 200);
    let mut guesses: Vec<_> = (0..120)
        .map(|guess| {
            let mut client = proxy.connect();
            client.send(request(&format!("ann:guess{guess}")));
            client
        })
        .collect();
    for _ in 0..20 {
        assert_eq!((proxy.ask(request("ann:secret")).status, proxy.get("/open").status), (200, 200));
    }
    let answers: Vec<Response> = guesses.iter_mut().map(|client| client.response()).collect();
    let of = |status| answers.iter().filter(|answer| answer.status == status).collect::<Vec<_>>();
    assert_eq!(of(401).len() + of(503).len(), answers.len());
    let busy = of(503);
    assert!(!busy.is_empty() && !of(401).is_empty(), "{} were too many", busy.len());
    assert_eq!(busy[0].header("retry-after"), Some("1"));
    assert!(busy[0].text().contains("auth.basic"), "{}", busy[0].text());
}

#[test]
fn hash_password_makes_lines_that_are_understood() {
    let (origin, folder) = (ok(), Folder::new());
    let lines: Vec<String> = [("ann", None), ("bob", Some("--bcrypt"))]
        .into_iter()
        .map(|(name, how)| {
            let arguments: Vec<&str> = ["--user", name].into_iter().chain(how).collect();
            hash(&arguments, "pässword").1
        })
        .collect();
    assert!(lines[0].starts_with("ann:$argon2id$") && lines[1].starts_with("bob:$2"), "{lines:?}");
    folder.write("users", &lines.concat());
    let proxy = Proxy::start(&yaml(&folder, origin.address, ""));
    for user in ["ann", "bob"] {
        let field = basic(&format!("{user}:pässword"));
        let answer = proxy.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {field}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{user}");
    }
    assert!(!hash(&["--user", "a:b"], "x").0 && !hash(&[], "").0);
    assert!(hash(&["--bcrypt"], &"x".repeat(72)).1.contains("71 bytes"));
}

/// It checks no password, and says that one is asked for.
#[test]
fn explain_says_who_would_be_asked_for_a_password() {
    let (origin, folder) = (ok(), Folder::new());
    folder.write("users", &format!("ann:{CHEAP}\n"));
    folder.write("p.yaml", &yaml(&folder, origin.address, "").replace("{listen}", "127.0.0.1:1"));
    let explain = |authorization: &[&str]| {
        let fields: Vec<String> = authorization.iter().map(|value| format!("authorization: {value}")).collect();
        let fields = fields.iter().flat_map(|field| ["-H", field.as_str()]);
        let arguments: Vec<&str> = ["explain", "-c", "p.yaml", "GET", "http://a/"].into_iter().chain(fields).collect();
        let (code, stdout, stderr) = support::call(&arguments, &folder.0);
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    let [missing, malformed] = [explain(&[]), explain(&["Basic !"])];
    assert!(
        missing.starts_with("GET http://a/ is refused: the proxy answers 401, ") && missing.contains("auth.basic"),
        "{missing}"
    );
    assert!(malformed.contains("the proxy answers 40") && malformed != missing, "{malformed}");
    let given = explain(&[&basic("ann:secret")]);
    assert!(given.contains(" is taken by") && given.contains("asks for:   a password of "), "{given}");
    assert_eq!(origin.count(), 0);
}

/// What is typed at a prompt is hidden, and nothing else, however the prompt ends.
#[test]
fn a_signal_at_the_prompt_gives_the_terminal_its_echo_back() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};
    use std::os::unix::process::CommandExt;
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = std::path::PathBuf::from(ptsname(&ours, Vec::new()).unwrap().into_string().unwrap());
        let theirs = std::fs::OpenOptions::new().read(true).write(true).open(theirs).unwrap();
        let echoes = || tcgetattr(&theirs).unwrap().local_modes.contains(LocalModes::ECHO);
        assert!(echoes());
        let mut command = Command::new(BINARY);
        command.arg("hash-password").stdin(theirs.try_clone().unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn().unwrap();
        support::await_until("what is typed is hidden", || !echoes());
        support::signal(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert!(echoes(), "{signal}");
    }
}

/// systemd gives secrets as files of a folder that it names in the environment.
#[test]
fn a_file_may_be_a_credential_of_systemd_and_is_never_shown() {
    let folder = Folder::new();
    folder.write("users", &format!("ann:{CHEAP}\n"));
    folder.write(
        "p.yaml",
        "listeners: ['127.0.0.1:8080']\n\
         routes: [{ auth: { basic: { users_file: '${CREDENTIALS_DIRECTORY}/users' } }, respond: {} }]\n",
    );
    let (code, printed, stderr) =
        support::call_with(&["-T", "-c", "p.yaml"], &folder.0, ("CREDENTIALS_DIRECTORY", &folder.0));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(printed.contains("/users") && !printed.contains("CCCC"), "{printed}");
}
