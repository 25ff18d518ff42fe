//! The configuration: from a YAML file to a typed value with nothing left to doubt,
//! or to everything that is wrong with it at once. Must not know sockets that are
//! open, requests, or the runtime.

mod address;
mod check;
mod check_edits;
mod check_match;
mod check_process;
mod check_resilience;
mod check_route;
mod check_server;
mod check_tls;
mod check_upstream;
mod decode;
mod emit;
mod emit_route;
mod emit_upstream;
mod env;
mod keys;
mod keys_process;
mod keys_upstream;
mod model;
mod model_upstream;
mod node;
mod pattern;
mod problem;
pub mod rank;
mod reach;
mod reference;
mod schema;
mod shape;
mod value;
mod value_upstream;

use std::path::{Path, PathBuf};

pub use address::text as address_text;
pub use emit::to_yaml;
pub use model::*;
pub use problem::{Problem, Rejected, Severity, render};
pub use reference::reference;
pub use schema::json_schema;

use problem::Span;

/// Reads and checks a file. The second value holds the warnings.
pub fn load(path: &Path) -> Result<(Config, Vec<Problem>), Rejected> {
    let name = path.display().to_string();
    match read(path) {
        Ok(text) => parse(&name, &text, &|variable| std::env::var(variable).ok()),
        Err(reason) => {
            let problem = Problem::new(Severity::Error, Span::default(), format!("cannot read the file: {reason}"));
            Err(Rejected { problems: vec![problem], warnings: Vec::new(), file_name: name })
        }
    }
}

/// Where the process of this file keeps its control socket and its pid file, whatever
/// else is wrong with the file: who has broken it wants to reach the process all the same.
pub fn own_files(path: Option<&Path>) -> (Place, Place) {
    let Some(path) = path else { return (Place::Auto, Place::Auto) };
    let text = read(path).unwrap_or_default();
    let base = folder_of(&path.display().to_string());
    match node::parse(&text, &|variable| std::env::var(variable).ok()).0 {
        Some(root) => check::own_files(&root, &base),
        None => (spotted(&text, "upgrade_sock", &base), spotted(&text, "pid_file", &base)),
    }
}

/// What seems to be a key's value, in a text that is no YAML.
fn spotted(text: &str, key: &str, base: &Path) -> Place {
    let behind = text.split_once(key).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    let value = behind.and_then(|rest| rest.trim_start().split([',', '}', '#', ' ', '\n', '\r']).next());
    match value.map(|value| value.trim_matches(['"', '\''])) {
        None | Some("" | "auto") => Place::Auto,
        Some("off" | "null") => Place::Off,
        Some(path) => Place::At(base.join(path)),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > u64::try_from(node::MAX_BYTES).unwrap_or(u64::MAX) {
        return Err(format!("it is larger than {} MiB", node::MAX_BYTES / 1024 / 1024));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

/// Checks a text. Relative paths in it start at `file_name`'s folder.
pub fn parse(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Vec<Problem>), Rejected> {
    let base = folder_of(file_name);
    let (tree, mut problems) = node::parse(text, env);
    let stopped = tree.is_none() && !problems.is_empty();
    let config = if stopped { None } else { check::config(tree.as_ref(), &base, &mut problems) };
    finish(&mut problems, text);
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(|p| p.severity == Severity::Error);
    match config {
        Some(config) if errors.is_empty() => Ok((config, warnings)),
        _ => Err(Rejected { problems: errors, warnings, file_name: file_name.to_owned() }),
    }
}

fn folder_of(file_name: &str) -> PathBuf {
    let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
    // An empty path is not accepted by `absolute`, and "." would stay in every path.
    std::path::absolute(folder).or_else(|_| std::env::current_dir()).unwrap_or_default()
}

/// In the file's order, each once (an alias shows its anchor's problems again), with its line.
fn finish(problems: &mut Vec<Problem>, text: &str) {
    problems.sort_by_key(|p| (p.line, p.column));
    let mut once: Vec<Problem> = Vec::new();
    for problem in problems.drain(..) {
        let here = |p: &&Problem| (p.line, p.column) == (problem.line, problem.column);
        if !once.iter().rev().take_while(here).any(|p| *p == problem) {
            once.push(problem);
        }
    }
    problem::excerpt(&mut once, text);
    *problems = once;
}

#[cfg(test)]
mod tests;
