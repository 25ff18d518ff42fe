//! Something that answers as the store of a limit would, or does not.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it says to whoever asks whether a request passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It passes, with this debt in microseconds.
    Passes(u64),
    /// It does not.
    Refused(u64),
    Error(&'static str),
    Nothing,
}

pub struct FakeStore {
    pub address: SocketAddr,
    says: Arc<Mutex<Says>>,
    /// The keys that it was asked for, probes apart.
    keys: Arc<Mutex<Vec<String>>>,
}

impl FakeStore {
    pub fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store = Self { address, says: Arc::new(Mutex::new(says)), keys: Arc::default() };
        let (says, keys) = (Arc::clone(&store.says), Arc::clone(&store.keys));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (says, keys) = (Arc::clone(&says), Arc::clone(&keys));
                thread::spawn(move || serve(&stream, &says, &keys));
            }
        });
        store
    }

    pub fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}

fn serve(mut stream: &TcpStream, says: &Mutex<Says>, keys: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let words = command(&mut reader)?;
        if words[0] != "EVALSHA" {
            stream.write_all(b"+OK\r\n").ok()?;
            continue;
        }
        let is_probe = words[3].ends_with("probe");
        if !is_probe {
            keys.lock().unwrap().push(words[3].clone());
        }
        let says = says.lock().unwrap().clone();
        let answer = match says {
            Says::Passes(debt) => format!("*2\r\n:1\r\n:{debt}\r\n"),
            // The probe of a connection is about something else.
            Says::Refused(debt) => format!("*2\r\n:{}\r\n:{debt}\r\n", u8::from(is_probe)),
            Says::Error(text) => format!("-{text}\r\n"),
            Says::Nothing => continue,
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// One command: a list of texts.
fn command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim_end().get(1..)?.parse::<usize>().ok()
    };
    let count = number(reader)?;
    let text = |_| {
        let mut bytes = vec![0; number(reader)? + 2];
        reader.read_exact(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned())
    };
    (0..count).map(text).collect()
}
