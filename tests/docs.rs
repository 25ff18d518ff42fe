//! What the pages for operators say is so: their snippets pass `-t`, their tables are complete, and
//! their logrotate file works.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::tls::write_examples;
use support::{Folder, Origin, Proxy, await_until, call};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and every page of docs/.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.chain([root().join("README.md")]).collect()
}

/// The blocks of a page in one language, each with the number of its first line.
fn blocks(page: &Path, language: &str) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(named) = line.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|(_, line)| !line.starts_with("```")).collect();
        if named == language
            && let Some((first, _)) = block.first()
        {
            found.push((first + 1, block.iter().map(|(_, line)| format!("{line}\n")).collect()));
        }
    }
    found
}

#[test]
fn every_snippet_of_the_docs_is_a_good_configuration() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("pages")).unwrap();
    for page in ["pages/not-found.html", "pages/sorry.html"] {
        folder.write(page, "<p>");
    }
    folder.write("token", "0123456789-abcdefghij\n");
    folder.write("oidc-cookie-secret", "0123456789-abcdefghijklmnopqrstuvwxyz\n");
    folder.write("oidc-client-secret", "secret\n");
    let certificates = Folder::new();
    write_examples(&certificates);
    std::os::unix::fs::symlink(&certificates.0, folder.0.join("certs")).unwrap();
    for secret in ["htpasswd", "jwks.json"] {
        std::fs::copy(root().join("conf/examples/auth").join(secret), folder.0.join(secret)).unwrap();
    }
    let mut count = 0;
    for page in pages() {
        for (line, text) in blocks(&page, "yaml") {
            let place = format!("{}:{line}", page.display());
            // Only root may become another user.
            if text.contains("user: ") && !nix::unistd::Uid::effective().is_root() {
                continue;
            }
            let has = |key: &str| text.lines().any(|line| line.starts_with(key));
            let listeners = if has("listeners:") { "" } else { "listeners: ['127.0.0.1:8080']\n" };
            let routes = if has("routes:") { "" } else { "routes: [{ respond: {} }]\n" };
            // The folders of a machine that runs it.
            let here = folder.0.to_str().unwrap();
            let text = text.replace("/var/log/pingora-proxy", here).replace("/run/pingora-proxy", here);
            folder.write("p.yaml", &format!("{text}{listeners}{routes}"));
            let (code, stdout, stderr) = call(&["-t", "-c", "p.yaml"], &folder.0);
            assert_eq!((code, stderr.as_str()), (0, ""), "{place}\n{stdout}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}: the check is blind");
}

#[test]
fn every_file_that_the_docs_link_to_is_there_and_every_example_is_linked() {
    let mut linked = BTreeSet::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") {
                continue;
            }
            let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(path.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() {
                assert!(anchors(&path).contains(anchor), "{}: {target}", page.display());
            }
            linked.insert(path.file_name().unwrap().to_owned());
        }
    }
    for example in std::fs::read_dir(root().join("conf/examples")).unwrap().map(|entry| entry.unwrap().path()) {
        assert!(example.is_dir() || linked.contains(example.file_name().unwrap()), "{}", example.display());
    }
}

/// As GitHub makes them of headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix('#')).map(|rest| rest.trim_start_matches('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn explain_answers_as_the_docs_show() {
    let shown = blocks(&root().join("docs/how-to.md"), "").into_iter().map(|(_, text)| text);
    let mut count = 0;
    for (command, output) in shown.filter_map(|text| text.split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned()))) {
        let Some(arguments) = command.strip_prefix("$ pingora-proxy ").filter(|rest| rest.contains(" explain ")) else {
            continue;
        };
        let arguments: Vec<&str> = arguments.split(' ').map(|argument| argument.trim_matches('\'')).collect();
        assert_eq!(call(&arguments, root()).1, output, "{command}");
        count += 1;
    }
    assert_eq!(count, 1);
}

#[test]
fn every_field_of_the_access_log_is_explained() {
    let source = std::fs::read_to_string(root().join("src/telemetry/json.rs")).unwrap();
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    // In the source a key stands as \"key\": within a string.
    let keys = source.split("\\\"").zip(source.split("\\\"").skip(1));
    let written: BTreeSet<_> =
        keys.filter(|(_, next)| next.starts_with(':')).map(|(key, _)| key).filter(is_name).collect();
    let page = std::fs::read_to_string(root().join("docs/logs.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split('`').next());
    assert_eq!(written, rows.collect::<BTreeSet<_>>());
    assert!(written.contains("ts") && written.contains("error_source"), "{written:?}: the check is blind");
}

#[test]
fn the_logrotate_file_of_the_docs_rotates_and_loses_no_line() {
    let Some(logrotate) = ["/usr/sbin/logrotate", "/usr/bin/logrotate"].into_iter().find(|p| Path::new(p).exists())
    else {
        return;
    };
    let origin = Origin::fixed(OK);
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("logs")).unwrap();
    let here = folder.0.to_str().unwrap();
    let proxy = Proxy::start(&format!(
        "server: {{ pid_file: '{here}/p.pid', error_log: '{here}/logs/error.log' }}\n\
         log: {{ access: {{ to: '{here}/logs/access.log', format: json }} }}\n\
         listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n",
        origin.address
    ));
    let (_, file) = blocks(&root().join("docs/logs.md"), "logrotate").remove(0);
    let file = file.replace("/var/log/pingora-proxy", &format!("{here}/logs"));
    let file =
        folder.write("rotate.conf", &file.replace("/run/pingora-proxy/pingora-proxy.pid", &format!("{here}/p.pid")));
    let lines =
        |name: &str| std::fs::read_to_string(folder.0.join("logs").join(name)).unwrap_or_default().lines().count();
    let ask = || (0..20).for_each(|_| assert_eq!(proxy.get("/").status, 200));
    ask();
    await_until("lines before", || lines("access.log") == 20);
    let state = format!("{here}/state");
    let rotated = Command::new(logrotate).args(["-f", "-s", &state]).arg(file).output().unwrap();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    await_until("new files", || folder.0.join("logs/access.log").exists() && folder.0.join("logs/error.log").exists());
    ask();
    await_until("lines after", || lines("access.log.1") + lines("access.log") == 40);
    assert!(lines("access.log") >= 20 && lines("error.log.1") > 0);
}

#[test]
fn the_page_of_reasons_is_the_one_that_the_program_prints() {
    let (code, page, _) = call(&["reasons", "--markdown"], root());
    let kept = std::fs::read_to_string(root().join("docs/reasons.md")).unwrap();
    assert!(code == 0 && page == kept, "write it anew: pingora-proxy reasons --markdown > docs/reasons.md");
    let (code, about, _) = call(&["reasons", "upstream_refused"], root());
    assert!(
        code == 0 && about.contains("status:       502\n") && about.contains("what to do:   Nothing listens"),
        "{about}"
    );
    let (code, _, refused) = call(&["reasons", "upstream_refusd"], root());
    assert_eq!(
        (code, refused.as_str()),
        (1, "error: no reason is called `upstream_refusd`: `pingora-proxy reasons` lists them\n")
    );
}
