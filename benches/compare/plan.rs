//! What is compared, how often and for how long: the arguments of the comparison.

use std::path::PathBuf;

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
