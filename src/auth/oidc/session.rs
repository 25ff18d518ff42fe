//! A session: who has logged in, when, and the claims that the route needs. All of it is in the cookie.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::attempt::seconds;

/// How far the clock of another proxy may be ahead, in seconds.
const LEEWAY: u64 = 60;

/// What the cookie of a session holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    #[serde(rename = "s")]
    sub: String,
    /// When it began, in seconds since 1970.
    #[serde(rename = "i")]
    begun: u64,
    /// Each claim that was wanted, also where there was none of it.
    #[serde(rename = "c")]
    claims: Vec<KeptClaim>,
}

/// A claim that was wanted, and what there was of it.
pub type KeptClaim = (String, Option<Kept>);

/// A claim that there was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Kept {
    Text(String),
    /// It cannot be told as a text.
    Untold(bool),
}

impl Kept {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Untold(_) => None,
        }
    }
}

/// Why a cookie lets nobody pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASession {
    /// It was not made here, or it lacks a claim that is wanted by now.
    Invalid,
    Expired,
}

impl Session {
    pub fn begin(sub: String, claims: Vec<KeptClaim>, now: SystemTime) -> Self {
        Self { sub, begun: seconds(now), claims }
    }

    pub fn to_text(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// `wanted`: the claims that a session has to know of; `required`: those that it has to have.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(
        text: &[u8],
        lifetime: Duration,
        wanted: &[String],
        required: &[String],
        now: SystemTime,
    ) -> Result<Self, NotASession> {
        let read: Self = serde_json::from_slice(text).map_err(|_| NotASession::Invalid)?;
        let now = seconds(now);
        if read.begun > now.saturating_add(LEEWAY) {
            return Err(NotASession::Invalid);
        }
        if now >= read.begun.saturating_add(lifetime.as_secs()) {
            return Err(NotASession::Expired);
        }
        let knows = |name: &String| read.claims.iter().any(|(claim, _)| claim == name);
        let has = |name: &String| read.claims.iter().any(|(claim, value)| claim == name && value.is_some());
        if wanted.iter().all(knows) && required.iter().all(has) { Ok(read) } else { Err(NotASession::Invalid) }
    }

    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.iter().find(|(claim, _)| claim == name)?.1.as_ref()?.text()
    }

    /// Each claim that there is, `sub` among them.
    pub fn into_claims(self) -> Vec<(String, String)> {
        let has_sub = self.claims.iter().any(|(name, _)| name == "sub");
        let sub = (!has_sub).then(|| ("sub".to_owned(), self.sub));
        let text = |(name, kept): KeptClaim| match kept? {
            Kept::Text(text) => Some((name, text)),
            Kept::Untold(_) => None,
        };
        self.claims.into_iter().filter_map(text).chain(sub).collect()
    }
}

/// The claim that takes the most room, with its length in bytes.
pub fn largest(claims: &[KeptClaim]) -> Option<(&str, usize)> {
    let length = |value: &Option<Kept>| value.as_ref().and_then(Kept::text).map_or(0, str::len);
    claims.iter().map(|(name, value)| (name.as_str(), length(value))).max_by_key(|(_, length)| *length)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_session_ends_and_has_what_is_wanted() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
        let mail = Some(Kept::Text("a@b".to_owned()));
        let claims =
            vec![("mail".to_owned(), mail), ("role".to_owned(), None), ("map".into(), Some(Kept::Untold(true)))];
        let session = Session::begin("ann".to_owned(), claims, at(100));
        let text = session.to_text().unwrap();
        let read = |wanted: &[&str], required: &[&str], now: u64| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            Session::read(&text, Duration::from_secs(60), &names(wanted), &names(required), at(now))
        };
        assert_eq!(read(&["mail", "role"], &["mail", "map"], 159), Ok(session.clone()));
        assert_eq!(read(&[], &[], 160), Err(NotASession::Expired));
        assert_eq!(read(&["other"], &[], 100), Err(NotASession::Invalid));
        assert_eq!(read(&["role"], &["role"], 100), Err(NotASession::Invalid));
        // Of a clock that is a little ahead, and of one that is more.
        assert_eq!((read(&[], &[], 40).is_ok(), read(&[], &[], 39)), (true, Err(NotASession::Invalid)));
        assert_eq!((session.claim("mail"), session.claim("role")), (Some("a@b"), None));
        let told = session.into_claims();
        assert_eq!(told, [("mail".to_owned(), "a@b".to_owned()), ("sub".to_owned(), "ann".to_owned())]);
    }
}
