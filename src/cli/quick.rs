//! `proxy --from --to`: the main job without a file. It is turned into YAML and
//! read like any other, so that it cannot do anything a file cannot.

use clap::Args;
use proxy_service::config;

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
    pub fn run(self) -> Result<(), String> {
        let yaml = yaml(&self.from, &self.to);
        if self.print_config {
            print!("{yaml}");
            return Ok(());
        }
        let env = |_: &str| None;
        let (config, _) = config::parse("(command line)", &yaml, &env).map_err(|rejected| rejected.render())?;
        super::serve(&config)
    }
}

pub fn yaml(from: &str, to: &str) -> String {
    // JSON's strings are YAML's.
    let quoted = |text: &str| serde_json::Value::from(text.replace("${", "$${")).to_string();
    format!("listeners: [{}]\nroutes:\n  - upstream: {}\n", quoted(from), quoted(to))
}
