//! `rate_limit`: how many requests of one kind a route lets pass in a time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::pem::{CERTIFICATES, PemFile};
use crate::config::section::{Fields, Form, Reader, Shape, number, optional, or_null, or_word, section};
use crate::config::value::{FileToRead, LimitKey, Password, RequestRate, STORE, StoreAddress, StorePlace};
use crate::config::yaml::{Invalid, Node, Yaml};

section! {
    /// How many requests pass; those above it are answered with 429.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`rate_limit`" pub struct RateLimit {
        /// Requests in a second, minute or hour: `100/s`, `60/m`, `1000/h`.
        rate: RequestRate, required "100/s";
        /// Requests that may come at once after a pause; by default as many as `rate` names.
        burst: Option<u32>, with optional(number(1..=1_000_000_u32));
        /// Which requests are counted together: `client_ip` (IPv6 by /64), `header:name`, `cookie:name`, `claim:name` (of the token that `auth.jwt` took), or `route` for all. Requests without what is counted by are counted together.
        key: LimitKey = "client_ip";
        /// Where it is counted: `local` in each proxy for itself; `redis://host:6379`, `rediss://` (TLS) or `unix:/path` in a Redis or Valkey that a fleet shares. While that does not answer, each proxy counts by itself.
        store: Option<StoreAddress> = "local", with StoreForm;
        /// How long one request waits for the store; then the proxy decides by itself.
        store_timeout: Duration = "50ms";
        /// A file with the store's password.
        password as "store_password_file": Option<PasswordFile> = null, with or_null(PASSWORD_FILE);
        /// PEM certificates to trust for `rediss://` instead of the system's.
        store_ca: Option<PemFile> = null, with or_null(CERTIFICATES);
        /// Keys that are remembered at once, about 40 bytes each. Of more, those with the fewest recent requests are forgotten.
        max_keys: usize = 100000, with number(1000..=10_000_000_usize);
        /// Counts and logs what would be refused, and lets it pass.
        dry_run: bool = false;
    }
    no_effect RateLimit::no_effect;
    check RateLimit::check;
}

impl RateLimit {
    /// Requests that may come at once.
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.rate.count)
    }

    /// The password of the file, or else that of the address.
    pub fn store_password(&self) -> Option<&Password> {
        let of_file = self.password.as_ref().map(|file| &file.password);
        of_file.or_else(|| self.store.as_ref()?.password.as_ref())
    }

    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let of_store = matches!(key, "store_timeout" | "store_password_file" | "store_ca");
        if of_store && self.store.is_none() {
            return Some(Invalid::with_help(format!("`{key}` has no effect with `store: local`"), "name a store"));
        }
        let is_tls = matches!(&self.store, Some(StoreAddress { place: StorePlace::Tcp { tls: true, .. }, .. }));
        if key == "store_ca" && !is_tls {
            return Some(Invalid::with_help("`store_ca` has no effect without TLS", "write the store as `rediss://…`"));
        }
        (key == "max_keys" && self.key == LimitKey::Route)
            .then(|| Invalid::new("`max_keys` has no effect with `key: route`"))
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if self.password.is_some() && self.store.as_ref().is_some_and(|store| store.password.is_some()) {
            let span = fields.key_span("store_password_file");
            reader.error_help(span, "the store has two passwords", "take the one out of `store`");
        }
    }
}

/// A store, or the word for none.
struct StoreForm;

impl StoreForm {
    fn inner() -> impl Form<Option<StoreAddress>> {
        or_word("local", "Each proxy counts for itself.", STORE)
    }
}

impl Form<Option<StoreAddress>> for StoreForm {
    /// A store with errors, which are reported, is one all the same: the keys that go with it are right.
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<StoreAddress>> {
        Self::inner().read(reader, node).or(Some(Some(StoreAddress::unknown())))
    }

    fn shape(&self) -> Shape {
        Self::inner().shape()
    }

    fn print(&self, store: &Option<StoreAddress>) -> Yaml {
        Self::inner().print(store)
    }
}

/// A password that was read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordFile {
    path: PathBuf,
    password: Password,
}

const PASSWORD_FILE: FileToRead<PasswordFile> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_: &Path| Ok(()),
    parse: |path, bytes| match std::str::from_utf8(bytes.trim_ascii()) {
        Ok("") => Err(Invalid::new("there is no password in this file")),
        Ok(password) => Ok(PasswordFile { path, password: Password(password.to_owned()) }),
        Err(_) => Err(Invalid::new("the password in this file is not UTF-8")),
    },
    path: |file| &file.path,
};
