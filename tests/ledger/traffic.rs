//! Traffic of every kind at once, until it is told to stop, and what was lost of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::wire::{Book, Client, Loss, body};

/// The kinds of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A connection for each request.
    Fresh,
    /// Requests one after the other on a connection.
    KeepAlive,
    /// 0.1 to 5 s between two requests.
    Thinking,
    Post,
    /// The head in two halves, seconds apart.
    Half,
    SlowDownload,
    SlowUpload,
    Tunnel,
}

/// How many clients there are of each kind, and how fast the busy ones are.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub keep_alive: usize,
    pub thinking: usize,
    pub others: usize,
    /// Between two requests of a busy client.
    pub pause: Duration,
    /// Of a slow transfer.
    pub slow: Duration,
}

#[derive(Debug, Default)]
pub struct Report {
    pub requests: BTreeMap<Kind, u64>,
    pub losses: BTreeMap<(Kind, Loss), u64>,
    /// The first of them: when, since the traffic began, and how long after its request did.
    pub examples: Vec<(Kind, Loss, Duration, Duration)>,
    pub slowest: Duration,
}

impl Report {
    pub fn lost(&self) -> u64 {
        self.losses.values().sum()
    }

    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests, {} lost, slowest {:?}", self.total(), self.lost(), self.slowest)?;
        for (kind, count) in &self.requests {
            write!(f, "\n    {kind:?}: {count}")?;
            for ((_, loss), count) in self.losses.iter().filter(|((of, _), _)| of == kind) {
                write!(f, ", {loss:?} {count}")?;
            }
        }
        for (kind, loss, at, after) in &self.examples {
            write!(f, "\n    at {at:?}: {kind:?} {loss:?}, {after:?} after its request began")?;
        }
        Ok(())
    }
}

/// What all clients share.
pub struct Traffic {
    address: SocketAddr,
    book: Book,
    load: Load,
    began: Instant,
    next: AtomicU64,
    stop: AtomicBool,
    report: Mutex<Report>,
    posted: Mutex<Vec<u64>>,
}

impl Traffic {
    /// Starts every client; [`Self::finish`] ends them.
    pub fn start(address: SocketAddr, book: Book, load: Load) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let traffic = Arc::new(Self {
            address,
            book,
            load,
            began: Instant::now(),
            next: AtomicU64::new(1),
            stop: AtomicBool::new(false),
            report: Mutex::default(),
            posted: Mutex::default(),
        });
        let kinds = [
            (Kind::Fresh, load.others),
            (Kind::KeepAlive, load.keep_alive),
            (Kind::Thinking, load.thinking),
            (Kind::Post, load.others),
            (Kind::Half, load.others),
            (Kind::SlowDownload, load.others),
            (Kind::SlowUpload, load.others),
            (Kind::Tunnel, load.others),
        ];
        let clients = kinds.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
        let tasks = clients.map(|kind| tokio::spawn(traffic.clone().client(kind))).collect();
        (traffic, tasks)
    }

    /// Lets every client end its request, and compares the books.
    pub async fn finish(&self, tasks: Vec<tokio::task::JoinHandle<()>>) -> Report {
        self.stop.store(true, Ordering::SeqCst);
        for task in tasks {
            task.await.unwrap();
        }
        let mut report = std::mem::take(&mut *self.report.lock().unwrap());
        let book = self.book.lock().unwrap();
        let mut lose = |loss, count: u64| {
            if count > 0 {
                *report.losses.entry((Kind::Post, loss)).or_default() += count;
            }
        };
        lose(Loss::Duplicated, book.values().filter(|times| **times > 1).count() as u64);
        let missing = self.posted.lock().unwrap().iter().filter(|number| !book.contains_key(number)).count();
        lose(Loss::Missing, missing as u64);
        report
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, kind: Kind, began: Instant, outcome: Result<(), Loss>) {
        let mut report = self.report.lock().unwrap();
        *report.requests.entry(kind).or_default() += 1;
        let took = began.elapsed();
        let quick = matches!(kind, Kind::Fresh | Kind::KeepAlive | Kind::Thinking | Kind::Post);
        let loss = match outcome {
            Err(loss) => Some(loss),
            Ok(()) if quick && took > Duration::from_secs(1) => Some(Loss::OverOneSecond),
            Ok(()) => None,
        };
        if quick {
            report.slowest = report.slowest.max(took);
        }
        if let Some(loss) = loss {
            if report.examples.len() < 10 {
                report.examples.push((kind, loss, self.began.elapsed(), took));
            }
            *report.losses.entry((kind, loss)).or_default() += 1;
        }
    }

    async fn client(self: Arc<Self>, kind: Kind) {
        let mut connection = None;
        // So that they do not all begin at once.
        tokio::time::sleep(Duration::from_millis(self.number() * 7 % 400)).await;
        while self.goes_on() {
            let began = Instant::now();
            let outcome = self.request(kind, &mut connection).await;
            if outcome.is_err() {
                connection = None;
            }
            self.note(kind, began, outcome);
            let pause = match kind {
                Kind::Thinking => Duration::from_millis(100 + self.number() * 7919 % 4900),
                Kind::Fresh | Kind::KeepAlive | Kind::Post => self.load.pause,
                Kind::Half | Kind::SlowDownload | Kind::SlowUpload | Kind::Tunnel => Duration::from_millis(20),
            };
            let end = Instant::now() + pause;
            while self.goes_on() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(50).min(end - Instant::now())).await;
            }
        }
    }

    async fn request(&self, kind: Kind, kept: &mut Option<Client>) -> Result<(), Loss> {
        let number = self.number();
        let mut client = match kept.take() {
            Some(client) => client,
            None => Client::connect(self.address).await?,
        };
        let last = match kind {
            Kind::Fresh | Kind::KeepAlive | Kind::Thinking => get(&mut client, number, 700, 0).await?,
            Kind::SlowDownload => get(&mut client, number, 40 * 1024, self.load.slow.as_millis() as u64 / 40).await?,
            Kind::Half => half(&mut client, number).await?,
            Kind::Post => self.post(&mut client, number, 900, Duration::ZERO).await?,
            Kind::SlowUpload => self.post(&mut client, number, 40 * 1024, self.load.slow).await?,
            Kind::Tunnel => return self.tunnel(client, number).await,
        };
        if !last && kind != Kind::Fresh {
            *kept = Some(client);
        }
        Ok(())
    }

    async fn post(&self, client: &mut Client, number: u64, length: usize, over: Duration) -> Result<bool, Loss> {
        let head = format!("POST /post/{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.send(head.as_bytes()).await?;
        let body = body(number, length);
        let pieces = body.chunks(1024);
        let pause = over / u32::try_from(pieces.len()).unwrap();
        for piece in pieces {
            client.send(piece).await?;
            tokio::time::sleep(pause).await;
        }
        let answer = client.answer().await?;
        if answer.body != format!("{number} true").as_bytes() {
            return Err(Loss::Mismatch);
        }
        self.posted.lock().unwrap().push(number);
        Ok(answer.last)
    }

    /// Echoes until the end of the traffic: a tunnel outlives any upgrade.
    async fn tunnel(&self, mut client: Client, number: u64) -> Result<(), Loss> {
        let head = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.send(head.as_bytes()).await?;
        if client.head().await?.0 != 101 {
            return Err(Loss::Mismatch);
        }
        let mut word = number;
        while self.goes_on() {
            word = word.wrapping_add(1);
            client.send(&body(word, 200)).await?;
            if client.exactly(200).await? != body(word, 200) {
                return Err(Loss::Mismatch);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

async fn get(client: &mut Client, number: u64, length: usize, pause: u64) -> Result<bool, Loss> {
    let head = format!("GET /get/{number}/{length}/{pause} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(head.as_bytes()).await?;
    whole(client, number, length).await
}

async fn half(client: &mut Client, number: u64) -> Result<bool, Loss> {
    client.send(format!("GET /get/{number}/300/0 HTTP/1.1\r\nHo").as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(1000 + number % 7 * 300)).await;
    client.send(b"st: a\r\n\r\n").await?;
    whole(client, number, 300).await
}

async fn whole(client: &mut Client, number: u64, length: usize) -> Result<bool, Loss> {
    let answer = client.answer().await?;
    if answer.body != body(number, length) {
        return Err(Loss::Mismatch);
    }
    Ok(answer.last)
}
