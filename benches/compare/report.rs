//! The samples as tables: on the terminal, and in docs/performance.md between its marks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::candidate::Candidate;
use crate::cases::{Case, Workload};
use crate::error::Result;
use crate::kind::Kind;
use crate::plan::Plan;
use crate::samples::{Sample, Samples};
use crate::statistics::{Spread, ratios};
use crate::{chart, measure};

const DOCUMENT: &str = "docs/performance.md";
const CHART: &str = "docs/performance.svg";
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

/// The figure by which candidates are compared in a case.
#[derive(Clone, Copy, Debug)]
struct Figure {
    name: &'static str,
    of: fn(&Sample) -> f64,
    digits: usize,
}

fn figure(load: &Workload) -> Figure {
    match load {
        Workload::Saturate(shape) if shape.size.max(shape.upload) > 1_000_000 => {
            Figure { name: "CPU ms", of: |sample| sample.cpu / 1000.0, digits: 2 }
        }
        Workload::Saturate(_) | Workload::Tunnels(_) | Workload::Multiplex(_) => {
            Figure { name: "CPU µs", of: |sample| sample.cpu, digits: 1 }
        }
        Workload::Pace(_) => Figure { name: "p99.9 ms", of: |sample| sample.p999, digits: 2 },
        Workload::Idle(_) => Figure { name: "KiB", of: |sample| sample.memory, digits: 2 },
    }
}

/// One measurement, as it is printed while the comparison goes on.
pub fn line(case: &Case, sample: &Sample) -> String {
    let figure = figure(&case.load);
    let mut line = format!("{:>9.*} {}", figure.digits, (figure.of)(sample), figure.name);
    if !matches!(case.load, Workload::Idle(_)) {
        let Sample { rate, p50, p99, errors, cpu, .. } = sample;
        // Writing to a String cannot fail.
        write!(line, "  {rate:>7.0}/s  p50 {p50:.2} p99 {p99:.2} ms  cpu {cpu:.1} µs  errors {errors}").ok();
    }
    line
}

/// # Errors
/// When the document has lost its marks or cannot be written.
pub fn write(text: &str, candidates: &[Candidate], samples: &Samples) -> Result<()> {
    let document = fs::read_to_string(DOCUMENT)?;
    let (before, rest) = document.split_once(BEGIN).ok_or_else(|| format!("{DOCUMENT} has no `{}`", BEGIN.trim()))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{DOCUMENT} has no `{END}`"))?;
    fs::write(DOCUMENT, format!("{before}{BEGIN}{text}\n{END}{after}"))?;
    fs::write(Path::new(CHART), chart::draw(candidates, samples))?;
    Ok(())
}

pub fn tables(candidates: &[Candidate], cases: &[Case], samples: &Samples, plan: &Plan, rate: f64) -> String {
    let mut out = String::new();
    let versions: Vec<_> =
        candidates.iter().map(|candidate| format!("{} {}", candidate.name, candidate.version)).collect();
    let (machine, rounds, seconds) = (measure::machine(), plan.rounds, plan.seconds);
    let at = if rate > 0.0 { format!(" `tail`: {rate:.0} requests/s.") } else { String::new() };
    // Writing to a String cannot fail.
    write!(out, "{machine}. {}. {rounds} rounds of {seconds} s.{at}\n\n", versions.join(", ")).ok();
    let targets = targets(cases, samples);
    if !targets.is_empty() {
        out += "| what | against | target | measured | |\n| --- | --- | --- | --- | --- |\n";
        out += &targets;
        out.push('\n');
    }
    for case in cases {
        out += &table(candidates, case, samples);
    }
    out.trim_end().to_owned() + "\n"
}

fn table(candidates: &[Candidate], case: &Case, samples: &Samples) -> String {
    let figure = figure(&case.load);
    let mut out = format!("### `{}`: {}\n\n", case.name, case.what);
    let idle = matches!(case.load, Workload::Idle(_));
    let more = if idle { ("", "") } else { (" requests/s | p50 / p99 / p99.9 ms | errors |", " --- | --- | --- |") };
    // Writing to a String cannot fail.
    write!(out, "| | {} min / median / max | ours to it |{}\n| --- | --- | --- |{}\n", figure.name, more.0, more.1)
        .ok();
    let ours = candidates.iter().find(|candidate| matches!(candidate.kind, Kind::Ours(_)));
    let values = |name: &str| values(samples, case, name, figure.of);
    for candidate in candidates.iter().filter(|candidate| case.includes(&candidate.kind)) {
        let mine = values(&candidate.name);
        let Some(Spread { min, median, max }) = Spread::of(&mine) else {
            writeln!(out, "| {} | – | |{}", candidate.name, if idle { "" } else { " – | – | – |" }).ok();
            continue;
        };
        let to_it = ours.filter(|ours| ours.name != candidate.name).and_then(|ours| ratios(&values(&ours.name), &mine));
        let to_it = to_it.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median));
        let digits = figure.digits;
        write!(out, "| {} | {min:.digits$} / **{median:.digits$}** / {max:.digits$} | {to_it} |", candidate.name).ok();
        if !idle {
            out += &beside(&samples[&(case.name, candidate.name.clone())]);
        }
        out.push('\n');
    }
    out + "\n"
}

fn values(samples: &Samples, case: &Case, name: &str, of: fn(&Sample) -> f64) -> Vec<f64> {
    samples.get(&(case.name, name.to_owned())).into_iter().flatten().map(of).collect()
}

fn beside(samples: &[Sample]) -> String {
    let median = |of: fn(&Sample) -> f64| {
        let values: Vec<f64> = samples.iter().map(of).collect();
        Spread::of(&values).map_or(0.0, |spread| spread.median)
    };
    let errors: u64 = samples.iter().map(|sample| sample.errors).sum();
    let (rate, p50, p99, p999) = (median(|s| s.rate), median(|s| s.p50), median(|s| s.p99), median(|s| s.p999));
    format!(" {rate:.0} | {p50:.2} / {p99:.2} / {p999:.2} | {errors} |")
}

/// A target for our figure in a case, against others.
struct Target {
    what: &'static str,
    case: &'static str,
    against: Against,
    limit: f64,
}

enum Against {
    /// The best of these proxies.
    Proxies(&'static [&'static str]),
    /// Our own figure in another case.
    Case(&'static str),
    Nothing,
}

const TARGETS: [Target; 20] = {
    use Against::{Case, Nothing, Proxies};
    const BEST: &[&str] = &["nginx", "haproxy"];
    const OTHERS: &[&str] = &["nginx", "haproxy", "caddy"];
    const CPU: &str = "CPU per request of 60 bytes, access log on";
    const fn target(what: &'static str, case: &'static str, against: Against, limit: f64) -> Target {
        Target { what, case, against, limit }
    }
    [
        target(CPU, "log", Proxies(&["floor"]), 1.10),
        target(CPU, "log", Proxies(&["nginx"]), 1.25),
        target(CPU, "log", Proxies(&["caddy"]), 0.33),
        target(CPU, "log", Proxies(&["pingap"]), 0.85),
        target("CPU per 100 kB", "100k", Proxies(BEST), 1.0),
        target("CPU per 10 MB down", "download", Proxies(BEST), 1.0),
        target("CPU per 10 MB up", "upload", Proxies(BEST), 1.0),
        target("p99.9 at half of our saturation", "tail", Proxies(BEST), 1.2),
        target("CPU per new connection", "connect", Proxies(&["nginx"]), 1.3),
        target("10,000 routes", "routes-10000", Case("routes-1"), 1.05),
        target("access log", "log", Case("small"), 1.10),
        target("KiB per idle connection", "idle-8000", Nothing, 4.0),
        target("CPU per resumed TLS session", "tls-resumed", Proxies(OTHERS), 1.0),
        target("CPU per TLS handshake, P-256", "tls-full-ecdsa", Proxies(OTHERS), 1.0),
        target("CPU per TLS handshake, RSA-2048", "tls-full-rsa", Proxies(OTHERS), 1.0),
        target("CPU per 1 MiB over TLS", "tls-1M", Proxies(OTHERS), 1.0),
        target("KiB per idle TLS connection", "idle-tls", Nothing, 16.0),
        target("CPU per request, HTTP/2 over TLS", "h2", Proxies(OTHERS), 1.11),
        target("CPU per request, HTTP/2 in the clear", "h2c", Proxies(OTHERS), 1.11),
        target("CPU per gRPC call", "grpc", Proxies(OTHERS), 1.11),
    ]
};

fn targets(cases: &[Case], samples: &Samples) -> String {
    let find = |name: &str| cases.iter().find(|case| case.name == name);
    let mut out = String::new();
    for target in &TARGETS {
        let Some(case) = find(target.case) else { continue };
        let of = figure(&case.load).of;
        let ours = values(samples, case, "ours", of);
        let (against, measured) = match target.against {
            Against::Proxies(names) => {
                let others = names.iter().map(|name| (*name, values(samples, case, name, of)));
                let median = |values: &[f64]| Spread::of(values).map_or(f64::INFINITY, |spread| spread.median);
                let Some((name, best)) = others.min_by(|(_, a), (_, b)| median(a).total_cmp(&median(b))) else {
                    continue;
                };
                (name, ratios(&ours, &best))
            }
            Against::Case(name) => {
                let Some(other) = find(name) else { continue };
                ("ourselves", ratios(&ours, &values(samples, other, "ours", of)))
            }
            Against::Nothing => ("", Spread::of(&ours)),
        };
        let Some(measured) = measured else { continue };
        let verdict = if measured.median <= target.limit { "met" } else { "**missed**" };
        let Spread { min, median, max } = measured;
        let (what, limit) = (target.what, target.limit);
        // Writing to a String cannot fail.
        writeln!(out, "| {what} | {against} | ≤ {limit} | {median:.2} ({min:.2}–{max:.2}) | {verdict} |").ok();
    }
    out
}
