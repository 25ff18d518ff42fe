//! A request that comes back to the proxy which sent it.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};

use support::{Origin, Proxy};

/// Carries bytes between whoever connects and an address that is set later. Its threads end
/// with the connections.
struct Relay {
    address: SocketAddr,
    to: Arc<OnceLock<SocketAddr>>,
}

impl Relay {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let to: Arc<OnceLock<SocketAddr>> = Arc::default();
        let target = Arc::clone(&to);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Some(server) = target.get().and_then(|to| TcpStream::connect(to).ok()) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        std::io::copy(&mut from, &mut to).ok();
                        to.shutdown(Shutdown::Write).ok();
                    });
                }
            }
        });
        Self { address, to }
    }
}

fn assert_ends(first: &Proxy, counted: &Proxy) {
    let response = first.get("/x");
    assert_eq!(response.status, 508, "{}", response.text());
    let status = response.header("proxy-status").unwrap();
    assert!(status.contains("error=proxy_loop_detected"), "{status}");
    let log = counted.access_log(5);
    assert_eq!(log.len(), 5, "{log:?}");
    let refused: Vec<_> = log.iter().filter(|line| line["error_source"] == "proxy").collect();
    assert!(refused.len() == 1 && refused[0]["status"] == 508, "{log:?}");
    assert!(refused[0]["error"].as_str().unwrap().contains("came back to this proxy"), "{log:?}");
}

#[test]
fn a_proxy_that_leads_to_itself_ends_the_loop_after_a_few_rounds() {
    let relay = Relay::start();
    let proxy = Proxy::before(relay.address);
    relay.to.set(proxy.address).unwrap();
    assert_ends(&proxy, &proxy);
}

#[test]
fn a_loop_through_another_proxy_ends_too() {
    let relay = Relay::start();
    let second = Proxy::before(relay.address);
    let first = Proxy::before(second.address);
    relay.to.set(first.address).unwrap();
    assert_ends(&first, &first);
}

#[test]
fn a_request_may_pass_a_proxy_twice_and_proxies_of_one_kind_in_a_row() {
    let relay = Relay::start();
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}']\nroutes:\n  - {{ match: {{ path: /again }}, request: {{ path: {{ strip_prefix: /again }} }}, upstream: '{}' }}\n  - {{ upstream: '{}' }}\n",
        relay.address, origin.address
    ));
    relay.to.set(proxy.address).unwrap();
    let outer = (0..5).fold(Vec::<Proxy>::new(), |mut chain, _| {
        let next = chain.last().map_or(proxy.address, |proxy| proxy.address);
        chain.push(Proxy::before(next));
        chain
    });
    assert_eq!(outer.last().unwrap().get("/again/x").text(), "ok");
    let seen = origin.last();
    let marks: Vec<&str> =
        seen.headers.iter().filter(|(name, _)| name == "CDN-Loop").map(|(_, v)| v.as_str()).collect();
    let marks = marks.join(", ");
    assert_eq!(marks.matches("pingora-proxy;id=").count(), 7, "{marks}");
    // nginx compresses nothing for a request that has one.
    assert_eq!(seen.header("via"), None);
}
