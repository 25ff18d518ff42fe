//! `access`: lets a client in, or refuses it, by its address.

use super::cause::Cause;
use super::chain::{Chain, RequestFilter, Verdict};
use super::context::FilterContext;
use super::reply::Reply;
use crate::config::Route;
use crate::message::network_set::NetworkSet;

#[derive(Debug)]
struct Access {
    /// Empty where everybody is let in whom `deny` does not keep out.
    allow: NetworkSet,
    deny: NetworkSet,
}

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let access = Access { allow: NetworkSet::new(&route.access.allow), deny: NetworkSet::new(&route.access.deny) };
    if !(access.allow.is_empty() && access.deny.is_empty()) {
        chain.request.push(Box::new(access));
    }
    Ok(())
}

impl RequestFilter for Access {
    /// A client of which no address is known, as on a unix socket, is in no network: since a list
    /// that it might be kept out by cannot be asked, it is refused.
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        let is_let_in = |ip| !self.deny.contains(ip) && (self.allow.is_empty() || self.allow.contains(ip));
        match cx.request.client_ip.is_some_and(is_let_in) {
            true => Verdict::Continue,
            false => Verdict::Reply(Reply::Error(Cause::AddressRefused)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::context::FilterRequest;
    use super::super::context::tests::asked;
    use super::super::findings::Findings;
    use super::*;

    fn is_let_in(allow: &[&str], deny: &[&str], client: Option<&str>) -> bool {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let access = Access { allow: NetworkSet::new(&networks(allow)), deny: NetworkSet::new(&networks(deny)) };
        let client_ip = client.map(|ip| ip.parse::<IpAddr>().unwrap());
        let verdict = asked("/", |request| {
            let request = FilterRequest { client_ip, ..*request };
            access.on_request(&mut FilterContext { request, findings: &mut Findings::default() })
        });
        match verdict {
            Verdict::Continue => true,
            Verdict::Reply(Reply::Error(Cause::AddressRefused)) => false,
            Verdict::Reply(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn deny_wins_and_a_list_of_the_allowed_keeps_the_others_out() {
        let (all, some) = (&["10.0.0.0/8"][..], &["10.1.0.0/16"][..]);
        assert!(is_let_in(all, &[], Some("10.1.2.3")) && !is_let_in(all, &[], Some("11.1.2.3")));
        assert!(!is_let_in(&[], some, Some("10.1.2.3")) && is_let_in(&[], some, Some("11.1.2.3")));
        assert!(!is_let_in(all, some, Some("10.1.2.3")) && is_let_in(all, some, Some("10.2.2.3")));
        assert!(!is_let_in(some, all, Some("10.1.2.3")), "deny wins over a narrower allow");
    }

    #[test]
    fn an_address_that_maps_another_is_that_one() {
        assert!(is_let_in(&["10.0.0.0/8"], &[], Some("::ffff:10.1.2.3")));
        assert!(!is_let_in(&[], &["10.0.0.0/8"], Some("::ffff:10.1.2.3")));
    }

    #[test]
    fn a_client_without_an_address_is_refused() {
        assert!(!is_let_in(&["0.0.0.0/0", "::/0"], &[], None));
        assert!(!is_let_in(&[], &["10.0.0.0/8"], None));
    }
}
