//! The token that callers of the endpoint show. Its file is looked at for each of them, so that another
//! token needs no reload.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, header};

use crate::config::{AdminToken, FileVersion};

#[derive(Debug)]
pub struct Token {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What was read last, of use or not.
    version: Option<FileVersion>,
    token: Arc<AdminToken>,
}

impl Token {
    pub fn new(token: AdminToken) -> Self {
        let path = token.path.clone();
        // It is read anew once, because the file may have changed since the configuration was read.
        Self { path, state: Mutex::new(State { version: None, token: Arc::new(token) }) }
    }

    /// Whether the caller shows the token.
    pub fn is_shown(&self, fields: &HeaderMap) -> bool {
        let mut given = fields.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else { return false };
        let Some((scheme, token)) = given.to_str().ok().and_then(|given| given.split_once(' ')) else { return false };
        // Hashes have one length, so that the time says nothing of the token's.
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        let in_force = self.in_force();
        scheme.eq_ignore_ascii_case("bearer")
            && verify_slices_are_equal(hash(token.trim()).as_ref(), hash(in_force.text()).as_ref()).is_ok()
    }

    fn in_force(&self) -> Arc<AdminToken> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let version = FileVersion::of(&self.path);
        if version != state.version {
            state.version = version;
            match AdminToken::load(&self.path) {
                Ok(token) => state.token = Arc::new(token),
                Err(reason) => log::error!("admin: {reason}; the token of before stays in force"),
            }
        }
        Arc::clone(&state.token)
    }
}
