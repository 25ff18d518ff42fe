//! What requests are counted together, and what clients are told.

use pingora_http::{RequestHeader, ResponseHeader};

use super::*;
use crate::filter::cause::Cause;
use crate::filter::compile;
use crate::filter::context::FilterRequest;
use crate::filter::context::tests::asked;
use crate::filter::fields::Edited;
use crate::filter::findings::Findings;
use crate::filter::reply::Reply;

/// A claim is written as the field `claim-NAME`: the claims of these tests come from no token.
fn route(limit: &str) -> Route {
    let limit = limit.replace("claim:", "header:claim-");
    let text = format!("listeners: [':80']\nroutes: [{{ name: api, rate_limit: {limit}, respond: {{}} }}]\n");
    let (mut config, _) = crate::config::parse("test.yaml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let mut route = config.routes.remove(0);
    for limit in &mut route.rate_limits {
        if let LimitKey::Header(name) = &limit.key
            && let Some(claim) = name.as_str().strip_prefix("claim-")
        {
            limit.key = LimitKey::Claim(claim.to_owned());
        }
    }
    route
}

fn chain(limit: &str) -> Chain {
    compile(&route(limit), None).unwrap()
}

/// Whether the request passes, and what the client is told.
fn ask(
    chain: &Chain,
    client: &str,
    fields: &[(&'static str, &'static str)],
    claims: &[(&str, &str)],
) -> (bool, Vec<String>) {
    let mut head = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in fields {
        head.append_header(*name, *value).unwrap();
    }
    let mut findings = Findings::default();
    let texts = claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    findings.set_claims(crate::auth::Told::always(texts.collect()));
    let verdict = asked("/", |request| {
        let request = FilterRequest { head: &head, client_ip: client.parse().ok(), ..*request };
        chain.on_request(&mut FilterContext { request, findings: &mut findings })
    });
    let passes = match verdict {
        Verdict::Continue => true,
        Verdict::Reply(Reply::Error(Cause::RateLimited)) => false,
        Verdict::Reply(other) => panic!("{other:?}"),
    };
    let mut response = ResponseHeader::build(200, None).unwrap();
    findings.edit_response(&mut Edited::new(&mut response));
    (passes, response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect())
}

fn passes(chain: &Chain, client: &str, fields: &[(&'static str, &'static str)]) -> bool {
    ask(chain, client, fields, &[]).0
}

#[test]
fn clients_are_told_how_much_is_left_and_when_to_come_back() {
    let chain = chain("{ rate: 2/m, burst: 2 }");
    let told = |remaining, wait| {
        vec![
            "ratelimit-policy: \"client_ip\";q=2;w=60".to_owned(),
            format!("ratelimit: \"client_ip\";r={remaining};t={wait}"),
        ]
    };
    assert_eq!(ask(&chain, "10.0.0.1", &[], &[]), (true, told(1, 30)));
    assert_eq!(ask(&chain, "10.0.0.1", &[], &[]), (true, told(0, 30)));
    let mut refused = told(0, 30);
    refused.push("retry-after: 30".to_owned());
    assert_eq!(ask(&chain, "10.0.0.1", &[], &[]), (false, refused));
}

#[test]
fn each_key_counts_what_it_names() {
    let one = |key: &str| chain(&format!("{{ rate: 1/h, key: '{key}' }}"));
    let limit = one("client_ip");
    assert!(passes(&limit, "10.0.0.1", &[]) && !passes(&limit, "10.0.0.1", &[]) && passes(&limit, "10.0.0.2", &[]));
    assert!(passes(&limit, "2001:db8::1", &[]) && !passes(&limit, "2001:db8::ffff:2", &[]));
    assert!(passes(&limit, "2001:db8:0:1::1", &[]));

    let limit = one("header:x-key");
    assert!(passes(&limit, "10.0.0.1", &[("x-key", "a")]) && !passes(&limit, "10.0.0.2", &[("X-Key", "a")]));
    assert!(passes(&limit, "10.0.0.1", &[("x-key", "b")]), "another value");
    assert!(!passes(&limit, "10.0.0.1", &[("x-key", "a"), ("x-key", "a")]), "the same one twice");

    let limit = one("cookie:sid");
    let cookie = |value| [("cookie", value)];
    assert!(passes(&limit, "::1", &cookie("a=1; sid=x")) && !passes(&limit, "::1", &cookie("sid=\"x\"; sid=x")));
    assert!(passes(&limit, "::1", &cookie("sid=y")));

    let limit = one("route");
    assert!(passes(&limit, "10.0.0.1", &[]) && !passes(&limit, "10.0.0.2", &[("x-key", "b")]));

    let limit = one("claim:sub");
    let of = |who| ask(&limit, "10.0.0.1", &[], &[("iss", "a"), ("sub", who)]).0;
    assert!(of("ann") && !of("ann") && of("bob"));
}

/// Whichever of several values the service reads, inventing another one beside it gains nothing.
#[test]
fn requests_with_several_values_are_counted_together() {
    let limit = chain("{ rate: 1/h, key: 'header:x-key' }");
    assert!(passes(&limit, "::1", &[("x-key", "new1"), ("x-key", "a")]));
    for fields in
        [[("x-key", "new2"), ("x-key", "a")], [("x-key", "a"), ("x-key", "new3")], [("x-key", "new4"), ("x_key", "a")]]
    {
        assert!(!passes(&limit, "::1", &fields), "{fields:?}");
    }
    assert!(passes(&limit, "::1", &[("x-key", "a")]));
    let limit = chain("{ rate: 1/h, key: 'cookie:sid' }");
    assert!(passes(&limit, "::1", &[("cookie", "sid=new1; sid=a")]));
    assert!(!passes(&limit, "::1", &[("cookie", "sid=new2; sid=a")]));
    assert!(!passes(&limit, "::1", &[("cookie", "sid=new3"), ("cookie", "sid=a")]));
}

#[test]
fn requests_without_what_is_counted_by_are_counted_together() {
    for key in ["client_ip", "header:x-key", "cookie:sid", "claim:sub"] {
        let limit = chain(&format!("{{ rate: 1/h, key: '{key}' }}"));
        assert!(passes(&limit, "unix", &[]) && !passes(&limit, "unix", &[("x-other", "1")]), "{key}");
    }
}

#[test]
fn several_limits_all_count_and_are_told_apart() {
    let chain = chain("[{ rate: 100/s, burst: 3 }, { rate: 2/h }, { rate: 1000/s, key: route }]");
    let (is_passed, told) = ask(&chain, "10.0.0.1", &[], &[]);
    let policies: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("ratelimit-policy: ")).collect();
    assert!(is_passed);
    assert_eq!(policies, ["\"client_ip\";q=100;w=1", "\"client_ip.2\";q=2;w=3600", "\"route\";q=1000;w=1"]);
    assert!(passes(&chain, "10.0.0.1", &[]) && !passes(&chain, "10.0.0.1", &[]));
    assert!(passes(&chain, "10.0.0.2", &[]));
}

#[test]
fn what_one_limit_refuses_uses_up_none_of_the_others() {
    for (first, other) in [("route", "client_ip"), ("route", "claim:sub")] {
        let chain = chain(&format!("[{{ rate: 3/h, key: '{first}' }}, {{ rate: 1/h, key: '{other}' }}]"));
        let of = |client: &str, who: &str| {
            let who = if other.starts_with("claim") { who } else { "ann" };
            ask(&chain, client, &[], &[("sub", who)])
        };
        assert!(of("10.0.0.1", "ann").0);
        for _ in 0..9 {
            let (is_passed, told) = of("10.0.0.1", "ann");
            assert!(!is_passed);
            let left = |name: &str| {
                let start = format!("ratelimit: \"{name}\";");
                told.iter().filter_map(|line| line.strip_prefix(&start)).map(|left| left.get(..4).unwrap()).collect()
            };
            let (first, other): (Vec<_>, Vec<_>) = (left(first), left(other));
            assert_eq!((first, other), (vec!["r=2;"], vec!["r=0;"]), "{told:?}");
        }
        assert!(of("10.0.0.2", "bob").0 && of("10.0.0.3", "eve").0, "{first}, {other}");
        assert!(!of("10.0.0.4", "joe").0, "{first}, {other}");
    }
}

#[test]
fn limits_by_claim_come_last() {
    let chain = chain("[{ rate: 2/h, key: 'claim:sub' }, { rate: 1/h }]");
    assert!(passes(&chain, "10.0.0.1", &[]));
    // The address refuses before the claim is counted.
    (0..5).for_each(|_| assert!(!passes(&chain, "10.0.0.1", &[])));
    assert!(passes(&chain, "10.0.0.2", &[]) && !passes(&chain, "10.0.0.3", &[]));
}

#[test]
fn dry_run_lets_pass_and_tells_nobody_but_the_log() {
    let chain = chain("{ rate: 1/h, dry_run: true }");
    (0..3).for_each(|_| assert_eq!(ask(&chain, "10.0.0.1", &[], &[]), (true, Vec::new())));
}

#[test]
fn what_was_counted_stays_over_a_reload_that_changes_other_things() {
    let first = chain("{ rate: 1/h }");
    assert!(passes(&first, "10.0.0.1", &[]));
    let again = |limit: &str, previous: &Chain| compile(&route(limit), Some(previous)).unwrap();
    let same = again("[{ rate: 5/h, key: route }, { rate: 1/h, burst: 1 }]", &first);
    // A burst that is written out is another setting, if it says the same.
    assert!(passes(&same, "10.0.0.1", &[]));
    let same = again("[{ rate: 5/h, key: route }, { rate: 1/h }]", &first);
    assert!(!passes(&same, "10.0.0.1", &[]));
    assert_eq!(same.learnt.limiters.len(), 2);
    let dry = again("{ rate: 1/h, dry_run: true }", &same);
    assert!(passes(&dry, "10.0.0.1", &[]) && dry.learnt.limiters.len() == 1);
    assert!(!passes(&again("{ rate: 1/h }", &dry), "10.0.0.1", &[]));
    assert!(passes(&again("{ rate: 2/h }", &same), "10.0.0.1", &[]));
}

#[test]
fn limits_of_one_store_share_its_connection() {
    let shared = |name: &str| chain(&format!("{{ rate: 1/h, store: 'redis://127.0.0.1:1/{name}' }}"));
    let (one, other, third) = (shared("1"), shared("1"), shared("2"));
    let store = |chain: &Chain| Arc::clone(chain.stores().next().unwrap());
    assert!(Arc::ptr_eq(&store(&one), &store(&other)) && !Arc::ptr_eq(&store(&one), &store(&third)));
    // The filter asks nobody and counts nothing.
    (0..3).for_each(|_| assert!(passes(&one, "10.0.0.1", &[])));
    assert_eq!(chain("{ rate: 1/h }").stores().count(), 0);
}

#[test]
fn the_fields_of_the_upstream_stay() {
    let chain = chain("{ rate: 1/h }");
    let mut findings = Findings::default();
    asked("/", |request| {
        let mut cx = FilterContext { request: *request, findings: &mut findings };
        assert!(matches!(chain.on_request(&mut cx), Verdict::Continue));
    });
    let mut response = ResponseHeader::build(200, None).unwrap();
    response.append_header("RateLimit", "\"theirs\";r=1").unwrap();
    findings.edit_response(&mut Edited::new(&mut response));
    assert_eq!(response.headers.get_all("ratelimit").iter().count(), 2);
}
