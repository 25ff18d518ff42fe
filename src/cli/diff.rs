//! `diff`: what a new configuration would change, in words.

use std::path::{Path, PathBuf};

use clap::Args;
use proxy_service::config::{self, Change, Config, Source};
use proxy_service::server;
use serde_json::json;

/// Says in words what a new configuration changes in the running one; exits with 4 if anything
#[derive(Args, Debug)]
pub struct Diff {
    /// The new configuration
    new: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    /// Whether they differ. `file`: that of the running process, or the one to compare where there is none.
    ///
    /// # Errors
    /// When a configuration is refused.
    pub fn run(self, file: Option<PathBuf>) -> Result<bool, String> {
        let new = super::check::load(&Source::File(self.new.clone()))?;
        super::check::compile(&new)?;
        let old = super::in_force::find(file)?;
        let changes = config::changes(&old.config, &new);
        let waits = Waits::new(&old.config, &new);
        if self.json {
            let one = |change: &Change| json!({ "path": change.path, "words": change.words, "waits_for_upgrade": waits.has(change) });
            let all: Vec<_> = changes.iter().map(one).collect();
            super::out::print(&format!("{:#}\n", json!({ "from": old.title, "changes": all })))?;
        } else {
            super::out::show(&in_words(&changes, &waits, &old.title, &self.new))?;
        }
        Ok(!changes.is_empty())
    }
}

/// Which changes a reload leaves undone.
struct Waits {
    keys: Vec<&'static str>,
    /// Listeners, by their paths.
    listeners: Vec<String>,
}

impl Waits {
    fn new(old: &Config, new: &Config) -> Self {
        let listeners = old.listeners.iter().chain(&new.listeners);
        let listeners = listeners.map(|listener| format!("listeners.{}", listener.address)).collect();
        Self { keys: server::waiting(old, new), listeners }
    }

    fn has(&self, change: &Change) -> bool {
        let path = change.path.as_str();
        self.keys.iter().any(|key| match *key {
            "listeners" => self.listeners.iter().any(|listener| listener == path),
            "admin.address" => path.starts_with("admin"),
            "upstreams.*.pool.max_idle" => path.starts_with("upstreams.") && path.ends_with(".pool.max_idle"),
            key => path == key || path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')),
        })
    }
}

fn in_words(changes: &[Change], waits: &Waits, old: &str, new: &Path) -> String {
    let new = new.display();
    if changes.is_empty() {
        return format!("{new} is the same as {old}\n");
    }
    let plural = if changes.len() == 1 { "" } else { "s" };
    let mut out = format!("{} change{plural} from {old} to {new}:\n", changes.len());
    for change in changes {
        let waits = if waits.has(change) { " (waits for an upgrade)" } else { "" };
        out += &format!("  {}{waits}\n", change.words);
    }
    out
}
