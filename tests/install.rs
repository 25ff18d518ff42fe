//! `make install`: what it puts where, and that shells, `man` and systemd can use it.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{BINARY, Folder, await_until};

struct Installed(Folder);

impl Installed {
    fn new(variables: &[&str]) -> Self {
        let installed = Self(Folder::new());
        let (code, text) = installed.make("install", variables);
        assert_eq!(code, 0, "{text}");
        installed
    }

    fn make(&self, target: &str, variables: &[&str]) -> (i32, String) {
        let output = Command::new("make")
            .args(["-s", target, &format!("DESTDIR={}", self.0.0.display()), &format!("PROGRAM={BINARY}")])
            .args(variables)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // Those of a `make test` around this test are none of its own.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

/// Whether a program is there; what needs it is no test of ours where it is not.
fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.unwrap().success()
}

#[test]
fn everything_has_its_place_and_an_own_configuration_stays() {
    let installed = Installed::new(&[]);
    let mode = |name: &str| std::fs::metadata(installed.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("usr/local/bin/pingora-proxy"), 0o755);
    assert_eq!(mode("etc/pingora-proxy/proxy.yaml"), 0o644);
    let version = Command::new(installed.path("usr/local/bin/pingora-proxy")).arg("--version").output().unwrap();
    assert!(version.status.success());
    let config = installed.path("etc/pingora-proxy/proxy.yaml");
    let checked = Command::new(BINARY).arg("-t").arg("-c").arg(&config).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let pages = ["README.md", "docs/operations.md", "docs/performance.svg", "conf/examples/pages/not-found.html"];
    for page in pages.into_iter().chain(["conf/examples/sticky.yaml", "deploy/pingora-proxy.service"]) {
        assert!(installed.path("usr/local/share/doc/pingora-proxy").join(page).is_file(), "{page}");
    }
    std::fs::write(&config, "# my own\n").unwrap();
    let (code, text) = installed.make("install", &[]);
    assert!(code == 0 && text.contains("proxy.yaml is there and stays as it is"), "{text}");
    assert_eq!(installed.read("etc/pingora-proxy/proxy.yaml"), "# my own\n");
    let (code, text) = installed.make("uninstall", &[]);
    assert_eq!(code, 0, "{text}");
    let left = Command::new("find").arg(&installed.0.0).args(["-type", "f"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout).trim(), config.to_str().unwrap());
}

#[test]
fn other_prefixes_reach_the_unit_too() {
    let installed = Installed::new(&["PREFIX=/usr", "SYSCONFDIR=/usr/etc"]);
    let unit = installed.read("usr/lib/systemd/system/pingora-proxy.service");
    assert!(unit.contains("\nExecStart=/usr/bin/pingora-proxy -c /usr/etc/pingora-proxy/proxy.yaml\n"), "{unit}");
    assert!(!unit.contains("/usr/local") && !unit.contains(" /etc/"), "{unit}");
    assert!(installed.path("usr/share/man/man8/pingora-proxy.8").is_file());
    assert!(installed.path("usr/etc/pingora-proxy/proxy.yaml").is_file());
}

#[test]
fn systemd_accepts_the_installed_unit_with_its_manual_page() {
    if !has("systemd-analyze") || !has("man") {
        return;
    }
    let installed = Installed::new(&[]);
    let name = "usr/local/lib/systemd/system/pingora-proxy.service";
    // The program is not at its place on this machine.
    let bin = installed.path("usr/local/bin");
    let unit = installed.read(name).replace("/usr/local/bin", bin.to_str().unwrap());
    std::fs::write(installed.path(name), unit).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").arg(installed.path(name)).env("MANPATH", installed.path("usr/local/share/man"));
    let verified = verify.stdin(Stdio::null()).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn the_manual_page_has_every_option_and_subcommand() {
    if !has("man") {
        return;
    }
    let installed = Installed::new(&[]);
    let page = installed.path("usr/local/share/man/man8/pingora-proxy.8");
    let mut man = Command::new("man");
    man.args(["--warnings", "-E", "UTF-8", "-P", "cat", "-l"]).arg(page);
    let shown = man.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(shown.status.success());
    // A warning is of groff, about the page.
    assert_eq!(String::from_utf8_lossy(&shown.stderr), "");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    for words in [
        "pingora-proxy(8)",
        "SYNOPSIS",
        "-c, --config",
        "-s, --signal",
        "reload",
        "pingora-proxy explain",
        "--client-ip",
        "pingora-proxy upstreams weight",
        "pingora-proxy completions",
        "EXIT STATUS",
        "/etc/pingora-proxy/proxy.yaml",
        "SIGNALS",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

/// What each shell offers behind the words of a line, as a person with the TAB key sees it.
fn offered(shell: &str, installed: &Installed, line: &str) -> Vec<String> {
    let share = installed.path("usr/local/share");
    let script = match shell {
        "bash" => bash(&share, line),
        "zsh" => return zsh(&share, line),
        _ => format!(
            "source {}/fish/vendor_completions.d/pingora-proxy.fish; complete -C '{line}' | string split -f1 \\t; true",
            share.display()
        ),
    };
    let mut call = Command::new(shell);
    // No file of the user's own is read.
    call.env("HOME", &installed.0.0).env("XDG_CONFIG_HOME", &installed.0.0).current_dir(&installed.0.0);
    let output = call.args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|word| word.trim().to_owned()).collect()
}

/// What readline does: it calls the function that the script registered.
fn bash(share: &Path, line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let last = words.len() - 1;
    format!(
        "source {}/bash-completion/completions/pingora-proxy\n\
         COMP_WORDS=({}) COMP_CWORD={last} COMP_LINE='{line}' COMP_POINT={}\n\
         function=$(complete -p pingora-proxy | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         \"$function\" pingora-proxy \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$((COMP_CWORD - 1))]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        share.display(),
        words.join(" "),
        line.len()
    )
}

/// zsh completes in its line editor only: one that runs in a terminal of its own gets the TAB.
fn zsh(share: &Path, line: &str) -> Vec<String> {
    let folder = Folder::new();
    let driver = format!(
        "zmodload zsh/zpty\n\
         zpty shell zsh -f -i\n\
         zpty -w shell 'PS1=READY; fpath=({0}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -d {1}/dump; \
         zstyle \":completion:*\" list-rows-first true; LISTMAX=1000; stty columns 200; bindkey \"^I\" complete-word; print LOADED'\n\
         zpty -r -m shell seen '*LOADED*LOADED*' || exit 1\n\
         zpty -w -n shell $'{line}\\t'\n\
         repeat 100; do zpty -r -t shell part && print -rn -- \"$part\"; sleep 0.02; done\n\
         zpty -d shell\n",
        share.display(),
        folder.0.display()
    );
    let mut shell = Command::new("zsh");
    shell.args(["-f", "-c", &driver]).env("TERM", "dumb").env("HOME", &folder.0).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace(|c: char| c.is_control() && c != '\n', " ");
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_zsh_and_fish_complete() {
    let installed = Installed::new(&[]);
    let shells: Vec<&str> = ["bash", "zsh", "fish"].into_iter().filter(|shell| has(shell)).collect();
    assert!(shells.contains(&"bash"));
    for shell in shells {
        for (line, wanted) in [
            ("pingora-proxy ", ["explain", "upstreams", "healthcheck"]),
            ("pingora-proxy -s ", ["reload", "upgrade", "status"]),
            ("pingora-proxy upstreams ", ["drain", "disable", "weight"]),
            ("pingora-proxy completions ", ["bash", "zsh", "fish"]),
        ] {
            let mut words = Vec::new();
            await_until("the shell", || {
                words = offered(shell, &installed, line);
                wanted.iter().all(|word| words.iter().any(|found| found == word)) || shell != "zsh"
            });
            for word in wanted {
                assert!(words.iter().any(|found| found == word), "{shell}, {line}: {word} is none of {words:?}");
            }
        }
    }
}
