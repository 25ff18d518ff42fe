//! Five times as many requests as an origin serves, for a minute: nearly as many are served as without
//! the overload, and those not much later. `make overload` runs it; it takes two minutes.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until};

/// The origin works on so many requests at once, each for so long: 160 a second.
const WORKERS: usize = 32;
const SERVICE: Duration = Duration::from_millis(200);
const CAPACITY: usize = 160;
const CONNECTIONS: usize = 500;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers in turn, whoever waits.
async fn origin(listener: TcpListener) {
    let workers = Arc::new(Semaphore::new(WORKERS));
    while let Ok((stream, _)) = listener.accept().await {
        let workers = Arc::clone(&workers);
        tokio::spawn(async move {
            let mut stream = stream;
            while read_head(&mut stream).await.is_some() {
                let working = workers.acquire().await;
                sleep(SERVICE).await;
                drop(working);
                if stream.write_all(OK).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The bytes up to the end of a head, and what came with it.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => head.extend_from_slice(&piece[..read]),
            Ok(0) | Err(_) => return None,
        }
    }
    Some(head)
}

/// Reads a whole response; returns whether it is 200.
async fn read_response(stream: &mut TcpStream) -> Option<bool> {
    let mut response = read_head(stream).await?;
    let end = response.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
    let length: usize = head.split("content-length: ").nth(1)?.split('\r').next()?.parse().ok()?;
    let mut rest = vec![0; (end + length).checked_sub(response.len())?];
    stream.read_exact(&mut rest).await.ok()?;
    response.append(&mut rest);
    Some(head.starts_with("http/1.1 200 "))
}

#[derive(Debug)]
struct Outcome {
    /// Requests served, a second.
    goodput: f64,
    /// Of requests that were served.
    p99: Duration,
    refused: usize,
    broken: usize,
}

/// So many requests a second for so long, over many connections, each of which waits for its answer.
async fn load(proxy: SocketAddr, rate: usize, time: Duration) -> Outcome {
    let start = tokio::time::Instant::now();
    let (refused, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let interval = Duration::from_secs_f64(CONNECTIONS as f64 / rate as f64);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (refused, broken) = (Arc::clone(&refused), Arc::clone(&broken));
            tokio::spawn(async move {
                let mut taken = Vec::new();
                let mut stream = TcpStream::connect(proxy).await.unwrap();
                let mut next = start + interval.mul_f64(number as f64 / CONNECTIONS as f64);
                while next < start + time {
                    sleep_until(next).await;
                    next = (next + interval).max(tokio::time::Instant::now());
                    let began = Instant::now();
                    let sent = stream.write_all(REQUEST).await;
                    match if sent.is_ok() { read_response(&mut stream).await } else { None } {
                        Some(true) => taken.push(began.elapsed()),
                        Some(false) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        None => {
                            broken.fetch_add(1, Ordering::Relaxed);
                            stream = TcpStream::connect(proxy).await.unwrap();
                        }
                    }
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for client in clients {
        taken.extend(client.await.unwrap());
    }
    taken.sort();
    Outcome {
        goodput: taken.len() as f64 / start.elapsed().as_secs_f64(),
        p99: taken[taken.len() * 99 / 100],
        refused: refused.load(Ordering::Relaxed),
        broken: broken.load(Ordering::Relaxed),
    }
}

fn try_overload(concurrency: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(origin(listener));
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nlog: {{ access: {{ to: off }} }}\nroutes: [{{ concurrency: {{ {concurrency} }}, upstream: '{address}' }}]\n"
    ));
    let seconds = std::env::var("OVERLOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let calm = runtime.block_on(load(proxy.address, CAPACITY * 95 / 100, Duration::from_secs(15)));
    let over = runtime.block_on(load(proxy.address, CAPACITY * 5, Duration::from_secs(seconds)));
    // `make overload` shows them.
    std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("{concurrency}\n  calm: {calm:?}\n  over: {over:?}\n").as_bytes(),
    )
    .unwrap();
    // With `RUST_LOG=proxy_service::upstream::concurrency=debug` it has every change of the limit.
    if let Ok(file) = std::env::var("OVERLOAD_LOG") {
        std::fs::write(format!("{file}-{}", concurrency.len()), proxy.read("stderr")).unwrap();
    }
    assert_eq!((calm.broken, over.broken), (0, 0));
    assert!(over.refused > calm.refused, "no overload: {calm:?} {over:?}");
    assert!(over.goodput >= 0.9 * calm.goodput, "goodput: {calm:?} {over:?}");
    assert!(over.p99 <= 2 * calm.p99, "p99: {calm:?} {over:?}");
}

#[test]
#[ignore = "takes more than a minute: `make overload`"]
fn a_limit_that_is_found_carries_an_overload() {
    try_overload("max: auto");
}

#[test]
#[ignore = "takes more than a minute: `make overload`"]
fn a_limit_that_is_stated_carries_an_overload() {
    try_overload("max: 36");
}
