//! `explain`: asks the proxy's own functions about one request and says what they did.

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use http::{HeaderValue, Method};
use proxy_service::config::Source;
use proxy_service::proxy::{Asked, Told, explain, parse_header};
use proxy_service::server::INITIAL_LOOKUP_TIMEOUT;
use proxy_service::upstream::resolve_initial;

#[derive(Args, Debug)]
pub struct Explain {
    /// The method, such as GET
    method: Method,
    /// The URL as the client would ask for it
    url: String,
    /// A request header, `name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(String, HeaderValue)>,
    /// The address the request comes from: the client's, or that of a trusted proxy
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: IpAddr,
}

impl Explain {
    pub fn run(self, source: &Source) -> Result<(), String> {
        let config = super::check::load(source)?;
        let snapshot = Arc::new(super::check::compile(&config)?);
        // As at start-up: a request to an upstream whose name has no address is refused.
        resolve_initial(&snapshot.pools, &snapshot.resolver, INITIAL_LOOKUP_TIMEOUT);
        let Self { method, url, headers, client_ip } = self;
        let asked = Asked { method, url, headers, client_ip };
        let explanation = explain(&asked.head(), asked.remote(&snapshot), &snapshot);
        super::out::show(&page(&asked, &Told::new(&asked, &explanation, &config, &snapshot)))
    }
}

fn page(asked: &Asked, told: &Told) -> String {
    let mut out = format!("{} {} {}\n", asked.method, asked.url, told.verdict);
    for (label, text) in &told.facts {
        let label = format!("{label}:");
        out.push_str(&format!("  {label:<11} {text}\n"));
    }
    for (route, reason) in &told.others {
        out.push_str(&format!("not {route}: {reason}\n"));
    }
    out
}
