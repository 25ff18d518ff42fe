//! The ledger: traffic of every kind over every front, each request counted and hashed and none
//! tried twice, while the proxy under it is upgraded, reloaded and given new certificates again and
//! again.
//!
//! The short form is part of the suite. `make ledger` runs the long one (a hundred
//! upgrades), and measures beside it what a plain restart and the reloads of nginx and
//! HAProxy lose under the same load.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stdout)] // the long form is read by a person

#[path = "ledger/bystander.rs"]
mod bystander;
#[path = "ledger/client.rs"]
mod client;
#[path = "ledger/http2.rs"]
mod http2;
#[path = "ledger/traffic.rs"]
mod traffic;
#[path = "ledger/wire.rs"]
mod wire;

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use bystander::Bystander;
use support::front::{Front, renew_certificate, write_certificate};
use support::{BINARY, Folder, Process, Proxy};
use traffic::{Load, Report, Traffic};
use wire::Origin;

/// At about half of what the machine can do; the pause is found by trying.
fn load(address: SocketAddr, pause: Duration, slow: Duration) -> Load {
    Load { front: Front::Http1, address, keep_alive: 100, thinking: 100, others: 8, pause, slow }
}

/// So many clients of each kind over each of the other fronts, beside those: not as many, because
/// all of them shake hands anew at each upgrade.
fn loads(load: Load, tls: SocketAddr, clients: usize) -> Vec<Load> {
    let beside = |front: Front| Load {
        front,
        address: if front.is_tls() { tls } else { load.address },
        keep_alive: 4 * clients,
        thinking: 4 * clients,
        others: clients,
        ..load
    };
    std::iter::once(load).chain([Front::Http1Tls, Front::H2c, Front::Http2].map(beside)).collect()
}

/// So many requests are asked in each pause, or what costs as much: 116 clients of HTTP/1 in the
/// clear are busy, those that keep a connection and two kinds beside them; over the other fronts,
/// where a request costs more, it is about as many.
const BUSY: f64 = 250.0;

/// Requests per second of all busy clients without a pause, for one second.
async fn saturation(address: SocketAddr, origin: &Origin) -> f64 {
    let none = load(address, Duration::ZERO, Duration::ZERO);
    let load = Load { keep_alive: 32, thinking: 0, others: 0, ..none };
    let began = Instant::now();
    let (traffic, tasks) = Traffic::start(origin.book.clone(), &[load], Bystander::default());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let report = traffic.finish(tasks).await;
    report.total() as f64 / began.elapsed().as_secs_f64()
}

async fn half_load(address: SocketAddr, origin: &Origin, slow: Duration) -> Load {
    let most = saturation(address, origin).await;
    let pause = Duration::from_secs_f64((BUSY / (most / 2.0)).clamp(0.01, 0.5));
    load(address, pause, slow)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// One port for HTTP/1 and HTTP/2 in the clear, and `tls` for both over TLS.
fn yaml(origin: &Origin, tls: SocketAddr, word: &str, threads: u32) -> String {
    let (clear, secure) = (Front::H2c.listener("{listen}"), Front::Http2.listener(&tls.to_string()));
    format!(
        "server: {{ threads: {threads}, drain: {{ tunnels: 1h }}, upgrade: {{ probation: 30s }} }}\nlog: {{ access: {{ to: off }} }}\nlisteners:\n  - {clear}\n  - {secure}\nupstreams:\n  a: {{ servers: ['{0}'] }}\nroutes:\n  - upstream: a\n  - match: {{ path: /{word} }}\n    respond: {{ status: 204 }}\n",
        origin.address
    )
}

fn start(yaml: &str) -> Proxy {
    Proxy::start_program(yaml, |folder| {
        write_certificate(folder);
        BINARY.into()
    })
}

/// The process that the control socket answers for.
struct Generations<'p> {
    proxy: &'p Proxy,
    newest: Option<u32>,
}

impl Generations<'_> {
    fn upgrade(&mut self) {
        let (code, text) = self.proxy.order("upgrade");
        assert_eq!(code, 0, "{text}\n{}", self.proxy.read("stderr"));
        self.newest = text.split(' ').nth(1).and_then(|pid| pid.parse().ok());
        assert!(self.newest.is_some(), "{text}");
    }
}

impl Drop for Generations<'_> {
    fn drop(&mut self) {
        if self.newest.is_some() {
            self.proxy.order("stop");
        }
    }
}

/// A number from `least` to `most`, another one each time.
fn between(least: Duration, most: Duration, step: u32) -> Duration {
    let spread = (most - least).as_millis() as u64;
    least + Duration::from_millis(u64::from(step).wrapping_mul(2_654_435_761) % spread.max(1))
}

fn upgrades(times: u32, clients: usize, least: Duration, most: Duration) -> Report {
    let runtime = runtime();
    let origin = runtime.block_on(Origin::start());
    let tls: SocketAddr = ([127, 0, 0, 1], support::free_port()).into();
    let proxy = start(&yaml(&origin, tls, "first", 2));
    let mut generations = Generations { proxy: &proxy, newest: None };
    // Slow transfers live through several upgrades.
    let slow = (most * 3).min(Duration::from_secs(20));
    let load = runtime.block_on(half_load(proxy.address, &origin, slow));
    let beside = Proxy::start(&format!("listeners: ['{{listen}}']\nroutes: [{{ upstream: '{}' }}]\n", origin.address));
    let (bystander, bystanders) = runtime.block_on(async { Bystander::start(beside.address) });
    let (traffic, tasks) =
        runtime.block_on(async { Traffic::start(origin.book.clone(), &loads(load, tls, clients), bystander) });
    std::thread::sleep(traffic::BEGINNING);
    for step in 0..times {
        std::thread::sleep(between(least, most, step));
        // Upgrades to as many threads, to fewer and to more.
        let threads = [2, 1, 3, 3][step as usize % 4];
        renew_certificate(&proxy, step as usize);
        proxy.rewrite(&yaml(&origin, tls, &format!("step-{step}"), threads));
        let (code, text) = proxy.order("reload");
        assert_eq!(code, 0, "{text}");
        generations.upgrade();
    }
    std::thread::sleep(least);
    let report = runtime.block_on(traffic.finish(tasks));
    assert!(bystanders.iter().all(|task| !task.is_finished()), "a bystander lost a request");
    bystanders.iter().for_each(tokio::task::JoinHandle::abort);
    println!("{times} upgrades, as many reloads and new certificates, a busy client each {:?}: {report}", load.pause);
    report
}

#[test]
fn twenty_upgrades_and_reloads_lose_nothing() {
    let report = upgrades(20, 1, Duration::from_millis(600), Duration::from_millis(2500));
    assert!(report.total() > 2000, "{report}");
    assert_eq!(report.lost(), 0, "{report}");
}

/// `make ledger`.
#[test]
#[ignore = "the long form: ten minutes"]
fn a_hundred_upgrades_and_reloads_lose_nothing() {
    let report = upgrades(100, 3, Duration::from_secs(2), Duration::from_secs(8));
    assert_eq!(report.lost(), 0, "{report}");
}

/// The harness has teeth: what others lose under the same load is seen.
fn compared(
    name: &str,
    address: SocketAddr,
    origin: &Origin,
    runtime: &tokio::runtime::Runtime,
    renew: impl Fn(),
) -> Report {
    let load = runtime.block_on(half_load(address, origin, Duration::from_secs(6)));
    let (traffic, tasks) =
        runtime.block_on(async { Traffic::start(origin.book.clone(), &[load], Bystander::default()) });
    for step in 0..5 {
        std::thread::sleep(between(Duration::from_secs(2), Duration::from_secs(4), step));
        renew();
    }
    std::thread::sleep(Duration::from_secs(2));
    let report = runtime.block_on(traffic.finish(tasks));
    println!("{name}, 5 times: {report}");
    report
}

#[test]
#[ignore = "part of the long form"]
fn a_plain_restart_is_seen_to_lose() {
    let runtime = runtime();
    let origin = runtime.block_on(Origin::start());
    let tls: SocketAddr = ([127, 0, 0, 1], support::free_port()).into();
    let proxy = start(&yaml(&origin, tls, "first", 2));
    let newest = std::sync::Mutex::new(None);
    let report = compared("plain restart of this proxy", proxy.address, &origin, &runtime, || {
        proxy.order("stop");
        let child =
            support::command(&proxy.folder, &["-c", "proxy.yaml"]).current_dir(&proxy.folder.0).spawn().unwrap();
        *newest.lock().unwrap() = Some(Process(child));
        support::await_until("the restart", || proxy.order("status").0 == 0);
    });
    assert!(report.lost() > 0, "{report}");
}

/// Whether there is such a program; says so where there is not.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("-v").output().is_ok();
    if !found {
        println!("{program} is not installed: not measured");
    }
    found
}

fn listening(address: SocketAddr) {
    support::await_until("the proxy", || std::net::TcpStream::connect(address).is_ok());
}

#[test]
#[ignore = "part of the long form"]
fn nginx_reloads_measured_beside() {
    if !is_installed("nginx") {
        return;
    }
    let runtime = runtime();
    let origin = runtime.block_on(Origin::start());
    let folder = Folder::new();
    let address: SocketAddr = ([127, 0, 0, 1], support::free_port()).into();
    let home = folder.0.display();
    let conf = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log;\nevents {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {home}/b; proxy_temp_path {home}/p;\nmap $http_upgrade $hop {{ default upgrade; '' ''; }}\nupstream a {{ server {}; keepalive 128; }}\nserver {{ listen {address}; location / {{ proxy_pass http://a; proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;\nproxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $hop; }} }} }}\n",
            origin.address
        ),
    );
    let nginx = |arguments: &[&str]| {
        let mut command = Command::new("nginx");
        command.args(["-p", &home.to_string(), "-c", conf.to_str().unwrap()]).args(arguments);
        command.stderr(std::process::Stdio::null());
        command
    };
    let _running = Process(nginx(&[]).spawn().unwrap());
    listening(address);
    compared("nginx -s reload", address, &origin, &runtime, || {
        assert!(nginx(&["-s", "reload"]).status().unwrap().success());
    });
    nginx(&["-s", "stop"]).status().unwrap();
}

#[test]
#[ignore = "part of the long form"]
fn haproxy_reloads_measured_beside() {
    if !is_installed("haproxy") {
        return;
    }
    let runtime = runtime();
    let origin = runtime.block_on(Origin::start());
    let folder = Folder::new();
    let address: SocketAddr = ([127, 0, 0, 1], support::free_port()).into();
    let conf = folder.write(
        "haproxy.cfg",
        &format!(
            "global\n  maxconn 8192\n  nbthread 2\n  stats socket {}/sock expose-fd listeners\ndefaults\n  mode http\n  timeout connect 3s\n  timeout client 75s\n  timeout server 75s\n  timeout tunnel 1h\nfrontend f\n  bind {address}\n  default_backend b\nbackend b\n  server a {}\n",
            folder.0.display(),
            origin.address
        ),
    );
    let child = Command::new("haproxy").args(["-W", "-f", conf.to_str().unwrap()]).spawn().unwrap();
    let running = Process(child);
    listening(address);
    compared("haproxy, USR2 to its master", address, &origin, &runtime, || support::signal(running.0.id(), "USR2"));
    support::signal(running.0.id(), "INT");
}
