//! An honest client of HTTP/2. Its calls block, each with a deadline; the connection is driven by
//! a runtime beside the test.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response as Head};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::client_tls::{AUTHORITY, server_name};
use super::front::{Ask, Fronted, Length};
use super::{DEADLINE, Response};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Blocks until it is there, or fails the test.
pub fn wait<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = RUNTIME.block_on(async { tokio::time::timeout(DEADLINE, future).await });
    waited.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// What came within a time, if anything did.
pub fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    RUNTIME.block_on(async { tokio::time::timeout(time, future).await }).ok()
}

/// A connection.
pub struct Http2 {
    scheme: &'static str,
    requests: SendRequest<Bytes>,
    driver: Option<JoinHandle<Result<(), h2::Error>>>,
}

impl Http2 {
    pub fn connect(proxy: &Fronted) -> Self {
        Self::connect_with(proxy, &Builder::new())
    }

    pub fn connect_with(proxy: &Fronted, builder: &Builder) -> Self {
        wait("an HTTP/2 connection", async {
            let stream = TcpStream::connect(proxy.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            if !proxy.front.is_tls() {
                return Self::shake_hands("http", stream, builder).await;
            }
            let connector = tokio_rustls::TlsConnector::from(AUTHORITY.client(b"h2"));
            let stream = connector.connect(server_name(), stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            Self::shake_hands("https", stream, builder).await
        })
    }

    async fn shake_hands(
        scheme: &'static str,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        builder: &Builder,
    ) -> Self {
        let (requests, mut connection) = builder.handshake(stream).await.unwrap();
        // The server's settings come first, and say whether it knows extended CONNECT.
        let (settled, when_settled) = tokio::sync::oneshot::channel();
        let mut settled = Some(settled);
        let mut pings = connection.ping_pong().unwrap();
        pings.send_ping(h2::Ping::opaque()).unwrap();
        let driver = tokio::spawn(async move {
            poll_fn(|cx| {
                if settled.is_some() && pings.poll_pong(cx).is_ready() {
                    settled.take().map(|settled| settled.send(()).ok());
                }
                Pin::new(&mut connection).poll(cx)
            })
            .await
        });
        when_settled.await.expect("the connection ended before it began");
        Self { scheme, requests, driver: Some(driver) }
    }

    pub fn begin(&mut self, ask: &Ask) -> Stream {
        self.try_begin(ask).unwrap()
    }

    /// Waits while as many streams are open as the server allows.
    pub fn try_begin(&mut self, ask: &Ask) -> Result<Stream, h2::Error> {
        let request = request(self.scheme, ask);
        wait("room for a stream", poll_fn(|cx| self.requests.poll_ready(cx)))?;
        let (response, out) = self.requests.send_request(request, ask.length == Length::NoBody && !ask.websocket)?;
        Ok(Stream {
            response,
            out: Some(out),
            body: None,
            buffer: Vec::new(),
            error: None,
            is_head: ask.method == "HEAD",
        })
    }

    pub fn most_streams(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// Whether another request may begin, within a time.
    pub fn has_room_within(&mut self, time: Duration) -> bool {
        within(time, poll_fn(|cx| self.requests.poll_ready(cx))).is_some_and(|ready| ready.is_ok())
    }

    /// Leaves without a word.
    pub fn shut_down(mut self) {
        self.driver.take().expect("the connection did not end").abort();
    }

    /// How the proxy ends the connection; waits for that.
    pub fn ended(&mut self) -> Result<(), h2::Error> {
        let driver = self.driver.take().expect("the connection's end is asked for once");
        wait("the end of the connection", driver).unwrap()
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            // What is still to be sent, and the streams that others hold, keep it.
            let _runtime = RUNTIME.enter();
            let abort = driver.abort_handle();
            tokio::spawn(async move {
                tokio::time::sleep(DEADLINE).await;
                abort.abort();
            });
        }
    }
}

fn request(scheme: &str, ask: &Ask) -> Request<()> {
    let mut request = Request::builder().method(if ask.websocket { "CONNECT" } else { &ask.method });
    request = request.uri(format!("{scheme}://{}{}", ask.host, ask.target));
    for (name, value) in &ask.fields {
        request = request.header(name.to_ascii_lowercase(), value);
    }
    if let Length::Said(length) = ask.length {
        request = request.header("content-length", length);
    }
    if ask.websocket {
        request = request.extension(Protocol::from("websocket"));
    }
    request.body(()).unwrap()
}

/// A request and its response.
pub struct Stream {
    response: ResponseFuture,
    out: Option<SendStream<Bytes>>,
    body: Option<RecvStream>,
    buffer: Vec<u8>,
    /// Why the stream was cut off.
    pub error: Option<h2::Error>,
    is_head: bool,
}

impl Stream {
    /// Waits for room in the windows.
    pub fn send(&mut self, piece: &[u8]) -> bool {
        let Some(out) = &mut self.out else { return false };
        wait("room in a window", send(out, Bytes::copy_from_slice(piece)))
    }

    /// Sends the last DATA frame, which is empty.
    pub fn end(&mut self) {
        self.end_with(b"");
    }

    /// Sends the last DATA frame, without waiting for room.
    pub fn end_with(&mut self, piece: &[u8]) {
        if let Some(mut out) = self.out.take() {
            out.send_data(Bytes::copy_from_slice(piece), true).ok();
        }
    }

    pub fn end_with_trailers(&mut self, trailers: HeaderMap) {
        if let Some(mut out) = self.out.take() {
            out.send_trailers(trailers).unwrap();
        }
    }

    pub fn keep_sending(&mut self) {
        let Some(mut out) = self.out.take() else { return };
        RUNTIME.spawn(async move { while send(&mut out, Bytes::from_static(&[b'x'; 0x4000])).await {} });
    }

    pub fn reset(&mut self, reason: Reason) {
        if let Some(out) = &mut self.out {
            out.send_reset(reason);
        }
    }

    /// Why the proxy resets the stream; waits for that.
    pub fn was_reset(&mut self) -> Reason {
        let out = self.out.as_mut().expect("the request is not whole");
        wait("a reset", poll_fn(|cx| out.poll_reset(cx))).unwrap()
    }

    pub fn head(&mut self) -> Response {
        self.try_head().unwrap_or_else(|e| panic!("the stream ended without a response: {e}"))
    }

    pub fn try_head(&mut self) -> Result<Response, h2::Error> {
        wait("a response", async {
            let head = poll_fn(|cx| {
                if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
                    return Poll::Ready(Ok(interim.map(|()| None)));
                }
                Pin::new(&mut self.response).poll(cx).map_ok(|last| last.map(Some))
            });
            let (parts, body) = head.await?.into_parts();
            if body.is_some() {
                self.body = body;
            }
            Ok(response(Head::from_parts(parts, ())))
        })
    }

    /// The next piece of the body; `None` at its end.
    fn piece(&mut self) -> Option<Bytes> {
        let body = self.body.as_mut().expect("the head was read");
        let piece = wait("a piece of a body", body.data())?;
        match piece {
            Ok(piece) => {
                body.flow_control().release_capacity(piece.len()).ok();
                Some(piece)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let piece = self.piece();
            let so_far = self.buffer.len();
            let why = &self.error;
            let piece = piece.unwrap_or_else(|| panic!("ended after {so_far} of {count} bytes: {why:?}"));
            self.buffer.extend_from_slice(&piece);
        }
        super::take_front(&mut self.buffer, count)
    }

    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        while let Some(piece) = self.piece() {
            assert!(!self.is_head, "a body after HEAD");
            self.buffer.extend_from_slice(&piece);
        }
        (std::mem::take(&mut self.buffer), self.error.is_none())
    }

    pub fn trailers(&mut self) -> Vec<(String, String)> {
        let Some(body) = self.body.as_mut().filter(|_| self.error.is_none()) else { return Vec::new() };
        fields(&wait("trailers", body.trailers()).unwrap().unwrap_or_default())
    }
}

async fn send(out: &mut SendStream<Bytes>, mut piece: Bytes) -> bool {
    while !piece.is_empty() {
        out.reserve_capacity(piece.len());
        let room = match poll_fn(|cx| out.poll_capacity(cx)).await {
            Some(Ok(room)) => room.min(piece.len()),
            Some(Err(_)) | None => return false,
        };
        if out.send_data(piece.split_to(room), false).is_err() {
            return false;
        }
    }
    true
}

fn response(head: Head<()>) -> Response {
    let status = head.status().as_u16();
    Response { line: format!("HTTP/2 {status}"), status, headers: fields(head.headers()), body: Vec::new() }
}

fn fields(map: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
