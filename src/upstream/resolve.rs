//! Names to addresses: the hosts file, then DNS. A [`Resolver`] remembers no answers: its
//! caller decides how long one stands.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;

use super::duration::in_words;

/// The greatest number of addresses of one name, and of targets of one service.
pub const MAX_ADDRESSES: usize = 256;
/// Weights of SRV records are scaled down to it.
const MAX_WEIGHT: u32 = 1000;
/// The number of targets of a service that are looked up side by side.
const AT_ONCE: usize = 16;

/// One of the addresses that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedAddress {
    pub address: SocketAddr,
    /// 1 for A and AAAA records; for SRV records theirs, at least 1 and at most 1000.
    pub weight: u32,
}

/// Asks the nameservers in turn, the next where one fails, and begins with the first for
/// each name.
#[derive(Debug)]
pub struct Resolver {
    /// One resolver for each nameserver: in one resolver for all, the first nameserver to
    /// answer would speak for all, also when it only says that it failed.
    servers: Vec<TokioResolver>,
    search: Vec<Name>,
    /// A name with at least this many dots is first asked for as it is.
    ndots: usize,
    timeout: Duration,
    hosts: PathBuf,
}

/// Why a name has no answer.
#[derive(Debug)]
enum LookupError {
    NoName,
    /// The name has records, but not such.
    Empty,
    /// Another nameserver may know better.
    Failed(String),
    /// The nameserver did not answer in time, and nothing more is tried.
    Silent(String),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Address,
    Service,
}

impl Resolver {
    /// Without `nameservers` the system's are asked. Search domains are the system's in any
    /// case. `timeout` is for one nameserver's answer to one name.
    ///
    /// # Errors
    /// In words, when `/etc/resolv.conf` is there but cannot be read.
    pub fn new(nameservers: &[SocketAddr], timeout: Duration) -> Result<Self, String> {
        Self::with(nameservers, timeout, Path::new("/etc/resolv.conf"), Path::new("/etc/hosts"))
    }

    pub(super) fn with(
        nameservers: &[SocketAddr],
        timeout: Duration,
        system: &Path,
        hosts: &Path,
    ) -> Result<Self, String> {
        let (config, options) = read_system(system).map_err(|e| format!("{}: {e}", system.display()))?;
        let servers: Vec<SocketAddr> = match nameservers {
            [] => config.name_servers().iter().map(|s| (s.ip, 53).into()).collect(),
            given => given.to_vec(),
        };
        let servers = servers.into_iter().map(|server| client(server, timeout)).collect::<Result<_, _>>()?;
        let search = match config.search() {
            // The domain of the machine's own name.
            [] => config.domain().into_iter().cloned().collect(),
            search => search.to_vec(),
        };
        Ok(Self { servers, search, ndots: options.ndots, timeout, hosts: hosts.to_owned() })
    }

    /// Every A and AAAA record of a name, or its every line of the hosts file: IPv4 first,
    /// sorted, without duplicates, at most [`MAX_ADDRESSES`].
    ///
    /// # Errors
    /// In words, when the name has no address.
    pub async fn addresses(&self, name: &str, port: u16) -> Result<Vec<ResolvedAddress>, String> {
        let found = match name.parse() {
            Ok(address) => vec![address],
            Err(_) => self.host(name).await?,
        };
        Ok(sorted(found.into_iter().map(|address| ((address, port).into(), 1))))
    }

    /// The addresses of the targets of the SRV records of least priority number (RFC 2782),
    /// each with the weight of its record. A target that has no address is left out.
    ///
    /// # Errors
    /// In words, when no target has an address.
    pub async fn services(&self, name: &str) -> Result<Vec<ResolvedAddress>, String> {
        let records = self.search(name, Kind::Service).await.map_err(|miss| miss.words("it has no SRV record"))?;
        let services = services_in(records);
        if services.is_empty() {
            return Err("it offers no service (its SRV record names no target)".into());
        }
        let mut targets: Vec<Name> = services.iter().map(|s| s.target.clone()).collect();
        targets.dedup();
        let hosts = futures_util::stream::iter(targets).map(|target| self.target(target)).buffered(AT_ONCE);
        let hosts: BTreeMap<Name, Result<Vec<IpAddr>, String>> = hosts.collect().await;
        let addresses = |service: &Service| hosts.get(&service.target)?.as_ref().ok();
        let found = sorted(services.iter().flat_map(|service| {
            let addresses = addresses(service).map(Vec::as_slice).unwrap_or_default();
            addresses.iter().map(|address| ((*address, service.port).into(), service.weight))
        }));
        match hosts.iter().find_map(|(target, host)| Some((target, host.as_ref().err()?))) {
            Some((target, words)) if found.is_empty() => Err(format!("{}: {words}", plain(target))),
            _ => Ok(found),
        }
    }

    async fn target(&self, target: Name) -> (Name, Result<Vec<IpAddr>, String>) {
        let host = self.host(&target.to_ascii()).await;
        (target, host)
    }

    /// As with `getaddrinfo`, DNS is not asked for a name that the hosts file has.
    async fn host(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let hosts = tokio::fs::read(&self.hosts).await.unwrap_or_default();
        let listed = listed_in(&String::from_utf8_lossy(&hosts), name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let records = self.search(name, Kind::Address).await.map_err(|miss| miss.words("it has no address"))?;
        Ok(records.iter().filter_map(RData::ip_addr).collect())
    }

    /// The records of the first candidate that has any. A candidate that fails does not stop
    /// the search, but a later "no such name" does not hide its failure either.
    async fn search(&self, name: &str, kind: Kind) -> Result<Vec<RData>, LookupError> {
        let name = Name::from_str_relaxed(name).map_err(|_| LookupError::Failed("it is no host name".into()))?;
        let mut worst = LookupError::NoName;
        for name in candidates(name, &self.search, self.ndots) {
            match self.records(&name, kind).await {
                Err(silent @ LookupError::Silent(_)) => return Err(silent),
                Err(miss) => worst = worst.or(miss),
                found => return found,
            }
        }
        Err(worst)
    }

    /// The records of one name. Addresses are asked for in both families; one is enough.
    async fn records(&self, name: &Name, kind: Kind) -> Result<Vec<RData>, LookupError> {
        match kind {
            Kind::Service => self.ask(name, RecordType::SRV).await,
            Kind::Address => match tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA)) {
                (Ok(v4), Ok(v6)) => Ok([v4, v6].concat()),
                (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
                (Err(LookupError::Empty), Err(miss)) | (Err(miss), Err(_)) => Err(miss),
            },
        }
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Vec<RData>, LookupError> {
        let mut last = LookupError::Failed("there is no nameserver".into());
        for server in &self.servers {
            match self.ask_one(server, name, kind).await {
                Err(miss @ (LookupError::Failed(_) | LookupError::Silent(_))) => last = miss,
                answer => return answer,
            }
        }
        Err(last)
    }

    /// Asks one nameserver. The timeout covers all that the answer takes: repeats, TCP after a
    /// truncated answer, aliases.
    async fn ask_one(&self, server: &TokioResolver, name: &Name, kind: RecordType) -> Result<Vec<RData>, LookupError> {
        let answer = tokio::time::timeout(self.timeout, server.lookup(name.clone(), kind)).await;
        let answer = answer.unwrap_or(Err(NetError::Timeout)).map_err(|e| self.miss(&e))?;
        let records = answer.answers().iter().filter(|r| r.record_type() == kind);
        let records: Vec<RData> = records.map(|r| r.data.clone()).collect();
        if records.is_empty() { Err(LookupError::Empty) } else { Ok(records) }
    }

    fn miss(&self, error: &NetError) -> LookupError {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
                LookupError::NoName
            }
            NetError::Dns(DnsError::NoRecordsFound(_)) => LookupError::Empty,
            NetError::Dns(DnsError::ResponseCode(code)) => {
                LookupError::Failed(format!("the nameserver failed ({})", format!("{code:?}").to_uppercase()))
            }
            NetError::Timeout => LookupError::Silent(format!("no answer within {}", in_words(self.timeout))),
            NetError::Io(e) => LookupError::Failed(format!("the nameserver cannot be reached: {e}")),
            other => LookupError::Failed(format!("the nameserver's answer is of no use: {other}")),
        }
    }
}

impl LookupError {
    /// The error of the two that says more.
    fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::NoName, _) | (Self::Empty, Self::Failed(_) | Self::Silent(_)) => other,
            _ => self,
        }
    }

    fn words(self, empty: &str) -> String {
        match self {
            Self::NoName => "no such name".into(),
            Self::Empty => empty.into(),
            Self::Failed(words) | Self::Silent(words) => words,
        }
    }
}

/// The system's configuration. A missing file and one without nameservers mean this machine,
/// as in resolv.conf(5).
fn read_system(path: &Path) -> Result<(ResolverConfig, ResolverOpts), String> {
    let mut text = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|e| e.to_string())?,
    };
    if !text.split(|b| *b == b'\n').any(|line| line.starts_with(b"nameserver")) {
        text.extend_from_slice(b"\nnameserver 127.0.0.1\n");
    }
    parse_resolv_conf(&text).map_err(|e| e.to_string())
}

fn client(server: SocketAddr, timeout: Duration) -> Result<TokioResolver, String> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].into_iter().map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.collect());
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = timeout;
    // hickory repeats a question over UDP within the timeout without further attempts.
    options.attempts = 0;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    builder.build().map_err(|e| e.to_string())
}

/// The names that a name may mean, in the order in which they are asked for.
fn candidates(name: Name, search: &[Name], ndots: usize) -> Vec<Name> {
    if name.is_fqdn() {
        return vec![name];
    }
    let mut names: Vec<Name> = Vec::new();
    let is_localhost = name.iter().next_back().is_some_and(|label| label.eq_ignore_ascii_case(b"localhost"));
    if !is_localhost {
        // A candidate that would be too long is left out.
        names.extend(search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()));
    }
    let place = if usize::from(name.num_labels()) > ndots { 0 } else { names.len() };
    names.insert(place, name);
    names.iter_mut().for_each(|name| name.set_fqdn(true));
    names
}

/// The addresses of a name in the text of a hosts file.
fn listed_in(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)?.parse().ok()
    });
    lines.collect()
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    target: Name,
    port: u16,
    weight: u32,
}

/// The records of least priority number, by target. The target `.` says that there is no
/// service (RFC 2782).
fn services_in(records: Vec<RData>) -> Vec<Service> {
    let mut records: Vec<_> =
        records.into_iter().filter_map(|r| if let RData::SRV(srv) = r { Some(srv) } else { None }).collect();
    let least = records.iter().map(|srv| srv.priority).min();
    records.retain(|srv| Some(srv.priority) == least && !srv.target.is_root());
    let greatest = records.iter().map(|srv| u32::from(srv.weight)).max().unwrap_or(0).max(MAX_WEIGHT);
    let services = records.into_iter().map(|srv| Service {
        weight: (u32::from(srv.weight) * MAX_WEIGHT / greatest).max(1),
        port: srv.port,
        target: srv.target,
    });
    let mut services: Vec<Service> = services.collect();
    services.sort();
    services.truncate(MAX_ADDRESSES);
    services
}

/// Each address once, with the greatest of its weights.
fn sorted(found: impl Iterator<Item = (SocketAddr, u32)>) -> Vec<ResolvedAddress> {
    let mut weights: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for (address, weight) in found {
        let kept = weights.entry(address).or_default();
        *kept = weight.max(*kept);
    }
    weights.into_iter().take(MAX_ADDRESSES).map(|(address, weight)| ResolvedAddress { address, weight }).collect()
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_is_read_as_the_system_reads_it() {
        let text = "127.0.0.1 localhost # app\n\n# 9.9.9.9 app\n::1\tlocalhost\nfe80::1%lo0 app\n 10.0.0.7  Db app \n7";
        let listed = |name| listed_in(text, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(listed("LOCALHOST."), ["127.0.0.1", "::1"]);
        assert_eq!(listed("app"), ["10.0.0.7"]);
        assert_eq!(listed("db"), ["10.0.0.7"]);
        assert!(listed("7").is_empty() && listed("").is_empty());
    }

    #[test]
    fn search_domains_come_first_for_names_with_few_dots() {
        let search = [Name::from_ascii("a.test").unwrap(), Name::from_ascii("b.test.").unwrap()];
        let names = |name: &str, ndots| {
            let name = Name::from_str_relaxed(name).unwrap();
            candidates(name, &search, ndots).iter().map(Name::to_ascii).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("db", 1), "db.a.test. db.b.test. db.");
        assert_eq!(names("db.x", 1), "db.x. db.x.a.test. db.x.b.test.");
        assert_eq!(names("db.x", 2), "db.x.a.test. db.x.b.test. db.x.");
        assert_eq!(names("db.", 1), "db.");
        assert_eq!(names("localhost", 1), "localhost.");
    }

    #[test]
    fn weights_are_scaled_and_the_least_priority_chosen() {
        use hickory_resolver::proto::rr::rdata::SRV;
        let srv =
            |priority, weight, target| RData::SRV(SRV::new(priority, weight, 80, Name::from_ascii(target).unwrap()));
        let services = services_in(vec![
            srv(2, 9, "c.test."),
            srv(1, 0, "b.test."),
            srv(1, 60_000, "a.test."),
            srv(1, 30_000, "d.test."),
            srv(1, 5, "."),
        ]);
        let weights: Vec<_> = services.iter().map(|s| (plain(&s.target), s.weight)).collect();
        assert_eq!(weights, [("a.test".into(), 1000), ("b.test".into(), 1), ("d.test".into(), 500)]);
    }
}
