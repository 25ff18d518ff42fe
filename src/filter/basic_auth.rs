//! `auth.basic`: names and passwords. Whoever was let in lately passes at once; a password that is
//! not known yet is checked by the step `proxy/basic_auth.rs`, which can wait.

use std::sync::Arc;

use super::basic_rule::BasicRule;
use super::chain::Chain;
use crate::auth::BasicAuth;
use crate::config::Route;

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let basic = route.auth.as_ref().and_then(|auth| auth.basic.as_ref());
    let Some(basic) = basic else {
        chain.learnt.basic = None;
        return Ok(());
    };
    let known = match chain.learnt.basic.take() {
        Some(users) => users.takes_over(&basic.users)?.then_some(users),
        None => None,
    };
    let users = known.map_or_else(|| BasicAuth::new(&basic.users).map(Arc::new), Ok)?;
    chain.learnt.basic = Some(Arc::clone(&users));
    chain.basic = Some(BasicRule::new(basic, users)?);
    Ok(())
}
