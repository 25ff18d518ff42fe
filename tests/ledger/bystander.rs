//! A second proxy that nothing is done to. What its clients wait beside the others is the
//! machine's doing, and is taken off what those have waited.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::Client;
use super::support::front::Front;

const CLIENTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(25);

/// Requests that nothing but the machine delays.
#[derive(Clone, Default)]
pub struct Bystander {
    /// The latest one of each client.
    latest: Arc<Mutex<[Option<Asked>; CLIENTS]>>,
    /// Slow ones, of which the latest may be one.
    slow: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Copy)]
struct Asked {
    began: Instant,
    /// Until it was over, if it is.
    took: Option<Duration>,
}

impl Bystander {
    pub fn start(address: SocketAddr) -> (Self, Vec<tokio::task::JoinHandle<()>>) {
        let bystander = Self::default();
        let tasks = (0..CLIENTS).map(|place| tokio::spawn(bystander.clone().ask(place, address))).collect();
        (bystander, tasks)
    }

    async fn ask(self, place: usize, address: SocketAddr) {
        let mut client = Client::connect(address, Front::Http1).await.unwrap();
        // Numbers that no other client uses.
        for number in u64::MAX / 2.. {
            let began = Instant::now();
            self.latest.lock().unwrap()[place] = Some(Asked { began, took: None });
            client.get(number, 700, 0).await.unwrap();
            let asked = Asked { began, took: Some(began.elapsed()) };
            self.latest.lock().unwrap()[place] = Some(asked);
            if asked.took > Some(Duration::from_millis(50)) {
                self.slow.lock().unwrap().push(asked);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The longest that a request waited which was under way at any time since `since`.
    pub fn longest(&self, since: Instant) -> Duration {
        let took = |asked: &Asked| asked.took.unwrap_or_else(|| asked.began.elapsed());
        let latest = *self.latest.lock().unwrap();
        let slow = self.slow.lock().unwrap();
        let under_way = slow.iter().filter(|asked| asked.began + took(asked) > since);
        latest.iter().flatten().chain(under_way).map(took).max().unwrap_or_default()
    }
}
