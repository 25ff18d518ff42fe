//! The user instructions of a request in our release binary: a figure without noise, which
//! is kept in benches/instructions.txt and may rise only with a reason. Valgrind counts them
//! in two runs, of which the difference is taken, so that the start is not counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::Result;
use crate::folder::Folder;
use crate::load::raise_file_limit;
use crate::origin_process::Origin;
use crate::process::Guard;

const FILE: &str = "benches/instructions.txt";
/// By how much a figure may rise before a reason is asked for.
const ALLOWED: f64 = 1.03;
const FEW: usize = 1000;
const MANY: usize = 5000;
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value = "target/release/pingora-proxy")]
    binary: PathBuf,
    /// Appends the figures, with the reason why they are right
    #[arg(long)]
    accept: Option<String>,
    /// Keys of the route, to see what they cost, such as 'rate_limit: { rate: 1000000/s }'; compared with nothing
    #[arg(long, conflicts_with = "accept")]
    route: Option<String>,
}

/// # Errors
/// When a figure rose, in words; or when it cannot be taken.
pub fn check(options: &Options) -> Result<()> {
    raise_file_limit()?;
    let origin = Origin::start(1)?;
    let server = origin.servers.first().ok_or("the origin has no port")?;
    let mut counted = Vec::new();
    for (name, log) in [("silent", "off"), ("logged", "access.log")] {
        let folder = Folder::new()?;
        let route = options.route.as_ref().map_or_else(String::new, |keys| format!("{keys}, "));
        let route = format!("{{ {route}upstream: '{server}' }}");
        let few = count(&options.binary, &folder.0, &route, log, FEW)?;
        let many = count(&options.binary, &folder.0, &route, log, MANY)?;
        let each = many.saturating_sub(few) / u64::try_from(MANY - FEW)?;
        println!("{name}: {each} user instructions a request");
        counted.push((name, each));
    }
    if options.route.is_some() {
        return Ok(());
    }
    let kept = fs::read_to_string(FILE)?;
    match &options.accept {
        Some(reason) if reason.trim().is_empty() => Err("a figure is accepted with a reason".into()),
        Some(reason) => {
            let figures: Vec<_> = counted.iter().map(|(name, each)| format!("{name} {each}")).collect();
            Ok(fs::write(FILE, format!("{kept}{}  {}\n", figures.join("  "), reason.trim()))?)
        }
        None => counted.iter().try_for_each(|(name, each)| judge(name, *each, accepted(&kept, name)?)),
    }
}

#[allow(clippy::cast_precision_loss)]
fn judge(name: &str, each: u64, accepted: u64) -> Result<()> {
    let ratio = each as f64 / accepted as f64;
    if ratio > ALLOWED {
        let rise = (ratio - 1.0) * 100.0;
        return Err(format!(
            "{name}: {each} user instructions a request are {rise:.1} % more than the {accepted} of {FILE}; \
             find out why, or say why it has to be: make instructions ARGS='--accept \"the reason\"'"
        )
        .into());
    }
    if ratio < 2.0 - ALLOWED {
        println!("{name}: {accepted} in {FILE} can be lowered");
    }
    Ok(())
}

/// The figure of the last line; each line is `silent N  logged N  the reason`.
fn accepted(kept: &str, name: &str) -> Result<u64> {
    let line = kept.lines().rev().find(|line| line.starts_with("silent ")).ok_or_else(|| format!("{FILE} is empty"))?;
    let mut words = line.split_whitespace();
    let figure = words.find(|word| *word == name).and_then(|_| words.next()).and_then(|word| word.parse().ok());
    figure.ok_or_else(|| format!("{FILE}: `{line}` has no figure for `{name}`").into())
}

fn count(binary: &Path, folder: &Path, route: &str, log: &str, requests: usize) -> Result<u64> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let log = if log == "off" { log.to_owned() } else { folder.join(log).display().to_string() };
    let config = format!(
        "listeners: ['{address}']\nadmin: {{ address: 'off' }}\n\
         server: {{ threads: 1, upgrade_sock: 'off', pid_file: 'off' }}\n\
         log: {{ access: {{ to: '{log}' }} }}\nroutes: [{route}]\n"
    );
    let (file, out) = (folder.join("proxy.yaml"), folder.join("callgrind.out"));
    fs::write(&file, config)?;
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(fs::canonicalize(binary)?).arg("-c").arg(&file).env("RUNTIME_DIRECTORY", folder);
    // glibc copies large pieces by `rep movsb`, which callgrind counts once for each byte.
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000");
    valgrind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = valgrind
        .spawn()
        .map_err(|e| format!("valgrind cannot be started ({e}); `scripts/bench-setup instructions` installs it"))?;
    let mut guard = Guard(child);
    guard.await_listening(address, READY_WITHIN).map_err(|e| format!("{} under valgrind: {e}", binary.display()))?;
    crate::load::repeat(address, 4, requests)?;
    rustix::process::kill_process(rustix::process::Pid::from_child(&guard.0), rustix::process::Signal::INT)?;
    guard.0.wait()?;
    let text = fs::read_to_string(&out)?;
    let totals = text.lines().filter_map(|line| line.strip_prefix("totals:")?.trim().parse::<u64>().ok());
    Ok(totals.sum())
}
