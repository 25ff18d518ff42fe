//! `proxy --from --to`: the main job without a file. The arguments are turned into YAML and
//! read like a file, so that they cannot do anything that a file cannot.

use clap::Args;
use proxy_service::config::{self, Config};
use proxy_service::server::{Ended, Start};

#[derive(Args, Debug)]
pub struct Quick {
    /// Where to listen: `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// Service A: `http://127.0.0.1:3000`, `https://host`, `host:port` or `unix:/path`
    #[arg(long, value_name = "SERVICE")]
    to: String,
    /// Prints the YAML for it instead of running
    #[arg(long)]
    print_config: bool,
}

impl Quick {
    pub fn run(self) -> Result<Ended, String> {
        let yaml = yaml(&self.from, &self.to);
        let config = parse("(command line)", &format!("{yaml}{ALONE}"))?;
        if self.print_config {
            return super::out::print(&yaml).map(|()| Ended::Fine);
        }
        super::serve::serve(&config, Start::default())
    }
}

/// Nobody gives orders to such a process, and several of them may run side by side.
pub const ALONE: &str = "server: { pid_file: off, upgrade_sock: off }\nadmin: { address: off }\n";

pub fn parse(name: &str, yaml: &str) -> Result<Config, String> {
    config::parse(name, yaml, &|_| None).map(|(config, _)| config).map_err(|rejected| rejected.render())
}

pub fn yaml(from: &str, to: &str) -> String {
    // A JSON string is a YAML string.
    let quoted = |text: &str| serde_json::Value::from(text.replace("${", "$${")).to_string();
    format!("listeners: [{}]\nroutes:\n  - upstream: {}\n", quoted(from), quoted(to))
}
