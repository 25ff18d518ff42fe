//! The open sessions and their tokens.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

const MAX_SESSIONS: usize = 500;

/// Open sessions, oldest first; the oldest makes room.
#[derive(Default)]
pub(super) struct Sessions {
    open: VecDeque<(String, String)>,
}

impl Sessions {
    pub(super) fn open(&mut self, user: String) -> String {
        let token = new_token();
        self.open.push_back((token.clone(), user));
        while self.open.len() > MAX_SESSIONS {
            self.open.pop_front();
        }
        token
    }

    pub(super) fn user(&self, token: &str) -> Option<String> {
        let found = self.open.iter().find(|(open, _)| open == token);
        found.map(|(_, user)| user.clone())
    }

    pub(super) fn close(&mut self, token: &str) {
        self.open.retain(|(open, _)| open != token);
    }
}

/// 128 bits from two randomly keyed hashers.
fn new_token() -> String {
    let half = |round: u8| RandomState::new().hash_one(round);
    format!("{:016x}{:016x}", half(1), half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_finds_and_closes() {
        let mut sessions = Sessions::default();
        let first = sessions.open("ann".to_owned());
        let second = sessions.open("bob".to_owned());
        assert_ne!(first, second);
        assert_eq!(sessions.user(&first).as_deref(), Some("ann"));
        sessions.close(&first);
        assert_eq!(sessions.user(&first), None);
        assert_eq!(sessions.user(&second).as_deref(), Some("bob"));
    }
}
