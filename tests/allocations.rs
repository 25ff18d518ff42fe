//! What allocates nothing, because it is done for every request.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::sync::Arc;

use proxy_service::config;
use proxy_service::limit::{Key, Limiter};
use proxy_service::message::hash::hash;
use proxy_service::metrics::{FinishedRequest, RouteMetrics, Series};
use proxy_service::upstream::{CookieKey, PickRequest, Pool};

#[test]
fn counting_a_request_of_a_known_key_allocates_nothing() {
    let limit = "rate_limit: { rate: 1000/h, burst: 10 }";
    let text = format!("listeners: [':80']\nroutes: [{{ {limit}, respond: {{}} }}]\n");
    let (config, _) = config::parse("test.yaml", &text, &|_| None).unwrap();
    let limiter = Limiter::new("a", &config.routes[0].rate_limits[0]).unwrap();
    let once = |n: u32| limiter.take(&Key::Address(std::net::Ipv4Addr::from_bits(n % 100).into())).0.passes;
    // The first of each sets up what is kept of it.
    (0..100).for_each(|n| assert!(once(n)));
    let mut passed = 0;
    let counted = allocation_counter::measure(|| passed = (0..5000).filter(|n| once(*n)).count());
    assert_eq!(counted.count_total, 0);
    assert!((900..1000).contains(&passed), "passed and refused ones are tried: {passed}");
}

#[test]
fn choosing_one_of_a_thousand_servers_allocates_nothing() {
    let servers: Vec<String> = (0..1000).map(|i| format!("'10.{}.{}.1:80'", i / 250, i % 250)).collect();
    for balance in ["round_robin", "least_conn", "p2c", "random", "{ hash: path }"] {
        let text = format!(
            "listeners: [':80']\nupstreams: {{ a: {{ servers: [{}], balance: {balance} }} }}\nroutes: [{{ upstream: a }}]\n",
            servers.join(", ")
        );
        let (config, _) = config::parse("test.yaml", &text, &|_| None).unwrap();
        let pool = Arc::new(Pool::new(&config.upstreams[0], None, &CookieKey::new(Vec::new())).unwrap());
        let once = |key: u64| {
            let request = PickRequest { hash: Some(hash(&key.to_le_bytes())), ..PickRequest::default() };
            assert!(pool.try_pick(&request).is_ok());
        };
        // The first sets up what each thread has once.
        once(0);
        let counted = allocation_counter::measure(|| (1..1000).for_each(once));
        assert_eq!(counted.count_total, 0, "{balance}");
    }
    assert_eq!(allocation_counter::measure(|| drop(Box::new(1))).count_total, 1, "the counter is blind");
}

#[test]
fn counting_a_finished_request_allocates_nothing() {
    let route = RouteMetrics::default();
    let once = |n: u16| {
        route.count(&FinishedRequest {
            series: Series::new(usize::from(n % 3), 0, 200 + n % 300),
            at: std::time::SystemTime::now(),
            trace_id: Some(7),
            request_id: Some(n.into()),
            duration: std::time::Duration::from_micros(n.into()),
            bytes_in: 1,
            bytes_out: 1,
            failure: Some((usize::from(n % 70), 80)),
        });
    };
    // The first sets up the cells of this thread.
    once(0);
    let counted = allocation_counter::measure(|| (1..5000).for_each(once));
    assert_eq!((counted.count_total, route.read().latency.count()), (0, 5000));
}
