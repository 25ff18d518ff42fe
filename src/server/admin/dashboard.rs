//! The dashboard: a page for people, made of the other answers. Its files are part of the program and
//! load nothing from anywhere else.

use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};

use super::answer::Answer;

/// One file of it.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    pub path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// The page runs its own scripts and asks its own endpoint, whatever stands in a path that a stranger
/// has asked for.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [File; 10] = [
    File { path: "/", kind: HTML, text: include_str!("dashboard/index.html") },
    File { path: "/dashboard.css", kind: CSS, text: include_str!("dashboard/dashboard.css") },
    File { path: "/dashboard.js", kind: SCRIPT, text: include_str!("dashboard/dashboard.js") },
    File { path: "/api.js", kind: SCRIPT, text: include_str!("dashboard/api.js") },
    File { path: "/dom.js", kind: SCRIPT, text: include_str!("dashboard/dom.js") },
    File { path: "/panels.js", kind: SCRIPT, text: include_str!("dashboard/panels.js") },
    File { path: "/requests.js", kind: SCRIPT, text: include_str!("dashboard/requests.js") },
    File { path: "/servers.js", kind: SCRIPT, text: include_str!("dashboard/servers.js") },
    File { path: "/stats.js", kind: SCRIPT, text: include_str!("dashboard/stats.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", text: include_str!("dashboard/icon.svg") },
];

/// The file of this path.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    pub fn answer(&self) -> Answer {
        Answer::of_kind(self.kind, self.text)
            .with_field(CONTENT_SECURITY_POLICY, POLICY)
            .with_field(REFERRER_POLICY, "no-referrer")
    }
}
