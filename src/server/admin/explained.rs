//! `GET /explain`: which route of the configuration in force would take a request, and what would become
//! of it, in the words of `pingora-proxy explain`. The request is counted nowhere: it is shown to a copy
//! of what the process serves with.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;

use super::answer::Answer;
use crate::config::{Config, hidden_secrets};
use crate::message::query;
use crate::proxy::{Asked, Told, explain, parse_header};
use crate::runtime::Snapshot;
use crate::server::lifecycle::reload::INITIAL_LOOKUP_TIMEOUT;
use crate::upstream::resolve_initial;

#[derive(Serialize)]
struct Explained {
    method: String,
    url: String,
    verdict: String,
    /// The route that takes it.
    route: Option<String>,
    facts: Vec<Fact>,
    others: Vec<Other>,
}

#[derive(Serialize)]
struct Fact {
    label: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Other {
    route: String,
    reason: String,
}

pub async fn answer(text: &str, config: Arc<Config>) -> Answer {
    let asked = match read(text) {
        Ok(asked) => asked,
        Err(reason) => return Answer::message(StatusCode::BAD_REQUEST, &reason),
    };
    // It compiles regexes, reads no file and may look names up.
    match tokio::task::spawn_blocking(move || explained(&asked, &config)).await {
        Ok(Ok(explained)) => Answer::json(&explained),
        Ok(Err(reason)) => Answer::message(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        Err(e) => Answer::message(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}

/// # Errors
/// What is missing, or not understood.
fn read(text: &str) -> Result<Asked, String> {
    let one = |name| query::get(text, name).map(|value| value.into_owned());
    let method = one("method").filter(|method| !method.is_empty()).unwrap_or_else(|| "GET".to_owned());
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| format!("`method`: {e}"))?;
    let url = one("url").filter(|url| !url.is_empty()).ok_or("`url` is missing, such as `url=http://example.com/`")?;
    if url.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return Err("`url` is no URL".to_owned());
    }
    let headers = query::all(text, "header").map(|header| parse_header(&header));
    let headers = headers.collect::<Result<_, _>>().map_err(|reason| format!("`header`: {reason}"))?;
    let client_ip = match one("client_ip").filter(|ip| !ip.is_empty()) {
        Some(ip) => ip.parse().map_err(|_| format!("`client_ip`: `{ip}` is no address"))?,
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    Ok(Asked { method, url, headers, client_ip })
}

/// # Errors
/// When the configuration cannot be compiled once more.
fn explained(asked: &Asked, config: &Config) -> Result<Explained, String> {
    let snapshot = Arc::new(Snapshot::compile_unserved(config, None)?);
    resolve_initial(&snapshot.pools, &snapshot.resolver, INITIAL_LOOKUP_TIMEOUT);
    let told = Told::new(asked, &explain(&asked.head(), asked.remote(&snapshot), &snapshot), config, &snapshot);
    Ok(Explained {
        method: asked.method.to_string(),
        url: asked.url.clone(),
        verdict: told.verdict,
        route: told.route,
        // Whoever may ask is not whoever may read the file.
        facts: told
            .facts
            .into_iter()
            .map(|(label, text)| Fact { label, text: hidden_secrets(&text).into_owned() })
            .collect(),
        others: told.others.into_iter().map(|(route, reason)| Other { route, reason }).collect(),
    })
}
