//! `proxy --from --to`: the main job without a file. The arguments are turned into YAML and
//! read like a file, so that they cannot do anything that a file cannot.

use clap::Args;
use proxy_service::config::{self, Problem};
use proxy_service::server::{Ended, Start};

#[derive(Args, Debug)]
pub struct Quick {
    /// Where to listen: `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// Service A: `:3000` on this machine, `http://127.0.0.1:3000`, `https://host`, `host:port` or `unix:/path`
    #[arg(long, value_name = "SERVICE")]
    to: String,
    /// Prints the YAML for it instead of running
    #[arg(long)]
    print_config: bool,
}

impl Quick {
    pub fn run(self) -> Result<Ended, String> {
        let yaml = yaml(&self.from, &self.to);
        let read = config::parse("(command line)", &format!("{yaml}{ALONE}"), &|_| None);
        let read = read.map_err(|mut rejected| {
            self.place(&mut rejected.problems);
            rejected
        });
        let config = super::check::accept("(command line)", read)?;
        if self.print_config {
            return super::out::print(&yaml).map(|()| Ended::Fine);
        }
        super::serve::serve(&config, Start::default())
    }

    /// Has problems point at the arguments, for nobody has seen the YAML.
    fn place(&self, problems: &mut [Problem]) {
        let typed = format!("--from {} --to {}", self.from, self.to);
        let from = self.from.chars().count();
        for problem in problems.iter_mut() {
            let is_from = problem.line == FROM_LINE;
            (problem.column, problem.len) = match is_from {
                true => ("--from ".len() + 1, from),
                false => ("--from ".len() + from + " --to ".len() + 1, self.to.chars().count()),
            };
            problem.line = 1;
        }
        config::excerpt(problems, &typed);
    }
}

/// Nobody gives orders to such a process, and several of them may run side by side.
pub const ALONE: &str = "server: { pid_file: off, upgrade_sock: off }\nadmin: { address: off }\n";

/// The line of [`yaml`] that holds `from`.
const FROM_LINE: usize = 1;

pub fn yaml(from: &str, to: &str) -> String {
    // A JSON string is a YAML string.
    let quoted = |text: &str| serde_json::Value::from(text.replace("${", "$${")).to_string();
    format!("listeners: [{}]\nroutes:\n  - upstream: {}\n", quoted(from), quoted(&service(to)))
}

/// A service that is only a port is on this machine: it can be meant in no other way.
fn service(to: &str) -> String {
    let port = to.strip_prefix(':').unwrap_or(to);
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port { format!("127.0.0.1:{port}") } else { to.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_this_machine() {
        for (written, address) in [(":3000", "127.0.0.1:3000"), ("3000", "127.0.0.1:3000")] {
            assert_eq!(service(written), address);
        }
        for text in ["", ":", "a:3000", "http://a", "[::1]:3000", ":3000/x", "unix:/run/x", "+1"] {
            assert_eq!(service(text), text);
        }
    }
}
