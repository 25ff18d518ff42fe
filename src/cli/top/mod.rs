//! `top`: the live figures of the running process, once a second, in the terminal.

mod frame;
mod interval;
mod screen;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use proxy_service::server::{self, Running, Stats};
use proxy_service::upstream::Reports;

use super::out;
use interval::Interval;
use screen::Screen;

const EVERY: Duration = Duration::from_secs(1);
/// Without a terminal, lines are not cut to its size.
const NO_TERMINAL: (usize, usize) = (160, usize::MAX);

/// Shows the live figures of the running process: requests, errors, latency, routes, servers. `q` ends it
#[derive(Args, Debug)]
pub struct Top {
    /// Prints the figures of one second and ends, as it does without a terminal
    #[arg(long)]
    once: bool,
}

impl Top {
    /// # Errors
    /// When there is no process, or it does not tell its figures any more.
    pub fn run(&self, file: Option<&Path>) -> Result<(), String> {
        let running = super::configuration::process(file)?;
        let mut before = stats(&running)?;
        if self.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            std::thread::sleep(EVERY);
            let (now, servers) = (stats(&running)?, servers(&running)?);
            return out::show(&frame::plain(&Interval::between(&before, &now), &servers, NO_TERMINAL));
        }
        let screen = Screen::open()?;
        while !screen.is_left_within(EVERY) {
            let (now, servers) = (stats(&running)?, servers(&running)?);
            screen.draw(&frame::coloured(&Interval::between(&before, &now), &servers, screen.size()))?;
            before = now;
        }
        Ok(())
    }
}

fn stats(running: &Running) -> Result<Stats, String> {
    server::stats(running).map_err(|reason| format!("error: {reason}"))
}

fn servers(running: &Running) -> Result<Reports, String> {
    match server::upstreams(running, None) {
        Ok((true, report)) => {
            serde_json::from_str(&report).map_err(|e| format!("error: its report is not understood: {e}"))
        }
        Ok((false, reason)) | Err(reason) => Err(format!("error: {reason}")),
    }
}
