//! Choosing one of a thousand servers must cost next to nothing, busy or idle.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use proxy_service::config;
use proxy_service::message::hash::hash;
use proxy_service::upstream::{CookieKey, PickRequest, Pool};

const BALANCES: [&str; 5] = ["round_robin", "least_conn", "p2c", "random", "{ hash: path }"];

fn pool(servers: usize, balance: &str) -> Arc<Pool> {
    let servers: Vec<String> = (0..servers).map(|i| format!("'10.{}.{}.1:80'", i / 250, i % 250)).collect();
    let text = format!(
        "listeners: [':80']\nupstreams: {{ a: {{ servers: [{}], balance: {balance} }} }}\nroutes: [{{ upstream: a }}]\n",
        servers.join(", ")
    );
    let (config, _) = config::parse("bench.yaml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let pool = Pool::new(&config.upstreams[0], None, &CookieKey::new(Vec::new()));
    Arc::new(pool.unwrap_or_else(|e| panic!("{e}")))
}

fn pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    for servers in [1, 10, 1_000] {
        for balance in BALANCES {
            let pool = pool(servers, balance);
            // Everybody is busy: none is so idle that the search may end with it.
            let held: Vec<_> = (0..servers * 4).filter_map(|_| pool.try_pick(&PickRequest::default()).ok()).collect();
            let mut key = 0u64;
            group.bench_function(BenchmarkId::new(balance, servers), |b| {
                b.iter(|| {
                    key += 1;
                    let request = PickRequest { hash: Some(hash(&key.to_le_bytes())), ..PickRequest::default() };
                    black_box(pool.try_pick(&request)).is_ok()
                })
            });
            drop(held);
        }
    }
    group.finish();
}

criterion_group!(benches, pick);
criterion_main!(benches);
