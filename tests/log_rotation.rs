//! The access log is moved away and opened anew while requests come: no line is lost, and each one is
//! whole.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use support::{Proxy, await_until};

const ROUNDS: usize = 20;

#[test]
fn rotation_under_load_loses_no_line_and_tears_none() {
    let proxy = Proxy::start(
        "log: { access: { to: '{folder}/access.log' } }\nlisteners: ['{listen}']\nroutes: [{ respond: { status: 204 } }]\n",
    );
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..3 {
            let (stop, answered, proxy) = (&stop, &answered, &proxy);
            scope.spawn(move || {
                let mut connection = proxy.connect();
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    connection.send(format!("GET /{client}-{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    assert_eq!(connection.response().status, 204);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..ROUNDS {
            let before = answered.load(Ordering::SeqCst);
            await_until("requests", || answered.load(Ordering::SeqCst) > before + 50);
            let log = proxy.folder.0.join("access.log");
            std::fs::rename(&log, log.with_extension(format!("log.{round}"))).unwrap();
            proxy.signal("USR1");
            await_until("a new file", || log.exists());
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(proxy.order("stop").0, 0);
    let files = (0..ROUNDS).map(|round| format!("access.log.{round}")).chain(["access.log".to_owned()]);
    let texts: Vec<String> = files.map(|name| proxy.read(&name)).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let mut paths: Vec<String> = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line)["path"].as_str().unwrap().to_owned())
        .collect();
    let written = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), written), (answered.load(Ordering::SeqCst), answered.load(Ordering::SeqCst)));
    assert!(texts.iter().filter(|text| !text.is_empty()).count() > ROUNDS / 2, "the files were not used");
}
