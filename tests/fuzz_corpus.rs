//! A short run of each fuzz target on its corpus and on what a seeded mutator makes of it: the
//! same inputs every time. `FUZZ_SECONDS=600` gives each target so long, with other inputs.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails
#![allow(clippy::print_stdout)] // what was done, for who asks

use std::path::Path;
use std::time::{Duration, Instant};

use proxy_service::fuzz::{TARGETS, Target};

/// Inputs for each target where no time is given.
const ROUNDS: usize = 3_000;
const LONGEST: usize = 4096;

/// Pieces of the languages that are read here, to put in.
const WORDS: [&[u8]; 40] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"%2f",
    b"%2e",
    b"%5C",
    b"%00",
    b"%",
    b"..",
    b"//",
    b"/admin",
    b"/../",
    b"?",
    b"#",
    b"*",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"Host: a",
    b"GET /",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"\x80",
    b"\xff\xff",
    b"${",
    b"{host}",
    b"- ",
    b"PROXY TCP4 ",
];

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutated(rng: &mut fastrand::Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rng.choice(corpus).unwrap().clone();
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(..=bytes.len());
        let end = rng.usize(at..=bytes.len().min(at + 16));
        match rng.u8(..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..end, rng.choice(WORDS).unwrap().iter().copied())),
            4 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            _ => {
                // The end of another one.
                let other = rng.choice(corpus).unwrap();
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Runs one input, and shows it when it is a find.
fn try_one(target: &Target, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| (target.run)(bytes));
    assert!(outcome.is_ok(), "{}: b\"{}\"", target.name, bytes.escape_ascii());
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|bytes| try_one(target, bytes));
    let time = std::env::var("FUZZ_SECONDS").ok().map(|text| Duration::from_secs(text.parse().unwrap()));
    let mut rng = time.map_or_else(|| fastrand::Rng::with_seed(16), |_| fastrand::Rng::new());
    let (began, mut rounds) = (Instant::now(), 0);
    while time.map_or(rounds < ROUNDS, |time| began.elapsed() < time) {
        try_one(target, &mutated(&mut rng, &corpus));
        rounds += 1;
    }
    println!("{name}: {} of the corpus, {rounds} mutations", corpus.len());
}

macro_rules! runs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run_and_has_a_libfuzzer_binary() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let manifest = include_str!("../fuzz/Cargo.toml");
            assert!(names.iter().all(|name| manifest.contains(&format!("name = \"{name}\""))));
        }
    };
}

runs! {
    front_door http1_request http1_response chunked proxy_header http2_frames config_file config_values cookies paths
    queries_and_hosts tokens key_sets
}
