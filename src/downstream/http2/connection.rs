//! A client's connection of HTTP/2 from its preface to its end: its streams, one after the other
//! as they begin, and when all of it has to end.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request};
use log::Level;
use pingora_http::ResponseHeader;
use pingora_timeout::timeout;

use super::cut_off;
use super::guarded::{Guarded, SharedWatch};
use super::request_head::Head;
use super::response_head;
use super::seat::Seats;
use super::stream::StreamDriver;
use crate::config::Limits;
use crate::downstream::connection::{ClientConnection, Remote};
use crate::downstream::malformed::Malformed;
use crate::downstream::registry::{Closing, Connections};
use crate::exchange::{Pace, Timer};
use crate::transport::{Complaints, Transport};

/// How much of the bodies of one stream, and of all, may lie waiting, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of one response `h2` holds for a client that opens its window and reads slowly.
const SEND_BUFFER: usize = 64 * 1024;
/// The list of a head's fields is counted with 32 bytes for each (RFC 9113 section 6.5.2). The
/// limits of the configuration, which come first, are told with a reason.
const PER_FIELD: usize = 32;
/// How many streams may be reset by us for what is wrong with them (CVE-2025-8671).
const MOST_FAULTS: usize = 100;
/// What the log says of clients that are cut off.
static CUT_OFF: LazyLock<Complaints> = LazyLock::new(Complaints::default);
/// How long a connection that was told to end may take.
const LAST_FRAMES: Duration = Duration::from_secs(2);

/// How long a client has.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the preface, for the first request, and for each head.
    pub head: Duration,
    /// Without a stream.
    pub idle: Duration,
    /// While it takes nothing.
    pub write_idle: Duration,
}

/// A stream that has begun.
#[derive(Debug)]
pub enum Arrival {
    Request(Box<StreamDriver>),
    Refused(RefusedStream),
}

/// A stream whose request cannot be taken.
#[derive(Debug)]
pub struct RefusedStream {
    pub malformed: Malformed,
    /// The head, as HTTP/1.1 would write it.
    pub head: Vec<u8>,
    is_head: bool,
    respond: SendResponse<Bytes>,
    // Held until the reply is given.
    _body: RecvStream,
}

impl RefusedStream {
    /// Whether the request is malformed (RFC 9113 section 8.1.1): then its stream is reset. Any
    /// other is one that we do not take, and gets a reply.
    pub fn is_malformed(&self) -> bool {
        match self.malformed {
            Malformed::Syntax | Malformed::Host | Malformed::HostConflict => true,
            Malformed::LineTooLong
            | Malformed::HeadTooLarge
            | Malformed::TooManyFields
            | Malformed::Version
            | Malformed::Method
            | Malformed::Target
            | Malformed::Framing
            | Malformed::Coding => false,
        }
    }

    /// Resets the stream.
    pub fn reset(mut self) {
        self.respond.send_reset(Reason::PROTOCOL_ERROR);
    }

    /// Sends the reply.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn reply(mut self, head: ResponseHeader, body: Bytes) -> io::Result<()> {
        // The answer to HEAD has no body (RFC 9110 section 9.3.2).
        let mut stream =
            self.respond.send_response(response_head::last(head), self.is_head).map_err(super::output::lost)?;
        if self.is_head { Ok(()) } else { stream.send_data(body, true).map_err(super::output::lost) }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It goes on.
    Not,
    /// No new streams begin, and those that are open end by themselves.
    Graceful,
    /// It was cut.
    Abrupt,
}

/// A connection and the streams that are open on it.
#[derive(Debug)]
pub struct Connection {
    h2: server::Connection<Guarded, Bytes>,
    seats: Arc<Seats>,
    watch: SharedWatch,
    /// The process is about to end.
    closing: Closing,
    ending: Ending,
    /// Whether no stream has begun yet.
    is_new: bool,
    /// For a connection without a stream, or one that has to end.
    idle: Timer,
    is_idle: bool,
    /// For the rest of a head.
    unfinished: Timer,
    unfinished_frame: Option<u64>,
}

impl Connection {
    /// Reads the client's preface and sends ours.
    ///
    /// # Errors
    /// When the client does not send it in time, or it is none.
    pub async fn accept(
        transport: Transport,
        remote: Remote,
        connections: &Arc<Connections>,
        timeouts: Timeouts,
        limits: &Limits,
    ) -> io::Result<Self> {
        let mut client = ClientConnection::new(remote, connections.process_end()).through(&transport);
        client.is_http2 = true;
        let client = Arc::new(client);
        let registration = connections.register(Arc::clone(&client));
        let watch = SharedWatch::new();
        let guarded = Guarded::new(transport, watch.clone(), timeouts.write_idle);
        let handshake = settings(limits).handshake(guarded);
        let h2 = match timeout(timeouts.head, handshake).await {
            Ok(shaken) => shaken.map_err(super::output::lost)?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface in time")),
        };
        Ok(Self {
            h2,
            seats: Seats::new(client, registration),
            watch,
            closing: connections.when_closing(),
            ending: Ending::Not,
            is_new: true,
            idle: Timer::default(),
            is_idle: false,
            unfinished: Timer::default(),
            unfinished_frame: None,
        })
    }

    pub fn client(&self) -> &Arc<ClientConnection> {
        &self.seats.client
    }

    /// Drives the connection until another stream begins; `None` at its end. `pace`: of the
    /// client in the exchange that begins.
    pub async fn next(&mut self, timeouts: Timeouts, pace: Pace, limits: &Limits) -> Option<Arrival> {
        let begun = poll_fn(|cx| self.poll_next(timeouts, cx)).await;
        let (request, respond) = match begun? {
            Ok(begun) => begun,
            Err(error) => {
                log::debug!("a client's HTTP/2 connection: {error}");
                return None;
            }
        };
        self.is_new = false;
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let is_head = request.method() == Method::HEAD;
        Some(match Head::of(request, body.is_end_stream(), limits) {
            Ok(head) => {
                let seat = self.seats.take(pace);
                Arrival::Request(Box::new(StreamDriver::new(head, body, respond, seat)))
            }
            Err((malformed, head)) => {
                Arrival::Refused(RefusedStream { malformed, head, is_head, respond, _body: body })
            }
        })
    }

    #[allow(clippy::type_complexity)] // What `h2` returns.
    fn poll_next(
        &mut self,
        timeouts: Timeouts,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>> {
        self.seats.register_driver(cx);
        loop {
            if let Poll::Ready(begun) = self.h2.poll_accept(cx) {
                return Poll::Ready(begun);
            }
            // One that has just come has a request to send, as one of HTTP/1 has.
            if self.ending == Ending::Not && !self.is_new && self.closing.poll(cx).is_ready() {
                self.end_gracefully();
                continue;
            }
            if self.ending != Ending::Abrupt
                && let Some(reason) = self.verdict(timeouts.head, cx)
            {
                self.end_abruptly(reason);
                continue;
            }
            if !self.is_idle_for_too_long(timeouts, cx) {
                return Poll::Pending;
            }
            match self.ending {
                Ending::Not => self.end_gracefully(),
                Ending::Graceful | Ending::Abrupt => return Poll::Ready(None),
            }
        }
    }

    /// Another connection of the client's takes its next requests (RFC 9113 section 6.8).
    fn end_gracefully(&mut self) {
        self.ending = Ending::Graceful;
        self.is_idle = false;
        self.seats.end();
        self.h2.graceful_shutdown();
    }

    fn end_abruptly(&mut self, reason: Reason) {
        CUT_OFF.say(
            Level::Info,
            module_path!(),
            &format_args!("the HTTP/2 connection of {} is cut off: {}", self.name(), reason.description()),
        );
        cut_off::count(reason);
        self.ending = Ending::Abrupt;
        self.is_idle = false;
        self.h2.abrupt_shutdown(reason);
    }

    fn name(&self) -> String {
        self.client().address.map_or_else(|| "a unix socket".to_owned(), |address| address.to_string())
    }

    /// What the connection has to end with at once; `None` while the client behaves.
    fn verdict(&mut self, head: Duration, cx: &mut Context<'_>) -> Option<Reason> {
        if let Some(reason) = self.watch.lock().verdict() {
            return Some(reason);
        }
        let is_calm = !self.seats.cancellations.are_too_many() && !self.is_head_overdue(head, cx);
        (!is_calm).then_some(Reason::ENHANCE_YOUR_CALM)
    }

    /// Whether a frame or a header block that has begun does not come to its end.
    fn is_head_overdue(&mut self, limit: Duration, cx: &mut Context<'_>) -> bool {
        let unfinished = self.watch.lock().unfinished();
        if unfinished.is_none() {
            self.unfinished_frame = None;
            return false;
        }
        if self.unfinished_frame != unfinished {
            self.unfinished_frame = unfinished;
            self.unfinished.set(limit);
        }
        self.unfinished.poll(cx).is_ready()
    }

    /// Whether there was no stream for too long, or a connection that has to end does not.
    fn is_idle_for_too_long(&mut self, timeouts: Timeouts, cx: &mut Context<'_>) -> bool {
        let waits_for_streams = self.seats.open() > 0 && self.ending != Ending::Abrupt;
        if waits_for_streams {
            self.is_idle = false;
            return false;
        }
        if !std::mem::replace(&mut self.is_idle, true) {
            self.idle.set(match self.ending {
                Ending::Not if self.is_new => timeouts.head,
                Ending::Not => timeouts.idle,
                Ending::Graceful | Ending::Abrupt => LAST_FRAMES,
            });
        }
        let is_over = self.idle.poll(cx).is_ready();
        self.is_idle &= !is_over;
        is_over
    }
}

fn settings(limits: &Limits) -> server::Builder {
    let list = limits.request_headers + limits.request_line + PER_FIELD * limits.request_header_count;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(2 * list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(MOST_FAULTS))
        .enable_connect_protocol();
    builder
}
