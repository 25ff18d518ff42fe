//! Checks and makes the hashes of passwords. All of it is slow on purpose.

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use sha_crypt::ShaCrypt;

use crate::config::{PasswordHash, PasswordScheme};

/// What `hash-password` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewHash {
    /// With 19 MiB, two passes and one lane: what OWASP's cheat sheet on the storage of passwords
    /// asks for at least.
    Argon2id,
    Bcrypt,
}

const BCRYPT_COST: u32 = 12;
/// bcrypt looks at no more bytes of a password, its end included.
const LONGEST_BCRYPT: usize = 71;

/// Whether the password is the one that was hashed.
pub fn verify(password: &[u8], hash: &PasswordHash) -> bool {
    match hash.scheme {
        // Longer passwords are cut, as by those who made the hash.
        PasswordScheme::Bcrypt => bcrypt::verify(password, &hash.text).unwrap_or(false),
        PasswordScheme::Argon2 => Argon2::default().verify_password(password, &*hash.text).is_ok(),
        PasswordScheme::ShaCrypt => ShaCrypt::default().verify_password(password, &*hash.text).is_ok(),
    }
}

/// The hash of a password for a users file.
///
/// # Errors
/// In words, when the password is none, or the system gives no random numbers.
pub fn hash_password(password: &[u8], how: NewHash) -> Result<String, String> {
    if password.is_empty() || password.iter().any(u8::is_ascii_control) {
        return Err("a password has at least one character, and no control characters".to_owned());
    }
    match how {
        NewHash::Bcrypt if password.len() > LONGEST_BCRYPT => {
            Err(format!("bcrypt takes at most {LONGEST_BCRYPT} bytes of a password; leave `--bcrypt` out"))
        }
        NewHash::Bcrypt => bcrypt::hash(password, BCRYPT_COST).map_err(|e| e.to_string()),
        NewHash::Argon2id => {
            let mut salt = [0; 16];
            aws_lc_rs::rand::fill(&mut salt).map_err(|_| "the system gives no random numbers".to_owned())?;
            let hash = Argon2::default().hash_password_with_salt(password, &salt);
            hash.map(|hash| hash.to_string()).map_err(|e| e.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(hash: &str) -> PasswordHash {
        PasswordHash::parse(hash).unwrap_or_else(|e| panic!("{hash}: {e}"))
    }

    /// Vectors of the schemes' own sources, and of the programs that make such files.
    #[test]
    fn hashes_of_other_programs_are_understood() {
        for (password, hash) in [
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
            (
                "Hello world!",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
        ] {
            let hash = parsed(hash);
            assert!(verify(password.as_bytes(), &hash), "{hash:?}");
            assert!(!verify(b"another", &hash) && !verify(b"", &hash), "{hash:?}");
        }
    }

    #[test]
    fn what_is_made_is_understood_and_never_the_same_twice() {
        let password = "pässword".as_bytes();
        for how in [NewHash::Argon2id, NewHash::Bcrypt] {
            let (one, two) = (hash_password(password, how).unwrap(), hash_password(password, how).unwrap());
            assert_ne!(one, two);
            assert!(verify(password, &parsed(&one)) && !verify(b"password", &parsed(&one)));
        }
        assert!(hash_password(&[b'x'; 72], NewHash::Bcrypt).unwrap_err().contains("71 bytes"));
        assert!(hash_password(b"", NewHash::Argon2id).is_err() && hash_password(b"a\nb", NewHash::Argon2id).is_err());
    }
}
