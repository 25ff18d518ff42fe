//! Which running process an order is for: it is found from another environment, as another user,
//! and beside others.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};
use support::{BINARY, Folder, Process, Proxy, await_until, free_port};

/// A process that keeps its files where the environment says.
struct Elsewhere {
    folder: Folder,
    process: Process,
}

impl Elsewhere {
    /// With `XDG_RUNTIME_DIR` in the test's folder; as root it becomes the user `nobody` first.
    fn start() -> Self {
        let folder = Folder::new();
        std::fs::set_permissions(&folder.0, PermissionsExt::from_mode(0o777)).unwrap();
        let session = folder.0.join("session");
        std::fs::create_dir(&session).unwrap();
        std::fs::set_permissions(&session, PermissionsExt::from_mode(0o777)).unwrap();
        let file = folder.write(
            "p.yaml",
            &support::without_probation(&format!(
                "listeners: ['127.0.0.1:{}']\nadmin: {{ address: off }}\nroutes: [{{ respond: {{}} }}]\n",
                free_port()
            )),
        );
        let log = std::fs::File::create(folder.0.join("stderr")).unwrap();
        let mut command = as_user(BINARY);
        command.arg("-c").arg(&file).env("XDG_RUNTIME_DIR", &session).stdout(Stdio::null()).stderr(log);
        let process = Process(command.spawn().unwrap());
        let elsewhere = Self { folder, process };
        await_until("the start", || elsewhere.socket().exists());
        elsewhere
    }

    fn socket(&self) -> PathBuf {
        self.folder.0.join("session/pingora-proxy/upgrade.sock")
    }

    fn file(&self) -> PathBuf {
        self.folder.0.join("p.yaml")
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // One that took over is nobody's child.
        as_user(BINARY).arg("-c").arg(self.file()).args(["-s", "stop"]).output().ok();
    }
}

/// The program of an ordinary user, without the environment of a session.
fn as_user(program: &str) -> Command {
    let mut command = match Uid::effective().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            let nobody = User::from_name("nobody").unwrap().unwrap();
            command.args(["--clear-groups", "--reuid", &nobody.uid.to_string(), "--regid", &nobody.gid.to_string()]);
            command.arg(program);
            command
        }
        false => Command::new(program),
    };
    command.env_remove("RUNTIME_DIRECTORY").env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
    command
}

fn outcome(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn status(mut command: Command, file: &Path) -> (i32, String) {
    outcome(command.arg("-c").arg(file).args(["-s", "status"]))
}

#[test]
fn it_is_found_without_its_environment_and_with_another_one() {
    let mut elsewhere = Elsewhere::start();
    let serves = format!("process {}: it is serving", elsewhere.process.0.id());
    // As a job of cron, which has no session; and from a session of its own.
    let (code, text) = status(as_user(BINARY), &elsewhere.file());
    assert!(code == 0 && text.contains(&serves), "{text}");
    let mut other = as_user(BINARY);
    other.env("XDG_RUNTIME_DIR", elsewhere.folder.0.join("nowhere"));
    let (code, text) = status(other, &elsewhere.file());
    assert!(code == 0 && text.contains(&serves), "{text}");
    // A reload and an upgrade by hand from there keep its place.
    let (code, text) = outcome(as_user(BINARY).arg("-c").arg(elsewhere.file()).args(["-s", "reload"]));
    assert_eq!(code, 0, "{text}");
    let mut newer = as_user(BINARY);
    newer.arg("-c").arg(elsewhere.file()).args(["-d", "-u"]);
    // Its stderr goes on to be its log.
    assert!(newer.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let (code, text) = status(as_user(BINARY), &elsewhere.file());
    assert!(code == 0 && !text.starts_with(&serves), "{text}");
    // The older process takes its own file away.
    elsewhere.process.0.wait().unwrap();
    assert!(elsewhere.socket().exists());
    let (code, text) = outcome(as_user(BINARY).arg("-c").arg(elsewhere.file()).args(["-s", "stop"]));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn root_finds_the_process_of_another_user() {
    if !Uid::effective().is_root() {
        return; // only root may ask the process of another user
    }
    let elsewhere = Elsewhere::start();
    let mut root = Command::new(BINARY);
    root.env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", "/nowhere").stdin(Stdio::null());
    let (code, text) = status(root, &elsewhere.file());
    let nobody = User::from_name("nobody").unwrap().unwrap().uid;
    assert!(code == 0 && text.contains(&format!("process {}:", elsewhere.process.0.id())), "{text}");
    assert!(text.contains(&format!("the process of user {nobody} on {}", elsewhere.socket().display())), "{text}");
}

#[test]
fn what_is_not_found_is_told_with_every_place() {
    let elsewhere = Elsewhere::start();
    let other = elsewhere.folder.write("other.yaml", "");
    let mut command = as_user(BINARY);
    command.env("XDG_RUNTIME_DIR", elsewhere.folder.0.join("session"));
    let (code, text) = status(command, &other);
    assert_eq!(code, 1);
    for words in [
        format!("no running process answers with {}; this was looked at:", other.display()),
        format!("{}: the process that answers runs with {}", elsewhere.socket().display(), elsewhere.file().display()),
        "/run/pingora-proxy/upgrade.sock: No such file or directory".to_owned(),
    ] {
        assert!(
            text.contains(&words) || words.starts_with("/run/") && Path::new("/run/pingora-proxy").exists(),
            "{words}\n{text}"
        );
    }
    // Without -c nobody else's process is asked.
    let mut command = as_user(BINARY);
    command.current_dir(&elsewhere.folder.0).env("XDG_RUNTIME_DIR", elsewhere.folder.0.join("nowhere"));
    let (code, text) = outcome(command.args(["-s", "stop"]));
    assert!(code == 1 && text.contains("nowhere/pingora-proxy/upgrade.sock: No such file"), "{text}");
    assert!(text.contains("with `-c FILE` it is looked for elsewhere"), "{text}");
}

#[test]
fn a_second_start_says_who_has_the_port_and_what_can_be_done() {
    let proxy = Proxy::start("listeners: ['{listen}']\nroutes: [{ respond: {} }]\n");
    let (code, text) = support::call_for(&proxy.folder, &[]);
    assert_eq!(code, 1);
    let pid = proxy.pid();
    for words in [
        format!("cannot listen on {}: Address already in use", proxy.address),
        format!("process {pid} (pingora-proxy) has it"),
        format!("process {pid} serves this configuration already: `-u` takes over"),
    ] {
        assert!(text.contains(&words), "{words}\n{text}");
    }
    // Another configuration on the port: there is nothing to take over from.
    proxy.folder.write("other.yaml", &proxy.read("proxy.yaml"));
    let mut other = Command::new(BINARY);
    other.args(["-c", "other.yaml"]).current_dir(&proxy.folder.0).env("RUNTIME_DIRECTORY", &proxy.folder.0);
    let (code, text) = outcome(&mut other);
    assert!(code == 1 && text.contains(&format!("process {pid} (pingora-proxy) has it")), "{text}");
    assert!(!text.contains("takes over"), "{text}");
    // Some other program.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    proxy.folder.write("taken.yaml", &format!("listeners: ['{address}']\nroutes: [{{ respond: {{}} }}]\n"));
    let (_, _, stderr) = support::call(&["-c", "taken.yaml"], &proxy.folder.0);
    assert!(stderr.contains(&format!("process {} (", std::process::id())), "{stderr}");
}
