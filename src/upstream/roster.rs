//! The servers of a pool in the order of the configuration, whatever their state, and
//! what names stand for at the moment. Must not know who gets requests.

use std::collections::HashMap;
use std::sync::Arc;

use super::load::Tally;
use super::resolve::Found;
use super::server::{Life, Member, Server};
use super::standing::Admin;
use super::sticky::CookieKey;
use crate::config::{Address, Lookup, ServerPlace, Upstream, UpstreamServer};

#[derive(Debug)]
pub struct Roster {
    entries: Vec<Entry>,
    tally: Tally,
    key: CookieKey,
    /// Servers that are in no entry any more, for whoever closes their connections.
    retired: Vec<Arc<Server>>,
}

/// One entry of `servers` in the configuration.
#[derive(Debug)]
struct Entry {
    configured: UpstreamServer,
    members: Vec<Member>,
    servers: Vec<Arc<Server>>,
    /// Why the last lookup failed; empty where it did not.
    trouble: String,
}

/// What a lookup changed, in words.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    None,
    Changed(String),
    Failed(String),
}

impl Roster {
    /// # Errors
    /// As [`Server::new`].
    pub fn new(upstream: &Upstream, before: Option<&Self>, key: &CookieKey) -> Result<Self, String> {
        let mut roster = Self { entries: Vec::new(), tally: Tally::default(), key: key.clone(), retired: Vec::new() };
        let mut known_lives = KnownLives::of(before);
        for configured in &upstream.servers {
            let same = |entry: &&Entry| entry.configured.address.place == configured.address.place;
            let known = before.and_then(|roster| roster.entries.iter().find(same));
            let members = match &configured.address.place {
                ServerPlace::At(address) => vec![member_at(configured, address)],
                ServerPlace::Named(_) => known.map(|entry| still(entry, configured)).unwrap_or_default(),
            };
            let mut servers = Vec::new();
            for member in &members {
                let life = known_lives.take(member, configured).unwrap_or_else(|| new_life(&mut roster.tally));
                if upstream.health.active.is_none() {
                    life.standing().forget_checks();
                }
                servers.push(Arc::new(Server::new(member, upstream, life, key.bytes())?));
            }
            let trouble = known.map(|entry| entry.trouble.clone()).unwrap_or_default();
            roster.entries.push(Entry { configured: configured.clone(), members, servers, trouble });
        }
        Ok(roster)
    }

    pub fn servers(&self) -> Vec<Arc<Server>> {
        self.entries.iter().flat_map(|entry| &entry.servers).map(Arc::clone).collect()
    }

    /// Whether a name has no address yet.
    pub fn lacks_addresses(&self) -> bool {
        self.entries.iter().any(|entry| entry.servers.is_empty())
    }

    /// What could not be looked up: as it was written, and why.
    pub fn troubles(&self) -> impl Iterator<Item = (&str, &str)> {
        let told = self.entries.iter().filter(|entry| !entry.trouble.is_empty());
        told.map(|entry| (entry.configured.address.written.as_str(), entry.trouble.as_str()))
    }

    pub fn find(&self, label: &str) -> Option<&Arc<Server>> {
        self.entries.iter().flat_map(|entry| &entry.servers).find(|server| &*server.label == label)
    }

    /// Whether the pool can do without this server: a share of those of its kind may be
    /// out, and never the last one.
    pub fn may_lose(&self, server: &Server, most: u8) -> bool {
        let (mut count, mut up, mut others) = (0, 0, 0);
        let mut is_up = false;
        for one in self.entries.iter().flat_map(|entry| &entry.servers) {
            let stands = one.life.standing().is_up();
            others += usize::from(stands);
            if one.backup == server.backup {
                count += 1;
                up += usize::from(stands);
                is_up |= stands && std::ptr::eq(&*one.life, &*server.life);
            }
        }
        let allowed = (count * usize::from(most) / 100).max(1);
        is_up && others > 1 && count - up < allowed
    }

    /// What the name of an entry stands for now.
    ///
    /// # Errors
    /// As [`Server::new`]; nothing was changed.
    pub fn found(
        &mut self,
        entry: usize,
        found: Result<Vec<Found>, String>,
        upstream: &Upstream,
    ) -> Result<News, String> {
        let Some(entry) = self.entries.get_mut(entry) else { return Ok(News::None) };
        let found = match found {
            Ok(found) => found,
            Err(trouble) if entry.trouble == trouble => return Ok(News::None),
            Err(trouble) => {
                entry.trouble.clone_from(&trouble);
                let kept = match entry.servers.len() {
                    0 => "it has no address".to_owned(),
                    count => format!("the last good answer stands ({count})"),
                };
                return Ok(News::Failed(format!(
                    "cannot look up {}: {trouble}; {kept}",
                    entry.configured.address.written
                )));
            }
        };
        let recovered = !std::mem::take(&mut entry.trouble).is_empty();
        let members = members_of(&entry.configured, &entry.members, &found);
        let mut servers = Vec::new();
        for member in &members {
            let is_same = |(before, _): &(&Member, &Arc<Server>)| before.address == member.address;
            match entry.members.iter().zip(&entry.servers).find(is_same) {
                Some((before, server)) if before.weight == member.weight => servers.push(Arc::clone(server)),
                // Another share, but the same server.
                Some((_, server)) => {
                    let life = Arc::clone(&server.life);
                    servers.push(Arc::new(Server::new(member, upstream, life, self.key.bytes())?));
                }
                None => {
                    servers.push(Arc::new(Server::new(member, upstream, new_life(&mut self.tally), self.key.bytes())?))
                }
            }
        }
        let weights = |members: &[Member]| members.iter().map(|member| member.weight).collect::<Vec<_>>();
        let reweighed = weights(&entry.members) != weights(&members);
        let has = |servers: &[Arc<Server>], one: &Arc<Server>| servers.iter().any(|s| Arc::ptr_eq(&s.life, &one.life));
        let come: Vec<_> = servers.iter().filter(|s| !has(&entry.servers, s)).cloned().collect();
        let gone: Vec<_> = entry.servers.iter().filter(|s| !has(&servers, s)).cloned().collect();
        (entry.members, entry.servers) = (members, servers);
        if come.is_empty() && gone.is_empty() && !recovered && !reweighed {
            return Ok(News::None);
        }
        let text = change(&entry.configured.address.written, entry.servers.len(), &come, &gone);
        self.retired.extend(gone);
        Ok(News::Changed(text))
    }

    /// Asked once for each.
    pub fn take_retired(&mut self) -> Vec<Arc<Server>> {
        std::mem::take(&mut self.retired)
    }
}

/// What was learnt of servers before a reload, by their addresses.
struct KnownLives<'b>(HashMap<&'b Address, Vec<Known<'b>>>);

type Known<'b> = (&'b Entry, &'b Member, &'b Arc<Life>);

impl<'b> KnownLives<'b> {
    fn of(before: Option<&'b Roster>) -> Self {
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for entry in before.into_iter().flat_map(|roster| &roster.entries) {
            for (member, server) in entry.members.iter().zip(&entry.servers) {
                known.entry(&member.address).or_default().push((entry, member, &server.life));
            }
        }
        Self(known)
    }

    /// Each once: two entries may have the same address. What the operator said at run time
    /// stands until the configuration says something else of the server.
    fn take(&mut self, member: &Member, configured: &UpstreamServer) -> Option<Arc<Life>> {
        let known = self.0.get_mut(&member.address).filter(|known| !known.is_empty())?;
        let same = known.iter().position(|(entry, _, _)| entry.configured.address.place == configured.address.place);
        let (_, before, life) = known.swap_remove(same.unwrap_or(0));
        if before.weight != member.weight || before.backup != member.backup {
            let mut standing = life.standing();
            standing.set_weight(None);
            standing.set_admin(Admin::Enabled);
        }
        Some(Arc::clone(life))
    }
}

fn new_life(tally: &mut Tally) -> Arc<Life> {
    Arc::new(Life::new(tally.counter()))
}

fn change(written: &str, count: usize, come: &[Arc<Server>], gone: &[Arc<Server>]) -> String {
    let list = |sign: char, servers: &[Arc<Server>]| -> String {
        servers.iter().map(|server| format!(" {sign}{}", server.label)).collect()
    };
    let addresses = if count == 1 { "1 address" } else { &format!("{count} addresses") };
    format!("{written} has {addresses} now:{}{}", list('+', come), list('-', gone)).trim_end_matches(':').to_owned()
}

/// What a name stood for before a reload.
fn still(entry: &Entry, configured: &UpstreamServer) -> Vec<Member> {
    let weight = |member: &Member| member.weight / entry.configured.weight.max(1) * configured.weight;
    let member =
        |member: &Member| Member { weight: weight(member).clamp(1, 1000), backup: configured.backup, ..member.clone() };
    entry.members.iter().map(member).collect()
}

fn member_at(configured: &UpstreamServer, address: &Address) -> Member {
    Member {
        address: address.clone(),
        label: configured.address.written.clone(),
        name: None,
        weight: configured.weight,
        backup: configured.backup,
    }
}

fn members_of(configured: &UpstreamServer, before: &[Member], found: &[Found]) -> Vec<Member> {
    let ServerPlace::Named(named) = &configured.address.place else { return before.to_vec() };
    let member = |found: &Found| {
        let address = Address::Tcp(found.address);
        let host = match named.kind {
            Lookup::One { port } | Lookup::Each { port } => {
                Some(format!("{}:{port}", named.name.trim_end_matches('.')))
            }
            Lookup::Services => None,
        };
        Member {
            label: address.to_string(),
            address,
            name: host,
            weight: found.weight * configured.weight,
            backup: configured.backup,
        }
    };
    // The largest may be so much above what a weight may be; the shares stay.
    let largest = found.iter().map(|found| found.weight * configured.weight).max().unwrap_or(1).max(1000);
    let member = |found: &Found| Member { weight: (member(found).weight * 1000 / largest).max(1), ..member(found) };
    match named.kind {
        Lookup::Each { .. } | Lookup::Services => found.iter().map(member).collect(),
        Lookup::One { .. } => {
            // It stays where it is for as long as the name stands for that, too.
            let stays = |found: &&Found| before.iter().any(|b| b.address == Address::Tcp(found.address));
            let one = found.iter().find(stays).or_else(|| found.first());
            one.map(|found| Member { label: configured.address.written.clone(), ..member(found) }).into_iter().collect()
        }
    }
}
