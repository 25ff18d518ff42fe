//! Matching must cost the same with ten routes as with ten thousand.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use proxy_service::config::{HostPattern, Match, PathPattern};
use proxy_service::route::{RequestView, RouteTable};

/// `count` routes: a third by host, a third by prefix, a third by exact path.
fn table(count: usize) -> RouteTable {
    RouteTable::new((0..count).map(|i| {
        let (hosts, path) = match i % 3 {
            0 => (vec![HostPattern::Exact(format!("h{i}.example.com"))], None),
            1 => (vec![], Some(PathPattern::Prefix(format!("/service-{i}/api/")))),
            _ => (vec![], Some(PathPattern::Exact(format!("/page/{i}")))),
        };
        (Match { hosts, paths: path.into_iter().collect(), ..Match::default() }, 0)
    }))
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("find");
    let headers = HeaderMap::new();
    for count in [10, 100, 1_000, 10_000] {
        let table = table(count);
        let last = (count - 1) / 3 * 3;
        let host = format!("h{last}.example.com");
        let prefix = format!("/service-{}/api/users/42", last.saturating_sub(2));
        for (case, host, path) in
            [("host", host.as_str(), "/x/y"), ("prefix", "a.b", prefix.as_str()), ("none", "a.b", "/no/such/page")]
        {
            let view = RequestView {
                method: &Method::GET,
                host,
                path,
                query: "",
                headers: &headers,
                client_ip: None,
                client_cert: None,
            };
            assert_eq!(table.find(&view).is_some(), case != "none");
            group.bench_with_input(BenchmarkId::new(case, count), &view, |b, view| {
                b.iter(|| table.find(black_box(view)))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, find);
criterion_main!(benches);
