//! What a request costs in this proxy and in others, measured in one run on one
//! machine: `make bench`. One program in several roles, chosen by its first argument;
//! each other module is one role or one part of the comparison.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line program

mod candidate;
mod cases;
mod chart;
mod floor;
mod instructions;
mod load;
mod measure;
mod origin;
mod process;
mod report;
mod run;
mod statistics;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "compare", about = "What a request costs in this proxy and in others")]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    plan: Plan,
    /// `cargo bench` passes it
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Candidates, of: ours, nginx, haproxy, caddy, pingap, floor; NAME=PATH is another build of ours
    #[arg(long, value_delimiter = ',', default_value = "ours,nginx,haproxy,caddy,pingap,floor")]
    pub proxies: Vec<String>,
    /// Cases by name; all of them when none is given
    #[arg(long, value_delimiter = ',')]
    pub cases: Vec<String>,
    /// How often all of it is measured, the candidates in turn
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Of one measurement
    #[arg(long, default_value_t = 1.5)]
    pub seconds: f64,
    /// Requests per second of the case `tail`; half of our saturation when it is not given
    #[arg(long)]
    pub rate: Option<f64>,
    /// The release binary that is measured as `ours`
    #[arg(long, default_value = "target/release/pingora-proxy")]
    pub binary: PathBuf,
    /// Writes tables and chart into docs/performance.md and docs/performance.svg
    #[arg(long)]
    pub write: bool,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The service behind the proxies; prints its ports
    Origin {
        #[arg(long, default_value_t = 1)]
        ports: usize,
    },
    /// The floor: a Pingora proxy that only forwards
    Floor { listen: String, origin: std::net::SocketAddr, threads: usize },
    /// User instructions per request of our release binary, under valgrind
    Instructions(instructions::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Origin { ports }) => origin::serve(ports),
        Some(Role::Floor { listen, origin, threads }) => floor::serve(&listen, origin, threads),
        Some(Role::Instructions(options)) => instructions::check(&options),
        None => run::compare(&arguments.plan),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
