//! `auth.basic`: names and passwords.

use http::HeaderName;

use super::users_file::User;
use crate::config::section::{Scalar, Syntax, or_null, section};
use crate::config::value::{EDITED_NAME, WatchedFile};
use crate::config::yaml::{Invalid, Parsed, Yaml};

section! {
    /// Names and passwords (RFC 7617), which a client sends with each request: over TLS only, if others can listen.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`basic`" pub struct BasicAuth {
        /// A file with a line `name:hash` for each user, as `pingora-proxy hash-password` and `htpasswd -B` write it: bcrypt, argon2id, argon2i, or sha-crypt (`$5$`, `$6$`). It is read again when it changes.
        users as "users_file": WatchedFile<Vec<User>>, required "htpasswd", with WatchedFile::FORM;
        /// What browsers show when they ask for a password, and by which they know for which paths one is good.
        realm: String = "restricted", with REALM;
        /// A field in which the upstream is told the user's name. What a client says in it is taken out.
        user_header: Option<HeaderName> = null, with or_null(EDITED_NAME);
        /// Whether `Authorization` goes on to the upstream with the password, as with nginx, Traefik and Caddy.
        forward_credentials: bool = true;
    }
}

/// A quoted string of HTTP can hold it.
const REALM: Scalar<String> = Scalar {
    what: "a text",
    syntax: Syntax { kind: "text", numbers: true, pattern: Some(r"^[^\x00-\x1f\x7f]{1,200}$"), examples: &["staff"] },
    parse: realm,
    print: |realm| Yaml::text(realm),
};

fn realm(text: &str) -> Parsed<String> {
    const LONGEST: usize = 200;
    match text.chars().count() {
        1..=LONGEST if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(Invalid::new("a realm has 1 to 200 characters, and no control characters")),
    }
}
