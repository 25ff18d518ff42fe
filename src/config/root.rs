//! The whole configuration: its sections, and what holds across them.

use ipnet::IpNet;

use super::admin::{Admin, AdminAddress};
use super::dns::Dns;
use super::errors::ErrorPages;
use super::headers::Headers;
use super::limits::Limits;
use super::listener::{Listener, listeners};
use super::log::{AccessTarget, Log};
use super::overlap;
use super::paths::Paths;
use super::route::{self, ClientCertPattern, Route, routes};
use super::section::{Fields, Reader, list, section};
use super::server::Server;
use super::timeouts::ClientTimeouts;
use super::traces::Traces;
use super::upstream::{self, Upstream, upstreams};
use super::value::Networks;

section! {
    /// Everything one process runs by.
    #[derive(Clone, Debug)]
    "the configuration" pub struct Config {
        /// The process.
        server: Server = {};
        /// Health, readiness and the state of servers, for probes and operators.
        admin: Admin = {};
        /// What is logged, and where.
        log: Log = {};
        /// Where clients connect: `0.0.0.0:8080`, `:8080`, `[::]:8080` or `unix:/path`.
        listeners: Vec<Listener>, required "[\"0.0.0.0:8080\"]", with listeners();
        /// Networks whose X-Forwarded-* and Forwarded headers are believed; from anyone else they are replaced.
        trusted_proxies: Vec<IpNet> = [], with list("networks such as `10.0.0.0/8`", Networks);
        /// Limits for what a client may send.
        limits: Limits = {};
        /// What happens to a path that services read in different ways.
        paths: Paths = {};
        /// Which header fields of a client are accepted.
        headers: Headers = {};
        /// How long a client may take.
        timeouts: ClientTimeouts = {};
        /// How the names of servers are looked up.
        dns: Dns = {};
        /// Groups of servers, by name.
        upstreams: Vec<Upstream> = {}, with upstreams();
        /// Which requests are told to a collector of traces, and where that is. Nothing is without it.
        traces: Option<Traces>;
        /// Which request goes where. The most specific match wins.
        routes: Vec<Route>, required "[{ upstream: \"127.0.0.1:3000\" }]", with routes();
        /// What a client sees when the proxy itself answers with an error.
        errors: ErrorPages = {};
    }
    later { cache }
    check Config::check;
}

impl Config {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        self.refuse_conflicts(reader);
        self.check_process(reader, fields);
        self.warn_of_certificates_that_nobody_shows(reader);
        let addresses = upstream::of_addresses(reader);
        self.upstreams.extend(addresses);
        if !reader.failed() {
            route::check_upstreams(reader, &self.routes, &self.upstreams);
            self.traces.iter().for_each(|traces| traces.endpoint.check_scheme(reader, &self.upstreams));
        }
        upstream::refuse_loops(reader, &self.upstreams, &self.listeners);
        upstream::warn_unused(reader);
    }

    /// A route that wants a certificate is out of reach where no listener asks for one.
    fn warn_of_certificates_that_nobody_shows(&self, reader: &mut Reader<'_>) {
        let asks = |listener: &Listener| {
            listener
                .tls
                .as_ref()
                .is_some_and(|tls| tls.client_auth.is_some() || tls.hosts.iter().any(|host| host.client_auth.is_some()))
        };
        if self.listeners.iter().any(asks) {
            return;
        }
        let wants = |route: &&Route| {
            matches!(route.matcher.client_cert, Some(ClientCertPattern::Present | ClientCertPattern::Such(_)))
        };
        for route in self.routes.iter().filter(wants) {
            let message = format!("no request reaches the route `{}`", route.name);
            let help = "no listener asks for certificates: see `listeners[].tls.client_auth`".to_owned();
            reader.warn(route.locations.matcher.0, message, Some(help));
        }
    }

    fn check_process(&self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if self.server.daemon && self.log.access.to == AccessTarget::Stdout {
            let help = "give `log.access.to` a file".to_owned();
            reader.warn(fields.key_span("server"), "a daemon has no stdout: its access log is lost", Some(help));
        }
    }

    /// Reports each address that cannot be listened on beside those before it.
    fn refuse_conflicts(&self, reader: &mut Reader<'_>) {
        let all = &self.listeners;
        for (index, Listener { address, location, .. }) in all.iter().enumerate() {
            let before = all.iter().take(index).map(|listener| &listener.address);
            if let Some(first) = all.iter().take(index).find(|earlier| earlier.address == *address) {
                let help = format!("it is the same as the one on line {}", first.location.0.line);
                reader.error_help(location.0, format!("duplicate listener `{address}`"), help);
            } else if let Some(message) = before.clone().find_map(|earlier| overlap::conflict(address, earlier, all)) {
                reader.error(location.0, message);
            }
        }
        let admin = match &self.admin.address {
            AdminAddress::At(address) => Some((address, self.admin.address_span)),
            AdminAddress::Auto | AdminAddress::Off => None,
        };
        if let Some((address, span)) = admin {
            let conflict = all.iter().find_map(|listener| match listener.address == *address {
                true => Some(format!("`{address}` is a listener's address too")),
                false => overlap::conflict(address, &listener.address, all),
            });
            if let Some(message) = conflict {
                reader.error(span.0, message);
            }
        }
        let listeners = all.iter().map(|listener| (&listener.address, listener.location));
        for (address, location) in listeners.chain(admin) {
            if let Some(key) = overlap::own_file(address, &self.server) {
                reader.error(location.0, format!("`{address}` is the place of `{key}` too"));
            }
        }
    }
}
