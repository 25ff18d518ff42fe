//! Clients that leave a queue, or only look as if they did, while some of their request's body was not
//! read: over each protocol, in the queue of a route and in that of an upstream.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use support::front::{Ask, Front, Fronted, Length, every_front};
use support::{Client, DEADLINE, Origin, await_until};

every_front! {
    who_leaves_a_queue_in_the_middle_of_a_body_makes_room
    a_body_that_came_while_its_request_waited_goes_up_whole
}

/// The queue of a route and that of an upstream, each with the metric of how many wait.
const QUEUES: [(&str, &str); 2] = [
    (
        "routes:\n  - { name: held, concurrency: { max: 1, queue: 5, queue_timeout: 60s }, upstream: '{origin}' }\n",
        "pingora_proxy_concurrency_queued{route=\"held\"}",
    ),
    (
        "upstreams:\n  api: { servers: ['{origin}'], pool: { max_connections: 1, queue: 5, queue_timeout: 60s } }\nroutes:\n  - { name: held, upstream: api }\n",
        "pingora_proxy_upstream_queued{upstream=\"api\"}",
    ),
];

/// A proxy before an origin that answers `/hold` only once it is let go, and anything else by the body
/// of the request.
struct Queue {
    proxy: Fronted,
    origin: Origin,
    release: Arc<(Mutex<bool>, Condvar)>,
    queued: &'static str,
}

impl Queue {
    fn over(front: Front, (yaml, queued): (&str, &'static str)) -> Self {
        let release = Arc::new((Mutex::new(false), Condvar::new()));
        let released = Arc::clone(&release);
        let origin = Origin::start(move |request, wire| {
            if request.target() == "/hold" {
                let guard = released.0.lock().unwrap();
                drop(released.1.wait_timeout_while(guard, DEADLINE, |go| !*go).unwrap());
            }
            let body = wire.body(&request.headers, false);
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            wire.send(body);
            true
        });
        let yaml = yaml.replace("{origin}", &origin.address.to_string());
        let proxy = front
            .start(&format!("listeners: ['{{listen}}']\nadmin: {{ address: 'unix:{{folder}}/admin.sock' }}\n{yaml}"));
        Self { proxy, origin, release, queued }
    }

    fn length(&self) -> u64 {
        let mut stream = UnixStream::connect(self.proxy.folder.0.join("admin.sock")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(self.queued)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {} in {text}", self.queued))
    }

    fn await_length(&self, length: u64) {
        await_until(&format!("{} is {length}", self.queued), || self.length() == length);
    }

    fn await_held(&self) {
        await_until("the origin holds a request", || self.origin.count() == 1);
    }

    fn let_go(&self) {
        *self.release.0.lock().unwrap() = true;
        self.release.1.notify_all();
    }
}

/// A connection that is reset when it is closed.
fn resetting(queue: &Queue) -> Client {
    let client = queue.proxy.connect();
    socket2::SockRef::from(&client.wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
    client
}

fn who_leaves_a_queue_in_the_middle_of_a_body_makes_room(front: Front) {
    for how in QUEUES {
        let queue = Queue::over(front, how);
        let (mut first, mut second) = (queue.proxy.link(), queue.proxy.link());
        let mut held = first.begin(&Ask::get("/hold"));
        queue.await_held();
        let mut waiting = second.begin(&Ask::post("/left", "").length(Length::Said(1000)));
        assert!(waiting.send("some of it"));
        queue.await_length(1);
        drop(waiting);
        second.shut_down();
        queue.await_length(0);
        let log = queue.proxy.access_log(1);
        assert_eq!((&log[0]["status"], &log[0]["reason"]), (&499.into(), &"client_gone".into()), "{}", log[0]);
        queue.let_go();
        assert_eq!(held.answer().status, 200);
        assert_eq!((queue.proxy.get("/").status, queue.origin.count()), (200, 2));
    }
}

fn a_body_that_came_while_its_request_waited_goes_up_whole(front: Front) {
    let body: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).take(100_000).collect();
    for (how, length) in QUEUES.into_iter().zip([Length::Said(100_000), Length::Unsaid]) {
        let queue = Queue::over(front, how);
        let (mut first, mut second) = (queue.proxy.link(), queue.proxy.link());
        let mut held = first.begin(&Ask::get("/hold"));
        queue.await_held();
        let mut waiting = second.begin(&Ask::post("/waits", "").length(length));
        for piece in body[..40_000].chunks(7_777) {
            assert!(waiting.send(piece));
        }
        queue.await_length(1);
        queue.let_go();
        for piece in body[40_000..].chunks(7_777) {
            assert!(waiting.send(piece));
        }
        waiting.end();
        let answer = waiting.answer();
        assert!(answer.status == 200 && answer.body == body, "{} bytes with {}", answer.body.len(), answer.status);
        assert_eq!(held.answer().status, 200);
    }
}

/// More has arrived of the body than is read before its turn.
#[test]
fn a_reset_is_noticed_behind_a_body_that_is_not_read() {
    for how in QUEUES {
        let queue = Queue::over(Front::Http1, how);
        let mut held = queue.proxy.connect();
        held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        queue.await_held();
        let mut waiting = resetting(&queue);
        waiting.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        waiting.wire.send(vec![b'x'; 50_000]);
        queue.await_length(1);
        drop(waiting);
        queue.await_length(0);
        queue.let_go();
        assert_eq!((held.response().status, queue.origin.count()), (200, 1));
    }
}

/// A FIN ends one direction only, also of a connection that waits for its turn (RFC 9112 section 9.6).
#[test]
fn who_has_sent_its_whole_request_may_close_its_direction_in_a_queue() {
    let requests = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none", "one"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n", "two"),
    ];
    for how in QUEUES {
        let queue = Queue::over(Front::Http1, how);
        let mut held = queue.proxy.connect();
        held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        queue.await_held();
        let mut waiting = Vec::new();
        for (request, echo) in requests {
            let mut client = queue.proxy.connect();
            client.send(request);
            client.wire.stream.shutdown(Shutdown::Write).unwrap();
            waiting.push((client, echo));
        }
        queue.await_length(3);
        // A FIN that was taken for a farewell would have been by then.
        std::thread::park_timeout(Duration::from_millis(300));
        assert_eq!(queue.length(), 3);
        queue.let_go();
        for (client, echo) in &mut waiting {
            let answer = client.response();
            assert_eq!((answer.status, answer.text()), (200, (*echo).to_owned()));
        }
        assert_eq!(held.response().status, 200);
    }
}

/// Nothing tells a client that has closed its direction from one that has left, but time.
#[test]
fn a_whole_request_whose_client_closed_its_direction_waits_for_five_seconds() {
    let queue = Queue::over(Front::Http1, QUEUES[1]);
    let mut held = queue.proxy.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    queue.await_held();
    let began = Instant::now();
    let small = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none".to_owned();
    // Whether this one is whole is not known: not all of it is read.
    let large = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{}", "x".repeat(50_000));
    for request in [small, large] {
        let mut client = queue.proxy.connect();
        client.send(request);
    }
    queue.await_length(2);
    queue.await_length(0);
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    queue.let_go();
    assert_eq!((held.response().status, queue.origin.count()), (200, 1));
}
