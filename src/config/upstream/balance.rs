//! `balance`: how a server is chosen for a request.

use crate::config::section::{AsSection, Form, Value, Word, WordsOr, section};
use crate::config::value::KeySource;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    LeastConn,
    P2c,
    Random,
    Hash(KeySource),
}

impl Value for Balance {
    fn form() -> impl Form<Self> {
        let word = |word, doc| Word { word, doc };
        WordsOr {
            words: [
                (Self::RoundRobin, word("round_robin", "Each in turn, by weight.")),
                (Self::LeastConn, word("least_conn", "The one with the fewest requests for its weight.")),
                (Self::P2c, word("p2c", "The less busy of two random ones.")),
                (Self::Random, word("random", "A random one, by weight.")),
                (Self::Hash(KeySource::ClientIp), word("ip_hash", "The same one for the same client address.")),
            ],
            form: AsSection,
            wrap: |by: HashBy| Self::Hash(by.hash),
            unwrap: |balance| match balance {
                Self::RoundRobin | Self::LeastConn | Self::P2c | Self::Random | Self::Hash(KeySource::ClientIp) => None,
                Self::Hash(hash) => Some(HashBy { hash: hash.clone() }),
            },
        }
    }
}

section! {
    /// The same server for the same key.
    #[derive(Clone, Debug)]
    "`balance`" pub struct HashBy {
        /// `header:name`, `cookie:name`, `query:name`, `path` or `client_ip`: requests with the same value go to the same server.
        hash: KeySource, required "\"header:x-user\"";
    }
}
