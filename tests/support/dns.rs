//! A nameserver on a port of its own, over UDP and TCP, ended on drop. What it does not
//! know does not exist. Its answers are good for one second.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;

#[derive(Clone, Copy, Debug)]
pub enum Failure {
    NxDomain,
    ServFail,
    Silent,
    /// The right answer, later.
    Slow(Duration),
}

#[derive(Default)]
struct Zone {
    /// The data of the records of a name and type.
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
    failures: HashMap<(String, u16), Failure>,
    queries: HashMap<String, usize>,
}

pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
    threads: [Option<thread::JoinHandle<()>>; 2],
}

impl Dns {
    pub fn start() -> Self {
        let (udp, tcp) = std::iter::repeat_with(bind).flatten().next().unwrap();
        let address = udp.local_addr().unwrap();
        let (zone, stop): (Arc<Mutex<Zone>>, Arc<AtomicBool>) = Default::default();
        let (known, over) = (zone.clone(), stop.clone());
        let datagrams = thread::spawn(move || serve_udp(&udp, &known, &over));
        let (known, over) = (zone.clone(), stop.clone());
        let streams = thread::spawn(move || {
            for stream in tcp.incoming().flatten().take_while(|_| !over.load(Ordering::SeqCst)) {
                let known = known.clone();
                thread::spawn(move || serve_tcp(stream, &known));
            }
        });
        Self { address, zone, stop, threads: [Some(datagrams), Some(streams)] }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_a(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.set(name, A, addresses.iter().map(|a| a.octets().to_vec()));
    }

    pub fn set_aaaa(&self, name: &str, addresses: &[Ipv6Addr]) {
        self.set(name, AAAA, addresses.iter().map(|a| a.octets().to_vec()));
    }

    pub fn set_cname(&self, name: &str, target: &str) {
        self.set(name, CNAME, [encoded(target)].into_iter());
    }

    /// Priority, weight, port and target of each.
    pub fn set_srv(&self, name: &str, services: &[(u16, u16, u16, &str)]) {
        let record = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            [&numbers(&[*priority, *weight, *port])[..], &encoded(target)].concat()
        };
        self.set(name, SRV, services.iter().map(record));
    }

    fn set(&self, name: &str, kind: u16, data: impl Iterator<Item = Vec<u8>>) {
        self.zone.lock().unwrap().records.insert((key(name), kind), data.collect());
    }

    /// For questions of every type.
    pub fn fail(&self, name: &str, failure: Failure) {
        [A, AAAA, SRV].into_iter().for_each(|kind| self.fail_type(name, kind, failure));
    }

    pub fn fail_type(&self, name: &str, kind: u16, failure: Failure) {
        self.zone.lock().unwrap().failures.insert((key(name), kind), failure);
    }

    /// No longer fails.
    pub fn heal(&self, name: &str) {
        self.zone.lock().unwrap().failures.retain(|(failing, _), _| *failing != key(name));
    }

    /// Of every type; also those that are repeated because there was no answer.
    pub fn queries(&self, name: &str) -> usize {
        self.zone.lock().unwrap().queries.get(&key(name)).copied().unwrap_or(0)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[], self.address)).ok();
        TcpStream::connect(self.address).ok();
        self.threads.iter_mut().filter_map(Option::take).for_each(|thread| drop(thread.join()));
    }
}

/// One port for both.
fn bind() -> std::io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let tcp = TcpListener::bind(udp.local_addr()?)?;
    Ok((udp, tcp))
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, stop: &AtomicBool) {
    let mut buffer = [0; 2048];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Some((mut answer, delay)) = respond(&buffer[..length], zone) else { continue };
        if answer.len() > 512 {
            // Question and the bit for "truncated" only.
            let question = length_of_name(&answer[12..]).unwrap() + 4;
            answer.truncate(12 + question);
            answer[2] |= 2;
            answer[6..8].fill(0);
        }
        let socket = socket.try_clone().unwrap();
        let send = move || {
            thread::sleep(delay);
            socket.send_to(&answer, client).ok();
        };
        if delay.is_zero() { send() } else { drop(thread::spawn(send)) }
    }
}

/// For as long as there are questions, a second apart at most.
fn serve_tcp(mut stream: TcpStream, zone: &Mutex<Zone>) {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        let answer = stream.read_exact(&mut query).ok().and_then(|()| respond(&query, zone));
        let Some((answer, delay)) = answer else { return };
        thread::sleep(delay);
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &answer].concat()).ok();
    }
}

/// The answer and how late it is; none is silence.
fn respond(query: &[u8], zone: &Mutex<Zone>) -> Option<(Vec<u8>, Duration)> {
    let end = 12 + length_of_name(query.get(12..)?)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().unwrap());
    let name = decoded(&query[12..end]);
    let mut zone = zone.lock().unwrap();
    *zone.queries.entry(name.clone()).or_default() += 1;
    let (mut code, mut delay) = (0, Duration::ZERO);
    match zone.failures.get(&(name.clone(), kind)) {
        Some(Failure::Silent) => return None,
        Some(Failure::NxDomain) => code = 3,
        Some(Failure::ServFail) => code = 2,
        Some(Failure::Slow(time)) => delay = *time,
        None => {}
    }
    let (mut count, mut answers, mut owner) = (0, Vec::new(), name.clone());
    for kind in [CNAME, kind] {
        for data in zone.records.get(&(owner.clone(), kind)).into_iter().flatten().take_while(|_| code == 0) {
            let length = u16::try_from(data.len()).unwrap();
            // Class IN, a time to live of 0 and 1.
            answers.extend([encoded(&owner), numbers(&[kind, 1, 0, 1, length]), data.clone()].concat());
            count += 1;
        }
        if let Some([target]) = zone.records.get(&(owner.clone(), CNAME)).map(Vec::as_slice) {
            owner = decoded(target);
        }
    }
    if code == 0 && !zone.records.keys().any(|(known, _)| *known == name || known.ends_with(&format!(".{name}"))) {
        code = 3;
    }
    // A response, authoritative, recursion desired and available; one question.
    let head = [&query[..2], &numbers(&[0x8580 | code, 1, count, 0, 0])].concat();
    Some(([head, query[12..end + 4].to_vec(), answers].concat(), delay))
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = key(name);
    let labels = labels.split('.').filter(|l| !l.is_empty());
    labels.flat_map(|l| [&[u8::try_from(l.len()).unwrap()], l.as_bytes()].concat()).chain([0]).collect()
}

/// With the zero at its end; questions are not compressed.
fn length_of_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while *bytes.get(at)? > 0 {
        at += 1 + usize::from(bytes[at]);
    }
    Some(at + 1)
}

fn decoded(mut bytes: &[u8]) -> String {
    let mut labels = Vec::new();
    while let [length, rest @ ..] = bytes
        && *length > 0
    {
        let (label, rest) = rest.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        bytes = rest;
    }
    labels.join(".")
}
