//! The command line: arguments, subcommands, exit codes, and what a person reads
//! in the terminal. The only place that prints. Must not know Pingora's hooks.
#![allow(clippy::print_stdout, clippy::print_stderr)] // it is the terminal's side

mod check;
mod demo;
mod explain;
mod quick;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use proxy_service::config::{Config, ErrorLog};
use proxy_service::{config, server};

/// A reverse proxy: everything of service A, through proxy B.
#[derive(Parser, Debug)]
#[command(
    name = "pingora-proxy",
    version,
    about,
    subcommand_negates_reqs = true,
    override_usage = "pingora-proxy -c FILE [-t | -T]\n       pingora-proxy proxy --from ADDRESS --to SERVICE\n       pingora-proxy demo | explain | schema"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Checks the configuration as start-up would, prints every problem, exits 0 or 1
    #[arg(short = 't', long = "test")]
    test: bool,
    /// Prints the effective configuration, defaults included, as YAML that can be fed back
    #[arg(short = 'T', long = "print-config")]
    print: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The whole main job in one line, without a file
    Proxy(quick::Quick),
    /// Starts a service A that shows everything, and the proxy in front of it
    Demo(demo::Demo),
    /// Says which route takes a request, what is rewritten, and why the other routes do not match
    Explain(explain::Explain),
    /// Prints the JSON Schema of the configuration file
    Schema {
        /// Prints the reference page instead
        #[arg(long)]
        markdown: bool,
    },
}

/// Where a subcommand finds its configuration.
#[derive(Args, Debug)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "conf/proxy.yaml")]
    pub config: PathBuf,
}

/// Runs what the arguments say. 0 fine, 1 config or start-up failed; clap exits
/// with 2 on wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Proxy(quick)) => quick.run(),
        Some(Command::Demo(demo)) => demo.run(),
        Some(Command::Explain(explain)) => explain.run(),
        Some(Command::Schema { markdown }) => {
            match markdown {
                true => print!("{}", config::reference()),
                false => println!("{:#}", config::json_schema()),
            }
            Ok(())
        }
        None => {
            let path = cli.config.unwrap_or_default();
            match (cli.test, cli.print) {
                (true, _) => check::test(&path),
                (false, true) => check::print(&path),
                (false, false) => check::load(&path).and_then(|config| serve(&config)),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Starts logging and serves.
fn serve(config: &Config) -> Result<(), String> {
    start_logging(config)?;
    server::run(config).map_err(|e| format!("error: {e}"))
}

fn start_logging(config: &Config) -> Result<(), String> {
    let mut logger = env_logger::Builder::new();
    // Pingora tells of each connection that a client ends; the access log has those.
    logger.filter_level(config.log.level).filter_module("pingora", log::LevelFilter::Warn);
    for module in ["pingora_core", "pingora_proxy"] {
        logger.filter_module(module, config.log.level.min(log::LevelFilter::Error));
    }
    // It calls each idle connection that an upstream closed an error.
    logger.filter_module("pingora_core::connectors", log::LevelFilter::Off);
    logger.parse_default_env();
    if let ErrorLog::File(path) = &config.server.error_log {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| format!("error: cannot open the error log {}: {e}", path.display()))?;
        logger.target(env_logger::Target::Pipe(Box::new(file)));
    }
    logger.try_init().map_err(|e| format!("error: {e}"))
}
