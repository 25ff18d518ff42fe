//! The command line: arguments, subcommands, exit codes, and what a person reads in the
//! terminal. No other room prints.
#![allow(clippy::print_stdout, clippy::print_stderr)] // it is the terminal's side

mod check;
mod configuration;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod explain;
mod hash_password;
mod in_force;
mod out;
mod quick;
mod reasons;
mod replay;
mod serve;
mod shell;
mod signal;
mod top;
mod upstreams;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use proxy_service::config::{self, Source};
use proxy_service::server::{self, Ended, Respawn, Start, daemon};

const USAGE: &str = if cfg!(feature = "demo") {
    "pingora-proxy [-c FILE] [-t | -T | -d | -u | -s ORDER]\n       pingora-proxy proxy --from ADDRESS --to SERVICE\n       pingora-proxy demo | diff | explain | healthcheck | upstreams | top | schema | reasons | replay | hash-password | completions | man"
} else {
    "pingora-proxy [-c FILE] [-t | -T | -d | -u | -s ORDER]\n       pingora-proxy proxy --from ADDRESS --to SERVICE\n       pingora-proxy diff | explain | healthcheck | upstreams | top | schema | reasons | replay | hash-password | completions | man"
};

/// A reverse proxy: everything of service A, through proxy B.
#[derive(Parser, Debug)]
#[command(
    name = "pingora-proxy",
    version,
    about,
    override_usage = USAGE
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file, `-` for standard input; by default conf/proxy.yaml, or else
    /// /etc/pingora-proxy/proxy.yaml
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
}

/// What is done with the configuration, instead of running it in the foreground.
#[derive(Args, Debug)]
struct RunOptions {
    /// Checks the configuration as start-up would, prints every problem, exits 0 or 1
    #[arg(short = 't', long = "test", conflicts_with_all = ["print", "daemon", "take_over", "signal"])]
    test: bool,
    /// Prints the effective configuration, defaults included, as YAML that can be fed back
    #[arg(short = 'T', long = "print-config", conflicts_with_all = ["daemon", "take_over", "signal"])]
    print: bool,
    /// Runs in the background; returns once it serves
    #[arg(short = 'd', long = "daemon", conflicts_with = "signal")]
    daemon: bool,
    /// Takes over the listeners of the running process: an upgrade without a lost request
    #[arg(short = 'u', long = "upgrade", conflicts_with = "signal")]
    take_over: bool,
    /// Tells the running process something, waits, and reports what came of it
    #[arg(short = 's', long = "signal", value_name = "ORDER")]
    signal: Option<signal::Signal>,
}

impl RunOptions {
    fn is_given(&self) -> bool {
        self.test || self.print || self.daemon || self.take_over || self.signal.is_some()
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The whole main job in one line, without a file
    Proxy(quick::Quick),
    /// Starts a service A that shows everything, and the proxy in front of it
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    Diff(diff::Diff),
    /// Says which route takes a request, what is rewritten, and why the other routes do not match
    Explain(explain::Explain),
    /// Exits with 0 if the running process is ready for clients
    Healthcheck {
        /// Asks whether it lives instead, which it also does while it drains
        #[arg(long)]
        live: bool,
    },
    /// Tells how the servers of the running process are, or changes one of them
    Upstreams(upstreams::Upstreams),
    Top(top::Top),
    /// Prints the JSON Schema of the configuration file
    Schema {
        /// Prints the reference page instead
        #[arg(long)]
        markdown: bool,
    },
    HashPassword(hash_password::HashPassword),
    Reasons(reasons::Reasons),
    Replay(replay::Replay),
    /// Prints the completions for a shell
    Completions {
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, for `man -l -`
    Man,
}

/// Runs what the arguments say. The exit code is 0 for success, 1 when the configuration or
/// the start failed, 2 for wrong usage, 3 when something in flight was cut at the end, and 4
/// when configurations that were compared differ.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let (Some(_), true) = (&cli.command, cli.options.is_given()) {
        wrong_usage("-t, -T, -d, -u and -s belong to a configuration, not to a subcommand");
    }
    let done = match cli.command {
        Some(command) => subcommand(command, cli.config),
        None => without_subcommand(cli.config, &cli.options).map(Done::Ended),
    };
    match done {
        Ok(Done::Ended(Ended::Fine)) => ExitCode::SUCCESS,
        Ok(Done::Ended(Ended::Forced(_))) => ExitCode::from(3),
        Ok(Done::Ended(Ended::Failed(message))) => failed(&format!("error: {message}")),
        Ok(Done::Differs) => ExitCode::from(4),
        Err(message) => failed(&message),
    }
}

/// How a call came to its end.
enum Done {
    Ended(Ended),
    /// The configurations that were compared are not the same.
    Differs,
}

impl Done {
    fn compared(differs: bool) -> Self {
        if differs { Self::Differs } else { Self::Ended(Ended::Fine) }
    }
}

fn wrong_usage(message: &str) -> ! {
    Cli::command().error(clap::error::ErrorKind::MissingRequiredArgument, message).exit()
}

fn failed(message: &str) -> ExitCode {
    out::tell(&format!("{}\n", message.trim_end()));
    ExitCode::FAILURE
}

fn subcommand(command: Command, file: Option<PathBuf>) -> Result<Done, String> {
    match command {
        Command::Proxy(quick) => return quick.run().map(Done::Ended),
        #[cfg(feature = "demo")]
        Command::Demo(demo) => return demo.run().map(Done::Ended),
        Command::Explain(explain) => explain.run(&configuration::source(&meant(file))?)?,
        Command::Healthcheck { live } => {
            let file = meant(file);
            let config = check::load(&configuration::source(&file)?)?;
            server::check_health(&config, &file, live).map_err(|reason| format!("error: {reason}"))?;
        }
        Command::Upstreams(asked) => asked.run(file.as_deref())?,
        Command::Top(asked) => asked.run(file.as_deref())?,
        Command::Schema { markdown: true } => out::print(&config::reference())?,
        Command::HashPassword(asked) => asked.run()?,
        Command::Reasons(asked) => asked.run()?,
        Command::Replay(asked) => return asked.run(file).map(Done::compared),
        Command::Diff(asked) => return asked.run(file).map(Done::compared),
        Command::Completions { shell } => shell::completions(Cli::command(), shell)?,
        Command::Man => shell::man(Cli::command())?,
        Command::Schema { markdown: false } => out::print(&format!("{:#}\n", config::json_schema()))?,
    }
    Ok(Done::Ended(Ended::Fine))
}

/// The file of `-c`, or the default one; without either the call was wrong.
fn meant(file: Option<PathBuf>) -> PathBuf {
    configuration::file(file).unwrap_or_else(|reason| wrong_usage(&reason))
}

fn without_subcommand(file: Option<PathBuf>, options: &RunOptions) -> Result<Ended, String> {
    if let Some(order) = options.signal {
        return signal::send(order, file.as_deref()).map(|()| Ended::Fine);
    }
    let file = meant(file);
    let source = configuration::source(&file)?;
    if options.test {
        check::test(&source)?;
    } else if options.print {
        check::print(&source)?;
    } else {
        return run(source, options);
    }
    Ok(Ended::Fine)
}

fn run(source: Source, options: &RunOptions) -> Result<Ended, String> {
    let config = check::load(&source)?;
    let source = match source {
        Source::File(file) => Source::File(server::absolute(&file)),
        input @ Source::Input(_) => input,
    };
    let respawn = Respawn::new(program()?, &source);
    if daemon::is_child() {
        daemon::leave_terminal().map_err(|e| format!("error: {e}"))?;
    } else if options.daemon || config.server.daemon {
        let started = daemon::start(&respawn, options.take_over);
        return started.map(|()| Ended::Fine).map_err(|e| format!("error: {e}"));
    }
    serve::serve(&config, Start { source: Some(source), takes_over: options.take_over, respawn: Some(respawn) })
}

/// The path of the program as it was called, so that a symlink that is set to a newer
/// version leads to that.
fn program() -> Result<PathBuf, String> {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let found = if called.components().count() > 1 {
        Some(server::absolute(&called))
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(&called)).find(|path| path.is_file())
    };
    match found.filter(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => std::env::current_exe().map_err(|e| format!("error: cannot find this program: {e}")),
    }
}
