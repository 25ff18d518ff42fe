//! The user instructions of a request in our release binary: a figure without noise, which
//! is kept in benches/instructions.txt and may rise only with a reason. Valgrind counts them
//! in two runs, of which the difference is taken, so that the start is not counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::barriers::{self, Barrier, GUARDED};
use crate::error::Result;
use crate::folder::Folder;
use crate::load::raise_file_limit;
use crate::origin_process::Origin;
use crate::process::Guard;

/// The figure of a request with an access log; the others have none.
const LOGGED: &str = "logged";
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
    /// What an access list, a rate limit and tokens cost, each alone; compared with nothing
    #[arg(long, conflicts_with_all = ["accept", "route"])]
    barriers: bool,
}

/// # Errors
/// When a figure rose, in words; or when it cannot be taken.
pub fn check(options: &Options) -> Result<()> {
    raise_file_limit()?;
    let origin = Origin::start(1)?;
    let server = origin.servers.first().ok_or("the origin has no port")?;
    let folder = Folder::new()?;
    let of_route = options.route.clone().unwrap_or_default();
    let mut barriers = vec![Barrier { name: "silent", ..Barrier::none(of_route.clone()) }];
    if options.barriers {
        barriers = barriers::each(&folder.0)?;
    } else {
        barriers.push(Barrier { name: LOGGED, ..Barrier::none(of_route) });
    }
    if !options.barriers && options.route.is_none() {
        barriers.push(barriers::all(&folder.0)?);
    }
    let mut counted = Vec::new();
    for barrier in &barriers {
        let log =
            if barrier.name == LOGGED { folder.0.join("access.log").display().to_string() } else { "off".to_owned() };
        let comma = if barrier.keys.is_empty() { "" } else { ", " };
        let route = format!("{{ {}{comma}upstream: '{server}' }}", barrier.keys);
        let few = count(&options.binary, &folder.0, &route, &log, &barrier.field, FEW)?;
        let many = count(&options.binary, &folder.0, &route, &log, &barrier.field, MANY)?;
        let each = many.saturating_sub(few) / u64::try_from(MANY - FEW)?;
        println!("{}: {each} user instructions a request", barrier.name);
        counted.push((barrier.name, each));
    }
    if options.route.is_some() || options.barriers {
        return Ok(());
    }
    let kept = fs::read_to_string(FILE)?;
    match &options.accept {
        Some(reason) if reason.trim().is_empty() => Err("a figure is accepted with a reason".into()),
        Some(reason) => {
            let figures: Vec<_> = counted.iter().map(|(name, each)| format!("{name} {each}")).collect();
            Ok(fs::write(FILE, format!("{kept}{}  {}\n", figures.join("  "), reason.trim()))?)
        }
        None => counted.iter().try_for_each(|(name, each)| match accepted(&kept, name)? {
            Some(accepted) => judge(name, *each, accepted),
            None => {
                println!("{name}: the last line of {FILE} has no figure yet");
                Ok(())
            }
        }),
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

/// The figure of the last line; each line is `silent N  logged N  guarded N  the reason`. `guarded`
/// came later: lines of before have none, and in a reason the words are no figures.
fn accepted(kept: &str, name: &str) -> Result<Option<u64>> {
    let line = kept.lines().rev().find(|line| line.starts_with("silent ")).ok_or_else(|| format!("{FILE} is empty"))?;
    let mut words = line.split_whitespace();
    let mut figures = std::iter::from_fn(|| Some((words.next()?, words.next()?.parse().ok()?)));
    let figure = figures.find(|(word, _)| *word == name).map(|(_, figure)| figure);
    if figure.is_none() && name != GUARDED {
        return Err(format!("{FILE}: `{line}` has no figure for `{name}`").into());
    }
    Ok(figure)
}

fn count(binary: &Path, folder: &Path, route: &str, log: &str, field: &str, requests: usize) -> Result<u64> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
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
    crate::load::repeat(address, 4, requests, field)?;
    rustix::process::kill_process(rustix::process::Pid::from_child(&guard.0), rustix::process::Signal::INT)?;
    guard.0.wait()?;
    let text = fs::read_to_string(&out)?;
    let totals = text.lines().filter_map(|line| line.strip_prefix("totals:")?.trim().parse::<u64>().ok());
    Ok(totals.sum())
}
