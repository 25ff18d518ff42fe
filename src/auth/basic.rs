//! The users of a route and whether a password is theirs. What was found out lately is known at
//! once; anything else is a [`PasswordCheck`], which takes its time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use http::HeaderValue;

use super::attempts::{Fingerprint, Fingerprints, GOOD_FOR, Remembered, Wrong};
use super::check_threads::{self, Busy};
use super::credentials::Credentials;
use super::password::verify;
use super::reread::Reread;
use crate::config::{self, PasswordHash, WatchedFile};

#[derive(Debug)]
pub struct BasicAuth {
    file: Reread,
    users: ArcSwap<Users>,
}

/// The users of one content of the file. What is known of their passwords ends with it.
#[derive(Debug)]
struct Users {
    places: HashMap<Box<[u8]>, usize>,
    /// In the file's order.
    all: Vec<User>,
    fingerprints: Fingerprints,
    wrong: Wrong,
}

#[derive(Debug)]
struct User {
    name: HeaderValue,
    hash: PasswordHash,
    good: Remembered,
    /// Made of the hash, which nobody knows who does not have the file.
    lot: hmac::Key,
}

/// What is known of credentials without a check.
#[derive(Debug)]
pub enum Recalled {
    /// They are of this user.
    Good(HeaderValue),
    Wrong,
    Unknown(PasswordCheck),
}

/// A check that is to be done.
#[derive(Debug)]
pub struct PasswordCheck {
    users: Arc<Users>,
    /// Of the user, if there is one.
    place: Option<usize>,
    credentials: Credentials,
    fingerprint: Fingerprint,
}

impl BasicAuth {
    /// # Errors
    /// In words, when the system gives no random numbers.
    pub fn new(file: &WatchedFile<Vec<config::User>>) -> Result<Self, String> {
        Ok(Self { file: Reread::new(file), users: ArcSwap::from_pointee(Users::new(&file.content)?) })
    }

    /// Takes over the users that a newer configuration has read, unless they are the same; `false`
    /// where they are of another file.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn takes_over(&self, file: &WatchedFile<Vec<config::User>>) -> Result<bool, String> {
        if self.file.path != file.path {
            return Ok(false);
        }
        if !self.file.is_of(file.version) {
            self.users.store(Arc::new(Users::new(&file.content)?));
            self.file.replaced(file.version);
        }
        Ok(true)
    }

    /// Reads the file again if it has changed; `of` is the route, for the log.
    pub fn look_at_file(&self, of: &str) {
        if let Some(users) = self.file.look(of, "the users", |users: Vec<config::User>| Users::new(&users)) {
            log::info!("{of}: the {} users of {} are in force", users.all.len(), self.file.path.display());
            self.users.store(Arc::new(users));
        }
    }

    pub fn recall(&self, credentials: Credentials) -> Recalled {
        let users = self.users.load_full();
        let fingerprint = users.fingerprints.of(credentials.bytes());
        let known = users.places.get(credentials.name()).copied();
        if let Some(user) =
            known.and_then(|place| users.all.get(place)).filter(|user| user.good.is_used(fingerprint, GOOD_FOR))
        {
            return Recalled::Good(user.name.clone());
        }
        if users.wrong.is(fingerprint) {
            return Recalled::Wrong;
        }
        Recalled::Unknown(PasswordCheck { users, place: known, credentials, fingerprint })
    }
}

impl PasswordCheck {
    /// The user's name, if the password is the user's. `client` has its turn among those of others.
    ///
    /// # Errors
    /// When there are too many checks.
    pub async fn run(self, client: Option<IpAddr>) -> Result<Option<HeaderValue>, Busy> {
        let (users, place) = (Arc::clone(&self.users), self.place);
        let is_good = check_threads::run(client, move || self.check()).await?;
        let user = place.and_then(|place| users.all.get(place)).filter(|_| is_good);
        Ok(user.map(|user| user.name.clone()))
    }

    fn check(&self) -> bool {
        static NOBODYS: LazyLock<Option<PasswordHash>> = LazyLock::new(|| {
            // Argon2id of a random password, with the parameters of `hash-password`.
            PasswordHash::parse(concat!(
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$",
                "RdescudvJCsgt3ub+b4dWRWJTmaaJObGRdescudvJCs"
            ))
            .ok()
        });
        let user = self.place.and_then(|place| self.users.all.get(place));
        // Another request with the same password may have been before this one in the queue.
        if user.is_some_and(|user| user.good.is(self.fingerprint)) {
            return true;
        }
        // Drawn for known names too, so that it takes as long.
        let drawn = self.users.drawn_for(self.credentials.name());
        let hash = user.or(drawn).map(|user| &user.hash).or(NOBODYS.as_ref());
        let fits = hash.is_some_and(|hash| verify(self.credentials.password(), hash));
        match user.filter(|_| fits) {
            Some(user) => user.good.note(self.fingerprint, GOOD_FOR),
            None => self.users.wrong.note(self.fingerprint),
        }
        fits && user.is_some()
    }
}

impl Users {
    fn new(users: &[config::User]) -> Result<Self, String> {
        let user = |user: &config::User| User {
            name: user.name.clone(),
            hash: user.hash.clone(),
            good: Remembered::default(),
            lot: hmac::Key::new(hmac::HMAC_SHA256, user.hash.text.as_bytes()),
        };
        Ok(Self {
            places: users.iter().enumerate().map(|(place, user)| (user.name.as_bytes().into(), place)).collect(),
            all: users.iter().map(user).collect(),
            fingerprints: Fingerprints::new()?,
            wrong: Wrong::default(),
        })
    }

    /// The user whose hash is compared for a name that is not known: each name draws its own, so that a
    /// wrong answer takes as long as for some user, whichever schemes and costs the file has. A name
    /// draws the same user on each route, after each restart, and as long as that user stays in the
    /// file, or else it would be told from those of users, whose hashes stay.
    fn drawn_for(&self, name: &[u8]) -> Option<&User> {
        let lot = |user: &&User| <[u8; 8]>::try_from(hmac::sign(&user.lot, name).as_ref().get(..8)?).ok();
        self.all.iter().max_by_key(lot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use http::{HeaderMap, header};

    /// `U*U` by bcrypt.
    const HASH: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    fn credentials(both: &str) -> Credentials {
        let value = format!("Basic {}", BASE64.encode(both.as_bytes()));
        let headers: HeaderMap = [(header::AUTHORIZATION, HeaderValue::try_from(value).unwrap())].into_iter().collect();
        Credentials::of(&headers).unwrap()
    }

    fn file(names: &[&str]) -> WatchedFile<Vec<config::User>> {
        let user = |name: &&str| crate::config::User {
            name: HeaderValue::from_str(name).unwrap(),
            hash: PasswordHash::parse(HASH).unwrap(),
        };
        WatchedFile { path: "users".into(), content: names.iter().map(user).collect(), version: None }
    }

    fn check(basic: &BasicAuth, both: &str) -> Option<bool> {
        match basic.recall(credentials(both)) {
            Recalled::Good(_) | Recalled::Wrong => None,
            Recalled::Unknown(check) => Some(check.check()),
        }
    }

    #[test]
    fn what_was_checked_is_known_and_only_that() {
        let basic = BasicAuth::new(&file(&["ann", "bob"])).unwrap();
        assert_eq!(check(&basic, "ann:U*U"), Some(true));
        assert!(matches!(basic.recall(credentials("ann:U*U")), Recalled::Good(name) if name == "ann"));
        for wrong in ["ann:U*u", "eve:U*U", "ann:", ":U*U"] {
            assert_eq!(check(&basic, wrong), Some(false), "{wrong}");
            assert!(matches!(basic.recall(credentials(wrong)), Recalled::Wrong), "{wrong}");
        }
        // The same password of another user.
        assert_eq!(check(&basic, "bob:U*U"), Some(true));
    }

    #[test]
    fn another_file_forgets_who_is_gone() {
        let basic = BasicAuth::new(&file(&["ann"])).unwrap();
        assert_eq!(check(&basic, "ann:U*U"), Some(true));
        basic.users.store(Arc::new(Users::new(&file(&[]).content).unwrap()));
        assert_eq!(check(&basic, "ann:U*U"), Some(false));
    }

    #[test]
    fn an_unknown_name_always_draws_the_same_hash_and_any_of_the_file() {
        let hashes = [HASH, "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"];
        let users = |count: usize| {
            let user = |at: usize| crate::config::User {
                name: HeaderValue::from_str(&format!("user{at}")).unwrap(),
                // With a salt of its own, as each has.
                hash: PasswordHash {
                    text: format!("{}{at}", hashes[at % 2]).into(),
                    ..PasswordHash::parse(hashes[at % 2]).unwrap()
                },
            };
            Users::new(&(0..count).map(user).collect::<Vec<_>>()).unwrap()
        };
        let drawn =
            |users: &Users, name: usize| users.drawn_for(format!("name{name}").as_bytes()).unwrap().name.clone();
        let (first, again, more) = (users(10), users(10), users(11));
        let mut others = 0;
        let mut all = std::collections::HashSet::new();
        for name in 0..200 {
            all.insert(drawn(&first, name));
            assert_eq!(drawn(&first, name), drawn(&again, name));
            others += usize::from(drawn(&first, name) != drawn(&more, name));
        }
        assert_eq!(all.len(), 10, "{all:?}");
        assert!(others < 60, "a new user draws its share of names and no others: {others}");
        assert!(users(0).drawn_for(b"eve").is_none());
    }

    /// A hash is compared, whoever is asked for: the time tells no names.
    #[test]
    fn an_unknown_user_costs_what_a_known_one_does() {
        let basic = BasicAuth::new(&file(&["ann", "bob"])).unwrap();
        for name in ["ann", "eve", "mallory"] {
            let began = std::time::Instant::now();
            assert_eq!(check(&basic, &format!("{name}:x")), Some(false));
            assert!(began.elapsed() > std::time::Duration::from_micros(500), "no hash was compared for {name}");
        }
        let nobody = BasicAuth::new(&file(&[])).unwrap();
        let began = std::time::Instant::now();
        assert_eq!(check(&nobody, "eve:x"), Some(false));
        assert!(began.elapsed() > std::time::Duration::from_millis(2), "no hash was compared");
    }
}
