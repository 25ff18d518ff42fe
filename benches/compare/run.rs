//! The comparison itself: each case in several rounds, the candidates in turn, each
//! measurement on a proxy that was started for it.

use std::thread;
use std::time::Duration;

use crate::behind::Behind;
use crate::candidate::{Candidate, Running, Setup};
use crate::cases::{self, Case, Workload};
use crate::certificates;
use crate::error::Result;
use crate::folder::Folder;
use crate::front::Front;
use crate::kind::Kind;
use crate::load::{self, Connections, Outcome, Shape, Target};
use crate::origin_process::Origin;
use crate::plan::Plan;
use crate::samples::{Sample, Samples};
use crate::{measure, report};

pub fn compare(plan: &Plan) -> Result<()> {
    load::raise_file_limit()?;
    let candidates = candidates(plan)?;
    let cases = chosen(&plan.cases)?;
    let origin = Origin::start(cases.iter().map(|case| case.servers).max().unwrap_or(1))?;
    let bench = Bench { origin, certificates: certificates::make()?, time: Duration::from_secs_f64(plan.seconds) };
    let rate = match plan.rate {
        Some(rate) => rate,
        None => half_of_saturation(&candidates, &cases, &bench)?,
    };
    let mut comparison = Comparison { candidates, bench, rate, samples: Samples::new() };
    for together in cases.chunk_by(|_, next| next.beside) {
        for round in 0..plan.rounds {
            together.iter().for_each(|case| comparison.take_turns(case, round));
        }
    }
    let Comparison { candidates, samples, .. } = comparison;
    let text = report::tables(&candidates, &cases, &samples, plan, rate);
    println!("\n{text}");
    if plan.write { report::write(&text, &candidates, &samples) } else { Ok(()) }
}

/// What all measurements have in common.
struct Bench {
    origin: Origin,
    certificates: Folder,
    /// Of one measurement.
    time: Duration,
}

struct Comparison {
    candidates: Vec<Candidate>,
    bench: Bench,
    /// Requests a second of the case `tail`.
    rate: f64,
    samples: Samples,
}

impl Comparison {
    fn take_turns(&mut self, case: &Case, round: usize) {
        println!("{}: {}", case.name, case.what);
        let asked: Vec<_> = self.candidates.iter().filter(|candidate| case.includes(&candidate.kind)).collect();
        // The candidates take turns at being the first after a pause.
        for n in 0..asked.len() {
            let candidate = asked[(n + round) % asked.len()];
            match measured(case, candidate, &self.bench, self.rate) {
                Ok(sample) => {
                    println!("  {:>8} {}", candidate.name, report::line(case, &sample));
                    self.samples.entry((case.name, candidate.name.clone())).or_default().push(sample);
                }
                // The other candidates are measured all the same.
                Err(e) => println!("  {:>8} failed: {e}", candidate.name),
            }
        }
    }
}

fn candidates(plan: &Plan) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for name in &plan.proxies {
        match Candidate::find(name, &plan.binary) {
            Ok(candidate) => found.push(candidate),
            Err(missing) => eprintln!("{missing}"),
        }
    }
    if found.is_empty() { Err("there is no candidate".into()) } else { Ok(found) }
}

fn chosen(names: &[String]) -> Result<Vec<Case>> {
    let all = cases::all();
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|case| case.name == **name)) {
        let known: Vec<_> = all.iter().map(|case| case.name).collect();
        return Err(format!("no case is called `{unknown}`; there are {}", known.join(", ")).into());
    }
    Ok(all.into_iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name)).collect())
}

fn setup(case: &Case, bench: &Bench) -> Setup {
    let servers = match case.behind {
        Behind::Http1 => bench.origin.servers.iter().take(case.servers).copied().collect(),
        Behind::Grpc => vec![bench.origin.grpc],
    };
    let Case { threads, routes, log, front, behind, .. } = *case;
    Setup { threads, servers, routes, log, front, behind, certificates: bench.certificates.0.clone() }
}

/// The proxy as the clients of the case see it.
fn target(case: &Case, proxy: &Running, bench: &Bench) -> Result<Target> {
    let Front::Tls(key) = case.front else { return Ok(Target::clear(proxy.address)) };
    let (protocol, sessions) = match &case.load {
        Workload::Multiplex(_) => ("h2", 0),
        Workload::Saturate(shape) if shape.connections == Connections::Resumed => ("http/1.1", shape.clients),
        Workload::Saturate(_) | Workload::Pace(_) | Workload::Tunnels(_) | Workload::Idle(_) => ("http/1.1", 0),
    };
    Target::tls(proxy.address, &key.files(&bench.certificates.0).cert, protocol, sessions)
}

fn half_of_saturation(candidates: &[Candidate], cases: &[Case], bench: &Bench) -> Result<f64> {
    let Some(case) = cases.iter().find(|case| matches!(case.load, Workload::Pace(_))) else { return Ok(0.0) };
    let ours = candidates.iter().find(|candidate| matches!(candidate.kind, Kind::Ours(_)));
    let ours = ours.or(candidates.first()).ok_or("there is no candidate")?;
    let running = ours.start(&setup(case, bench))?;
    let outcome = load::saturate(&Target::clear(running.address), &Shape::SMALL, bench.time)?;
    Ok((per_second(&outcome) / 2.0).round())
}

fn measured(case: &Case, candidate: &Candidate, bench: &Bench, rate: f64) -> Result<Sample> {
    let running = candidate.start(&setup(case, bench))?;
    let target = target(case, &running, bench)?;
    let sample = take(case, &running, &target, bench.time, rate)?;
    if (case.log && candidate.kind.logs()) != (running.logged() > 0) {
        return Err(format!("{} bytes of an access log", running.logged()).into());
    }
    Ok(sample)
}

fn take(case: &Case, proxy: &Running, target: &Target, time: Duration, rate: f64) -> Result<Sample> {
    let warm_up = time.min(Duration::from_millis(300));
    let apply = |time| match &case.load {
        Workload::Saturate(shape) => load::saturate(target, shape, time),
        Workload::Pace(shape) => load::pace(proxy.address, shape, rate, time),
        Workload::Tunnels(tunnels) => load::exchange(proxy.address, *tunnels, time),
        Workload::Multiplex(streams) => load::multiplex(target, *streams, time),
        Workload::Idle(_) => Ok(Outcome::default()),
    };
    if let Workload::Idle(count) = case.load {
        return idle(proxy, target, count);
    }
    apply(warm_up)?;
    let before = measure::processor_time(proxy.pid());
    let outcome = apply(time)?;
    let spent = measure::processor_time(proxy.pid()) - before;
    if outcome.done == 0 {
        return Err(format!("{}: nothing was answered", case.name).into());
    }
    let at = |share| f64::from(crate::statistics::percentile(&outcome.latencies, share)) / 1000.0;
    #[allow(clippy::cast_precision_loss)]
    let cpu = spent.as_secs_f64() * 1e6 / outcome.done as f64;
    Ok(Sample {
        cpu,
        rate: per_second(&outcome),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        errors: outcome.errors,
        memory: 0.0,
    })
}

#[allow(clippy::cast_precision_loss)]
fn per_second(outcome: &Outcome) -> f64 {
    outcome.done as f64 / outcome.took.as_secs_f64().max(f64::EPSILON)
}

#[allow(clippy::cast_precision_loss)]
fn idle(proxy: &Running, target: &Target, count: usize) -> Result<Sample> {
    // What the first connections allocate once is not counted.
    drop(load::hold(target, 50)?);
    thread::sleep(Duration::from_millis(200));
    let before = measure::memory(proxy.pid());
    let held = load::hold(target, count)?;
    thread::sleep(Duration::from_millis(500));
    let after = measure::memory(proxy.pid());
    drop(held);
    Ok(Sample { memory: after.saturating_sub(before) as f64 / count as f64, ..Sample::default() })
}
