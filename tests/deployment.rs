//! The systemd unit that is shipped: it works with the systemd of Debian 12.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::process::{Command, Stdio};

use support::{BINARY, Proxy};

const UNIT: &str = include_str!("../deploy/pingora-proxy.service");

/// The systemd of Debian 12.
const DEBIAN_12: u32 = 252;

/// The directives that the unit may use, each with the systemd that knew it first; 0 is before
/// systemd 230.
const KNOWN: &[(&str, u32)] = &[
    ("Description", 0),
    ("Documentation", 0),
    ("After", 0),
    ("Wants", 0),
    ("Type", 0),
    ("NotifyAccess", 0),
    ("ExecStartPre", 0),
    ("ExecStart", 0),
    ("ExecReload", 0),
    ("Restart", 0),
    ("KillMode", 0),
    ("TimeoutStopSec", 0),
    ("LimitNOFILE", 0),
    ("LimitCORE", 0),
    ("RemoveIPC", 232),
    ("KeyringMode", 235),
    ("DynamicUser", 232),
    ("RuntimeDirectory", 0),
    ("RuntimeDirectoryMode", 0),
    ("RuntimeDirectoryPreserve", 235),
    ("LogsDirectory", 235),
    ("AmbientCapabilities", 0),
    ("CapabilityBoundingSet", 0),
    ("NoNewPrivileges", 0),
    ("ProtectSystem", 0),
    ("ProtectHome", 0),
    ("PrivateTmp", 0),
    ("PrivateDevices", 0),
    ("ProtectKernelTunables", 232),
    ("ProtectKernelModules", 232),
    ("ProtectKernelLogs", 244),
    ("ProtectControlGroups", 232),
    ("ProtectClock", 245),
    ("ProtectHostname", 242),
    ("ProtectProc", 247),
    ("RestrictAddressFamilies", 0),
    ("RestrictNamespaces", 233),
    ("RestrictRealtime", 231),
    ("RestrictSUIDSGID", 242),
    ("LockPersonality", 235),
    ("MemoryDenyWriteExecute", 231),
    ("SystemCallArchitectures", 0),
    ("SystemCallFilter", 0),
    ("SystemCallErrorNumber", 0),
    ("WantedBy", 0),
];

fn directives() -> impl Iterator<Item = (&'static str, &'static str)> {
    UNIT.lines().filter(|line| !line.starts_with(['#', '['])).filter_map(|line| line.split_once('='))
}

fn value_of(name: &str) -> &'static str {
    directives().find_map(|(found, value)| (found == name).then_some(value)).unwrap()
}

#[test]
fn the_systemd_of_debian_12_knows_every_directive_of_the_unit() {
    for (name, _) in directives() {
        let since = KNOWN.iter().find_map(|(known, since)| (*known == name).then_some(*since));
        assert!(since.is_some_and(|since| since <= DEBIAN_12), "{name}: {since:?}");
    }
    assert!(["simple", "exec", "forking", "oneshot", "dbus", "notify", "idle"].contains(&value_of("Type")));
    // The new process of an upgrade, which is no child of systemd's, becomes the main one.
    assert_eq!((value_of("Type"), value_of("NotifyAccess")), ("notify", "all"));
    let folder = support::Folder::new();
    // The program is not installed there.
    let file = folder.write("pingora-proxy.service", &UNIT.replace("/usr/local/bin/pingora-proxy", "/bin/true"));
    // Nor is its manual page.
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(file).stdin(Stdio::null()).output();
    if let Ok(verified) = verified {
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

#[test]
fn the_units_reload_waits_and_fails_with_the_reason_also_after_an_upgrade() {
    const ONE: &str = "listeners: ['{listen}']\nroutes: [{ respond: { body: one } }]\n";
    let proxy = Proxy::start(ONE);
    let reload = || {
        let file = proxy.folder.0.join("proxy.yaml");
        let line = value_of("ExecReload").replace("/etc/pingora-proxy/proxy.yaml", file.to_str().unwrap());
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("/usr/local/bin/pingora-proxy"));
        let output = Command::new(BINARY).args(words).env("RUNTIME_DIRECTORY", &proxy.folder.0).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (turn, body) in ["two", "three"].into_iter().enumerate() {
        proxy.rewrite(&ONE.replace("one", body));
        if turn == 1 {
            assert_eq!(proxy.order("upgrade").0, 0);
        }
        assert_eq!(reload().0, Some(0));
        assert_eq!(proxy.get("/").text(), body);
        proxy.rewrite("listeners: []\n");
        let (code, text) = reload();
        assert!(code == Some(1) && text.contains("no listener: nothing could connect"), "{text}");
        assert_eq!(proxy.get("/").text(), body);
    }
    assert_eq!(proxy.order("stop").0, 0);
}
