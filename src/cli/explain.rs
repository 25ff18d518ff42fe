//! `explain`: asks the production matcher about one request and says what it did.

use std::path::Path;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proxy_service::filter::request::edited_target;
use proxy_service::message::{host, path};
use proxy_service::route::RequestView;
use proxy_service::runtime::{Action, Snapshot};

#[derive(Args, Debug)]
pub struct Explain {
    /// The method, such as GET
    method: Method,
    /// The URL as the client would ask for it
    url: String,
    /// A request header, `name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The client's address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: std::net::IpAddr,
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    let name = HeaderName::try_from(name.trim()).map_err(|e| e.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|e| e.to_string())?;
    Ok((name, value))
}

impl Explain {
    pub fn run(self, file: &Path) -> Result<(), String> {
        let config = super::check::load(file)?;
        let snapshot = super::check::compile(&config)?;
        let headers: HeaderMap = self.headers.iter().cloned().collect();
        let (authority, target) = split_url(&self.url);
        let authority = headers.get("host").and_then(|h| h.to_str().ok()).unwrap_or(authority);
        let (path_part, query) = path::split_query(target);
        let resolved = path::resolve(path_part).ok_or("error: the path has a bad escape; the proxy answers 400")?;
        let bare = host::split(authority).map_or("", |(name, _)| name);
        let view = RequestView {
            method: &self.method,
            host: &host::normalize(bare),
            path: &resolved.matched,
            query: query.unwrap_or(""),
            headers: &headers,
            client_ip: Some(self.client_ip),
        };
        let found = snapshot.table.find_ranked(&view);
        match found {
            Some((rank, index)) => {
                let forwarded = match query {
                    Some(query) => format!("{}?{query}", resolved.forwarded),
                    None => resolved.forwarded.to_string(),
                };
                println!("{} {} is taken by", self.method, self.url);
                describe(&snapshot, index, &self.method, &forwarded);
                println!("  precedence: {rank:?}");
            }
            None => println!("{} {} is taken by no route: the proxy answers 404", self.method, self.url),
        }
        for index in 0..snapshot.routes.len() {
            if found.is_none_or(|(_, winner)| winner != index) {
                let reason = snapshot.table.mismatch(index, &view);
                let reason = reason.map_or_else(|| "matches too, but ranks lower".to_owned(), |m| m.to_string());
                println!("not {}: {reason}", title(&snapshot, index));
            }
        }
        Ok(())
    }
}

fn title(snapshot: &Snapshot, index: usize) -> String {
    snapshot.routes.get(index).map_or_else(String::new, |r| format!("{} (line {})", r.name, r.line))
}

fn describe(snapshot: &Snapshot, index: usize, method: &Method, target: &str) {
    println!("  route:      {}", title(snapshot, index));
    let Some(route) = snapshot.routes.get(index) else {
        return;
    };
    match &route.action {
        Action::Upstream(pool) => {
            println!("  upstream:   {}", pool.name);
            let sent = edited_target(target, &route.request).unwrap_or_else(|| target.to_owned());
            println!("  request:    {method} {sent}");
        }
        Action::Redirect { status, .. } => println!("  redirect:   {status}"),
        Action::Respond { status, .. } => println!("  respond:    {status}"),
    }
}

/// Host and target of a URL; a bare path has no host.
fn split_url(url: &str) -> (&str, &str) {
    let Some((_, rest)) = url.split_once("://") else {
        return ("", url);
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    (authority, if target.is_empty() { "/" } else { target })
}
