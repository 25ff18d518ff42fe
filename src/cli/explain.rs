//! `explain`: asks the proxy's own functions about one request and says what they did.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use http::{HeaderName, HeaderValue, Method};
use proxy_service::config::{Config, FieldName, ResponseEdits, Route, Source, Underscores};
use proxy_service::downstream::Remote;
use proxy_service::filter::Cause;
use proxy_service::proxy::{Explanation, Outcome, explain};
use proxy_service::runtime::Snapshot;
use proxy_service::server::INITIAL_LOOKUP_TIMEOUT;
use proxy_service::transport::ClientTls;
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

fn parse_header(text: &str) -> Result<(String, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    let name = name.trim();
    HeaderName::try_from(name).map_err(|e| e.to_string())?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|e| e.to_string())?;
    Ok((name.to_owned(), value))
}

impl Explain {
    pub fn run(self, source: &Source) -> Result<(), String> {
        let config = super::check::load(source)?;
        let snapshot = Arc::new(super::check::compile(&config)?);
        // As at start-up: a request to an upstream whose name has no address is refused.
        resolve_initial(&snapshot.pools, &snapshot.resolver, INITIAL_LOOKUP_TIMEOUT);
        let explanation = explain(&self.head(), self.remote(), &snapshot);
        let mut out = format!("{} {} ", self.method, self.url);
        // Writing to a String cannot fail.
        self.describe(&mut out, &explanation, &config, &snapshot).unwrap_or_default();
        super::out::show(&out)
    }

    /// The client, with TLS where the URL says so.
    fn remote(&self) -> Remote {
        let mut remote = Remote::plain(Some(self.client_ip));
        remote.tls = self.url.starts_with("https://").then(ClientTls::default);
        remote
    }

    /// The request as it would come over the wire. A request without a host is one of
    /// HTTP/1.0, which allows that (RFC 9112 section 3.2).
    fn head(&self) -> Vec<u8> {
        let (authority, target) = split_url(&self.url);
        let given = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let version = if authority.is_empty() && !given { "1.0" } else { "1.1" };
        let mut head = format!("{} {target} HTTP/{version}\r\n", self.method).into_bytes();
        if !authority.is_empty() && !given {
            head.extend_from_slice(format!("Host: {authority}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"].iter().for_each(|part| head.extend_from_slice(part));
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn describe(
        &self,
        out: &mut String,
        explanation: &Explanation,
        config: &Config,
        snapshot: &Snapshot,
    ) -> std::fmt::Result {
        let winner = explanation.winner.map(|(_, index)| index);
        match (&explanation.outcome, winner.and_then(|index| config.routes.get(index))) {
            (Outcome::Refused(cause @ Cause::NoRoute), None) => {
                writeln!(out, "is taken by no route: the proxy answers {}", cause.status())?;
            }
            (Outcome::Refused(cause), _) => {
                writeln!(out, "is refused: the proxy answers {}, {}", cause.status(), cause.message())?;
            }
            (outcome, route) => {
                writeln!(out, "is taken by")?;
                writeln!(out, "  route:      {}", winner.map_or_else(String::new, |index| title(snapshot, index)))?;
                describe_outcome(out, outcome)?;
                if let Some(route) = route {
                    describe_limits(out, route)?;
                    describe_questions(out, route)?;
                    describe_answer(out, &route.response)?;
                }
            }
        }
        for (reading, route) in &explanation.readings {
            let route = route.map_or_else(|| "no route".to_owned(), |index| title(snapshot, index));
            writeln!(out, "  read as:    {reading}, {route}")?;
        }
        if let Some(decision) = &explanation.decision {
            let route = title(snapshot, decision.route);
            writeln!(out, "  decided by: `paths.ambiguous: {}` of {route}", decision.policy)?;
        }
        if let (Some(client), true) = (explanation.client_ip, explanation.remote_trusted) {
            let (scheme, proxy) = (explanation.scheme, self.client_ip);
            writeln!(out, "  client:     {client} by {scheme}, as the trusted proxy {proxy} says")?;
        }
        if let Some((rank, _)) = explanation.winner {
            writeln!(out, "  precedence: {rank}")?;
        }
        for (index, mismatch) in explanation.mismatches.iter().enumerate().filter(|(index, _)| Some(*index) != winner) {
            let reason = mismatch.as_ref().map_or_else(|| "matches too, but ranks lower".to_owned(), |m| m.to_string());
            writeln!(out, "not {}: {reason}", title(snapshot, index))?;
        }
        Ok(())
    }
}

fn title(snapshot: &Snapshot, index: usize) -> String {
    snapshot.routes.get(index).map_or_else(String::new, |r| format!("{} (line {})", r.name, r.line))
}

fn describe_outcome(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    match outcome {
        Outcome::Refused(cause) => writeln!(out, "  refused:    {}", cause.status()),
        Outcome::Redirected { status, location } => writeln!(out, "  redirect:   {status}, to {location}"),
        Outcome::Answered { status } => writeln!(out, "  respond:    {status}"),
        Outcome::Forwarded { upstream, came, sent, underscores } => {
            writeln!(out, "  upstream:   {upstream}")?;
            writeln!(out, "  request:    {}", sent.first().map_or("", String::as_str))?;
            let host =
                sent.iter().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case("host"));
            writeln!(out, "  host:       {}", host.map_or("", |(_, value)| value))?;
            missing_in(sent, came)
                .try_for_each(|line| writeln!(out, "  removes:    {line}{}", why_removed(line, *underscores)))?;
            missing_in(came, sent).try_for_each(|line| writeln!(out, "  adds:       {line}"))
        }
    }
}

/// Why a field stays behind, where the reason is in another place than the route.
fn why_removed(line: &str, underscores: Underscores) -> &'static str {
    let in_name = line.split(':').next().is_some_and(|name| name.contains('_'));
    if in_name && underscores == Underscores::Drop { " (see `headers.underscores`)" } else { "" }
}

/// The fields of `all` that `fields` has not, or fewer times.
fn missing_in<'l>(fields: &'l [String], all: &'l [String]) -> impl Iterator<Item = &'l String> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    fields.iter().skip(1).for_each(|field| *left.entry(field).or_default() += 1);
    all.iter().skip(1).filter(move |field| match left.get_mut(field.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        Some(_) | None => true,
    })
}

/// Who would be asked about the request; nobody is about this one.
fn describe_questions(out: &mut String, route: &Route) -> std::fmt::Result {
    let Some(auth) = &route.auth else { return Ok(()) };
    if let Some(basic) = &auth.basic {
        writeln!(out, "  asks for:   a password of {} (`auth.basic`)", basic.users.path.display())?;
    }
    if let Some(forward) = &auth.forward {
        writeln!(out, "  asks:       {} (`auth.forward`)", forward.url.written)?;
    }
    Ok(())
}

/// The limits that the request would be counted by; this one is not.
fn describe_limits(out: &mut String, route: &Route) -> std::fmt::Result {
    for limit in &route.rate_limits {
        write!(out, "  rate limit: {} by {}, burst {}", limit.rate, limit.key, limit.burst())?;
        if let Some(store) = &limit.store {
            write!(out, ", counted in {}", store.place)?;
        }
        writeln!(out, "{}", if limit.dry_run { ", dry run" } else { "" })?;
    }
    Ok(())
}

/// What the route changes in each response.
fn describe_answer(out: &mut String, edits: &ResponseEdits) -> std::fmt::Result {
    let headers = &edits.headers;
    let mut field = |verb: &str, (name, value): &(FieldName, HeaderValue)| {
        writeln!(out, "  answer:     {verb} {}: {}", name.spelled, String::from_utf8_lossy(value.as_bytes()))
    };
    headers.set.iter().try_for_each(|pair| field("sets", pair))?;
    headers.add.iter().try_for_each(|pair| field("adds", pair))?;
    headers.remove.iter().try_for_each(|name| writeln!(out, "  answer:     removes {name}"))
}

/// The host and the target of a URL; a path alone has no host.
fn split_url(url: &str) -> (&str, &str) {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest,
        None if url.starts_with(['/', '*']) => return ("", url),
        None => url,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    (authority, if target.is_empty() { "/" } else { target })
}
