//! Traffic of every kind at once, until it is told to stop, and what was lost of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::bystander::Bystander;
use super::client::{Client, GoesOn, STREAMS};
use super::http2::NotAnswered;
use super::support::front::Front;
use super::wire::{Book, Loss, body};

/// Clients do not all begin at once.
pub const BEGINNING: Duration = Duration::from_secs(2);

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

/// How many clients there are of each kind, how fast the busy ones are, and where they connect.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub front: Front,
    pub address: SocketAddr,
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
    pub requests: BTreeMap<(Front, Kind), u64>,
    pub losses: BTreeMap<((Front, Kind), Loss), u64>,
    /// Requests that the proxy did not take, and said so: they were asked again elsewhere.
    pub not_taken: u64,
    /// The first losses: when, since the traffic began, and how long after its request did.
    pub examples: Vec<((Front, Kind), Loss, Duration, Duration)>,
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
        let (total, lost) = (self.total(), self.lost());
        write!(f, "{total} requests, {lost} lost, {} not taken, slowest {:?}", self.not_taken, self.slowest)?;
        for (kind, count) in &self.requests {
            write!(f, "\n    {:?} {:?}: {count}", kind.0, kind.1)?;
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
    book: Book,
    bystander: Bystander,
    began: Instant,
    next: AtomicU64,
    stop: AtomicBool,
    report: Mutex<Report>,
    posted: Mutex<Vec<u64>>,
    not_taken: Mutex<Vec<u64>>,
}

/// Of a new connection's first request: a handshake, a preface, the request itself. Each waits for the machine as
/// long as a bystander's only one.
const ROUND_TRIPS: u32 = 3;

impl Traffic {
    /// Starts every client of every load; [`Self::finish`] ends them.
    pub fn start(book: Book, loads: &[Load], bystander: Bystander) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        // The numbers begin anew.
        book.lock().unwrap().begun.clear();
        let traffic = Arc::new(Self {
            book,
            bystander,
            began: Instant::now(),
            next: AtomicU64::new(1),
            stop: AtomicBool::new(false),
            report: Mutex::default(),
            posted: Mutex::default(),
            not_taken: Mutex::default(),
        });
        let clients = loads.iter().flat_map(|load| load.clients().map(|kind| (*load, kind)));
        let tasks = clients.map(|(load, kind)| tokio::spawn(traffic.clone().client(load, kind))).collect();
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
        let mut lose = |loss, count: usize| {
            if count > 0 {
                *report.losses.entry(((Front::Http1, Kind::Post), loss)).or_default() += count as u64;
            }
        };
        lose(Loss::Duplicated, book.posts.values().filter(|times| **times > 1).count());
        let missing = self.posted.lock().unwrap().iter().filter(|number| !book.posts.contains_key(number)).count();
        lose(Loss::Missing, missing);
        let not_taken = self.not_taken.lock().unwrap();
        lose(Loss::TakenBack, not_taken.iter().filter(|number| book.begun.contains(number)).count());
        report.not_taken = not_taken.len() as u64;
        report
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, front: Front, kind: Kind, began: Instant, outcome: Result<u64, Loss>) {
        let mut report = self.report.lock().unwrap();
        *report.requests.entry((front, kind)).or_default() += outcome.unwrap_or(1);
        let took = began.elapsed();
        let quick = matches!(kind, Kind::Fresh | Kind::KeepAlive | Kind::Thinking | Kind::Post);
        let loss = match outcome {
            Err(loss) => Some(loss),
            Ok(_) if quick && took > Duration::from_secs(1) + ROUND_TRIPS * self.bystander.longest(began) => {
                Some(Loss::OverOneSecond)
            }
            Ok(_) => None,
        };
        if quick {
            report.slowest = report.slowest.max(took);
        }
        if let Some(loss) = loss {
            if report.examples.len() < 10 {
                report.examples.push(((front, kind), loss, self.began.elapsed(), took));
            }
            *report.losses.entry(((front, kind), loss)).or_default() += 1;
        }
    }

    async fn client(self: Arc<Self>, load: Load, kind: Kind) {
        let mut connection = None;
        tokio::time::sleep(BEGINNING * u32::try_from(self.number() * 7 % 400).unwrap() / 400).await;
        while self.goes_on() {
            let began = Instant::now();
            let outcome = self.request(&load, kind, &mut connection).await;
            if outcome.is_err() {
                connection = None;
            }
            self.note(load.front, kind, began, outcome);
            let pause = match kind {
                Kind::Thinking => Duration::from_millis(100 + self.number() * 7919 % 4900),
                Kind::Fresh | Kind::KeepAlive | Kind::Post => load.pause,
                Kind::Half | Kind::SlowDownload | Kind::SlowUpload | Kind::Tunnel => Duration::from_millis(20),
            };
            let end = Instant::now() + pause;
            while self.goes_on() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(50).min(end - Instant::now())).await;
            }
        }
    }

    /// How many requests were answered. One that the proxy did not take is asked again on another
    /// connection, under another number.
    async fn request(&self, load: &Load, kind: Kind, kept: &mut Option<Client>) -> Result<u64, Loss> {
        let at_once = if kind == Kind::KeepAlive && load.front.is_http2() { STREAMS } else { 1 };
        let mut left = at_once;
        for _ in 0..3 {
            let numbers: Vec<u64> = (0..left).map(|_| self.number()).collect();
            let mut client = match kept.take() {
                Some(client) => client,
                None => Client::connect(load.address, load.front).await?,
            };
            let outcomes = match (kind, numbers.as_slice()) {
                (Kind::KeepAlive, numbers) => client.get_all(numbers, 700).await,
                (Kind::Tunnel, _) => return self.tunnel(client, self.number()).await,
                (kind, numbers) => vec![self.ask(load, kind, &mut client, numbers.first().copied().unwrap()).await],
            };
            let lost = outcomes.iter().find_map(|outcome| match outcome {
                Err(NotAnswered::Lost(loss)) => Some(*loss),
                Err(NotAnswered::NotTaken) | Ok(_) => None,
            });
            if let Some(loss) = lost {
                return Err(loss);
            }
            let not_taken = numbers.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_err());
            let not_taken: Vec<u64> = not_taken.map(|(number, _)| *number).collect();
            if not_taken.is_empty() {
                let goes_on = kind != Kind::Fresh && outcomes.iter().all(|outcome| *outcome == Ok(true));
                *kept = goes_on.then_some(client);
                return Ok(at_once);
            }
            left = not_taken.len() as u64;
            self.not_taken.lock().unwrap().extend(not_taken);
        }
        Err(Loss::Refused)
    }

    async fn ask(&self, load: &Load, kind: Kind, client: &mut Client, number: u64) -> Result<GoesOn, NotAnswered> {
        match kind {
            Kind::Fresh | Kind::Thinking | Kind::KeepAlive | Kind::Tunnel => client.get(number, 700, 0).await,
            Kind::SlowDownload => client.get(number, 40 * 1024, load.slow.as_millis() as u64 / 40).await,
            Kind::Half => client.half(number).await,
            Kind::Post => Ok(self.posted(client.post(number, 900, Duration::ZERO).await?, number)),
            Kind::SlowUpload => Ok(self.posted(client.post(number, 40 * 1024, load.slow).await?, number)),
        }
    }

    fn posted(&self, goes_on: GoesOn, number: u64) -> GoesOn {
        self.posted.lock().unwrap().push(number);
        goes_on
    }

    /// Echoes until the end of the traffic: a tunnel outlives any upgrade.
    async fn tunnel(&self, client: Client, number: u64) -> Result<u64, Loss> {
        let mut echoes = match client.tunnel().await {
            Ok(echoes) => echoes,
            Err(NotAnswered::Lost(loss)) => return Err(loss),
            // Another one is asked for in a moment.
            Err(NotAnswered::NotTaken) => return Ok(0),
        };
        let mut word = number;
        while self.goes_on() {
            word = word.wrapping_add(1);
            echoes.echo(&body(word, 200)).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(1)
    }
}

impl Load {
    fn clients(&self) -> impl Iterator<Item = Kind> {
        [
            (Kind::Fresh, self.others),
            (Kind::KeepAlive, self.keep_alive),
            (Kind::Thinking, self.thinking),
            (Kind::Post, self.others),
            (Kind::Half, self.others),
            (Kind::SlowDownload, self.others),
            (Kind::SlowUpload, self.others),
            (Kind::Tunnel, self.others),
        ]
        .into_iter()
        .flat_map(|(kind, count)| std::iter::repeat_n(kind, count))
    }
}
