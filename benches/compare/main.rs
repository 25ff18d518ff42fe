//! What a request costs in this proxy and in others, measured in one run on one
//! machine: `make bench`. One program in several roles, chosen by its first argument;
//! each other module is one role or one part of the comparison.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line program

mod barriers;
mod behind;
mod candidate;
mod cases;
mod certificates;
mod chart;
mod error;
mod floor;
mod folder;
mod front;
mod instructions;
mod kind;
mod load;
mod measure;
mod origin;
mod origin_grpc;
mod origin_process;
mod plan;
mod process;
mod report;
mod run;
mod samples;
mod statistics;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use plan::Plan;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

#[derive(Debug, Subcommand)]
enum Role {
    /// The service behind the proxies; prints its ports
    Origin {
        #[arg(long, default_value_t = 1)]
        ports: usize,
    },
    /// The floor: a Pingora proxy that only forwards
    Floor(floor::Options),
    /// User instructions per request of our release binary, under valgrind
    Instructions(instructions::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Origin { ports }) => origin::serve(ports),
        Some(Role::Floor(options)) => floor::serve(&options),
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
