//! The hash of a password, as users files have it: its scheme, and that checking it costs no more
//! than a proxy can afford.

use std::fmt;

use argon2::password_hash::phc;

/// Schemes that are slow on purpose. Any other could be guessed by the billion if the file leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordScheme {
    Bcrypt,
    /// argon2id and argon2i (RFC 9106).
    Argon2,
    /// SHA-256 and SHA-512 of crypt(3).
    ShaCrypt,
}

#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    pub scheme: PasswordScheme,
    /// As it stands in the file.
    pub text: Box<str>,
}

/// Without the hash.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// A check takes about a second at the most: 2 to the power of this.
const HIGHEST_BCRYPT_COST: u32 = 15;
/// In KiB. Several checks run at once.
const MOST_ARGON2_MEMORY: u32 = 256 * 1024;
/// Passes over the memory, times its size in KiB.
const MOST_ARGON2_WORK: u64 = 4 * 1024 * 1024;
const MOST_ARGON2_LANES: u32 = 16;
const MOST_SHA_ROUNDS: u32 = 2_000_000;

impl PasswordHash {
    /// # Errors
    /// Why it is refused, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = |scheme| Ok(Self { scheme, text: text.into() });
        match text.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
            Some(("2a" | "2b" | "2y", rest)) => bcrypt(text, rest).and_then(|()| known(PasswordScheme::Bcrypt)),
            Some(("argon2id" | "argon2i", _)) => argon2(text).and_then(|()| known(PasswordScheme::Argon2)),
            Some(("5", rest)) => sha_crypt(rest, 43).and_then(|()| known(PasswordScheme::ShaCrypt)),
            Some(("6", rest)) => sha_crypt(rest, 86).and_then(|()| known(PasswordScheme::ShaCrypt)),
            Some(("apr1" | "1", _)) => Err("MD5 is guessed too fast".to_owned()),
            Some(("argon2d", _)) => Err("argon2d is not made for passwords: take argon2id".to_owned()),
            Some(("2x", _)) => Err("`$2x$` marks a faulty bcrypt".to_owned()),
            Some(("y" | "7" | "gy", _)) => Err("yescrypt and scrypt are not supported".to_owned()),
            Some((other, _)) => Err(format!("the scheme `{other}` is not known")),
            None if text.starts_with("{SHA}") => Err("SHA-1 is guessed too fast".to_owned()),
            None if text.starts_with('{') => Err("schemes of LDAP are not supported".to_owned()),
            None if text.is_empty() => Err("its password is empty".to_owned()),
            None => Err("its password is no hash, or one of DES".to_owned()),
        }
    }
}

fn bcrypt(text: &str, rest: &str) -> Result<(), String> {
    if text.parse::<bcrypt::HashParts>().is_err() {
        return Err("its bcrypt hash is not whole".to_owned());
    }
    match rest.split('$').next().and_then(|cost| cost.parse().ok()) {
        Some(4..=HIGHEST_BCRYPT_COST) => Ok(()),
        _ => Err(format!("the cost of its bcrypt hash is not from 4 to {HIGHEST_BCRYPT_COST}")),
    }
}

fn argon2(text: &str) -> Result<(), String> {
    let hash = phc::PasswordHash::new(text).map_err(|e| format!("its argon2 hash is not whole: {e}"))?;
    let params = argon2::Params::try_from(&hash).map_err(|e| format!("the parameters of its argon2 hash: {e}"))?;
    let is_whole = hash.salt.is_some() && hash.hash.is_some_and(|hash| hash.len() >= 16);
    if !is_whole || !matches!(hash.version, None | Some(16 | 19)) {
        return Err("its argon2 hash is not whole".to_owned());
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > MOST_ARGON2_MEMORY || work > MOST_ARGON2_WORK || params.p_cost() > MOST_ARGON2_LANES {
        return Err("its argon2 hash costs too much: at most 256 MiB, and 4 GiB in all passes".to_owned());
    }
    Ok(())
}

/// `length`: that of the hash, in characters.
fn sha_crypt(rest: &str, length: usize) -> Result<(), String> {
    let fields: Vec<&str> = rest.split('$').collect();
    let (rounds, salt, hash) = match fields.as_slice() {
        [salt, hash] => (None, *salt, *hash),
        [rounds, salt, hash] => (Some(*rounds), *salt, *hash),
        _ => return Err("its sha-crypt hash is not whole".to_owned()),
    };
    let is_made_of = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    if hash.len() != length || !is_made_of(hash) || salt.len() > 16 || !is_made_of(salt) {
        return Err("its sha-crypt hash is not whole".to_owned());
    }
    let number = rounds.map(|rounds| rounds.strip_prefix("rounds=").and_then(|number| number.parse::<u32>().ok()));
    match number {
        None | Some(Some(1000..=MOST_SHA_ROUNDS)) => Ok(()),
        Some(_) => Err(format!("the rounds of its sha-crypt hash are not from 1000 to {MOST_SHA_ROUNDS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_slow_and_whole() {
        let bcrypt = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
        let argon2 = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                      RdescudvJCsgt3ub+b4dWRWJTmaaJObGRdescudvJCs";
        let sha256 = "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA";
        for (hash, scheme) in
            [(bcrypt, PasswordScheme::Bcrypt), (argon2, PasswordScheme::Argon2), (sha256, PasswordScheme::ShaCrypt)]
        {
            assert_eq!(PasswordHash::parse(hash).map(|hash| hash.scheme), Ok(scheme), "{hash}");
            assert!(PasswordHash::parse(&hash[..hash.len() - 4]).is_err(), "{hash}");
        }
        for (bad, why) in [
            ("secret", "no hash"),
            ("", "empty"),
            ("rl.3StKT.4T8M", "DES"),
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "MD5"),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "MD5"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("{SSHA}x", "LDAP"),
            ("$y$j9T$x$y", "yescrypt"),
            (&bcrypt.replace("$05$", "$31$"), "cost"),
            (&argon2.replace("m=19456", "m=4194304"), "256 MiB"),
            (&argon2.replace("t=2", "t=4000000"), "256 MiB"),
            (&argon2.replace("argon2id", "argon2d"), "argon2d"),
            (&sha256.replace("10000", "999999999"), "rounds"),
            (&sha256.replace("rounds=10000", "rounds=x"), "rounds"),
        ] {
            let refused = PasswordHash::parse(bad).unwrap_err();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
        assert!(!format!("{:?}", PasswordHash::parse(bcrypt)).contains("HJIM"));
    }
}
