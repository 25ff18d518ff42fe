//! What clients may speak to the proxy, and one way to ask over any of it: a case that is written
//! once runs over every front.

use std::ops::Deref;
use std::path::PathBuf;

use super::client_tls::AUTHORITY;
use super::http1_exchange::Http1Exchange;
use super::http2_client::{Http2, Stream};
use super::{BINARY, Client, Folder, Proxy, Response, Wire};

/// Makes a test of each case over each front.
#[allow(unused_macros)] // as above
macro_rules! every_front {
    ($($case:ident)+) => {
        $crate::support::front::over_fronts! { [$($case)+]
            over_http1: Http1, over_http1_and_tls: Http1Tls, over_h2c: H2c, over_http2: Http2 }
    };
}

/// Makes a test of each case, which sends the bytes of HTTP/1 itself, in the clear and over TLS.
#[allow(unused_macros)] // as above
macro_rules! byte_fronts {
    ($($case:ident)+) => {
        $crate::support::front::over_fronts! { [$($case)+] bytes_in_the_clear: Http1, bytes_over_tls: Http1Tls }
    };
}

/// Makes a test of each case, which speaks of streams and frames, in the clear and over TLS.
#[allow(unused_macros)] // as above
macro_rules! http2_fronts {
    ($($case:ident)+) => {
        $crate::support::front::over_fronts! { [$($case)+] frames_in_the_clear: H2c, frames_over_tls: Http2 }
    };
}

#[allow(unused_macros)] // as above
macro_rules! over_fronts {
    ($cases:tt $($module:ident: $front:ident),+) => {
        $($crate::support::front::over_fronts! { @one $module $front $cases })+
    };
    (@one $module:ident $front:ident [$($case:ident)+]) => {
        mod $module {
            $(#[test]
            fn $case() {
                super::$case($crate::support::front::Front::$front);
            })+
        }
    };
}

#[allow(unused_imports)] // each test file uses its part
pub(crate) use {byte_fronts, every_front, http2_fronts, over_fronts};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Front {
    /// HTTP/1.1 in the clear.
    Http1,
    Http1Tls,
    /// HTTP/2 in the clear, with prior knowledge.
    H2c,
    /// Over TLS, by ALPN.
    Http2,
}

impl Front {
    pub fn is_http2(self) -> bool {
        matches!(self, Self::H2c | Self::Http2)
    }

    pub fn is_tls(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2)
    }

    pub fn scheme(self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    pub fn alpn(self) -> &'static [u8] {
        if self.is_http2() { b"h2" } else { b"" }
    }

    /// One listener as the configuration writes it.
    pub fn listener(self, address: &str) -> String {
        match self {
            Self::Http1 => format!("'{address}'"),
            Self::H2c => format!("{{ address: '{address}', http2: true }}"),
            Self::Http1Tls | Self::Http2 => format!(
                "{{ address: '{address}', tls: {{ certificates: [{{ cert: '{{folder}}/cert.pem', key: '{{folder}}/key.pem' }}] }} }}"
            ),
        }
    }

    /// A proxy whose clients use this front, by a text that lists `'{listen}'`.
    pub fn start(self, yaml: &str) -> Fronted {
        assert!(yaml.contains("'{listen}'"), "{yaml}");
        let yaml = yaml.replace("'{listen}'", &self.listener("{listen}"));
        let place = |folder: &Folder| {
            if self.is_tls() {
                write_certificate(folder);
            }
            PathBuf::from(BINARY)
        };
        Fronted { proxy: Proxy::start_program(&yaml, place), front: self }
    }

    /// The least configuration: everything to `origin`.
    pub fn before(self, origin: std::net::SocketAddr) -> Fronted {
        self.start(&format!("listeners: ['{{listen}}']\nroutes:\n  - upstream: '{origin}'\n"))
    }
}

/// A certificate and its key, in the files that [`Front::listener`] names.
pub fn write_certificate(folder: &Folder) {
    use std::os::unix::fs::PermissionsExt;
    let (certificate, key) = AUTHORITY.issue();
    folder.write("cert.pem", &certificate);
    let key = folder.write("key.pem", &key);
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Another pair is written file by file; between the two, the pair of before serves.
#[allow(dead_code)] // each test file uses its part
pub fn renew_certificate(proxy: &Proxy, round: usize) {
    let (certificate, key) = AUTHORITY.issue();
    let mut files = [("cert.pem", certificate), ("key.pem", key)];
    if round % 2 == 1 {
        files.reverse();
    }
    for (name, text) in files {
        proxy.folder.write(name, &text);
        // The first of them is refused, for it does not fit the other.
        proxy.order("reload");
    }
}

/// A proxy and what its clients speak.
pub struct Fronted {
    pub proxy: Proxy,
    pub front: Front,
}

impl Deref for Fronted {
    type Target = Proxy;
    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl Fronted {
    /// A connection to send bytes on.
    pub fn wire(&self) -> Wire {
        let stream = std::net::TcpStream::connect(self.address).unwrap();
        if self.front.is_tls() { Wire::over_tls(stream, &AUTHORITY, self.front.alpn()) } else { Wire::new(stream) }
    }

    /// A connection to send the bytes of HTTP/1 on.
    pub fn connect(&self) -> Client {
        assert!(!self.front.is_http2());
        Client::on(self.wire())
    }

    /// One request, as bytes of HTTP/1, on a connection of its own.
    pub fn ask_bytes(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    pub fn link(&self) -> Link {
        if self.front.is_http2() { Link::Http2(Http2::connect(self)) } else { Link::Http1(self.connect()) }
    }

    /// One request on a connection of its own.
    pub fn ask(&self, ask: &Ask) -> Answer {
        self.link().ask(ask)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask(&Ask::get(target).host("a.test"))
    }
}

/// How a request says how long its body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    NoBody,
    /// By Content-Length.
    Said(u64),
    /// Not at all: chunks, or frames until the last one.
    Unsaid,
}

/// What is asked, whatever the protocol.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    pub target: String,
    pub host: String,
    pub fields: Vec<(String, String)>,
    pub length: Length,
    pub body: Vec<u8>,
    /// Whether it asks for a WebSocket: by an upgrade, or by an extended CONNECT (RFC 8441).
    pub websocket: bool,
}

impl Ask {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: "a".to_owned(),
            fields: Vec::new(),
            length: Length::NoBody,
            body: Vec::new(),
            websocket: false,
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// With a body whose length is said.
    pub fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        Self { length: Length::Said(body.len() as u64), body, ..Self::new("POST", target) }
    }

    pub fn websocket(target: &str) -> Self {
        let ask = Self { websocket: true, ..Self::get(target) };
        ask.field("Sec-WebSocket-Version", "13")
    }

    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn length(mut self, length: Length) -> Self {
        self.length = length;
        self
    }
}

/// A response and how it ended.
#[derive(Clone, Debug)]
pub struct Answer {
    pub response: Response,
    pub trailers: Vec<(String, String)>,
    /// Not cut off.
    pub is_whole: bool,
}

impl Deref for Answer {
    type Target = Response;
    fn deref(&self) -> &Response {
        &self.response
    }
}

/// A client's connection.
pub enum Link {
    Http1(Client),
    Http2(Http2),
}

impl Link {
    /// Sends the head of a request.
    pub fn begin(&mut self, ask: &Ask) -> Exchange<'_> {
        match self {
            Self::Http1(client) => Exchange::Http1(Http1Exchange::begin(&mut client.wire, ask)),
            Self::Http2(client) => Exchange::Http2(client.begin(ask)),
        }
    }

    pub fn ask(&mut self, ask: &Ask) -> Answer {
        let mut exchange = self.begin(ask);
        if ask.length != Length::NoBody {
            exchange.send(&ask.body);
            exchange.end();
        }
        exchange.answer()
    }

    /// Leaves without a word.
    pub fn shut_down(self) {
        match self {
            Self::Http1(client) => client.wire.stream.shutdown(std::net::Shutdown::Both).unwrap(),
            Self::Http2(client) => client.shut_down(),
        }
    }

    /// Whether the proxy closes it; waits for that.
    pub fn is_closed(&mut self) -> bool {
        match self {
            Self::Http1(client) => client.wire.is_closed(),
            Self::Http2(client) => client.ended().is_ok(),
        }
    }
}

/// A request under way on a connection, or on a stream of it.
pub enum Exchange<'l> {
    Http1(Http1Exchange<'l>),
    Http2(Stream),
}

impl Exchange<'_> {
    /// A piece of the body, or of what goes through the tunnel; whether it could be sent.
    pub fn send(&mut self, piece: impl AsRef<[u8]>) -> bool {
        match self {
            Self::Http1(exchange) => exchange.send(piece.as_ref()),
            Self::Http2(stream) => stream.send(piece.as_ref()),
        }
    }

    /// The body is whole.
    pub fn end(&mut self) {
        match self {
            Self::Http1(exchange) => exchange.end(),
            Self::Http2(stream) => stream.end(),
        }
    }

    /// The body is whole, and these follow it.
    pub fn end_with_trailers(&mut self, trailers: &[(&str, &str)]) {
        match self {
            Self::Http1(exchange) => exchange.end_with_trailers(trailers),
            Self::Http2(stream) => {
                let field = |(name, value): &(&str, &str)| {
                    (http::HeaderName::try_from(*name).unwrap(), http::HeaderValue::try_from(*value).unwrap())
                };
                stream.end_with_trailers(trailers.iter().map(field).collect());
            }
        }
    }

    /// Goes on sending, beside what is done next, until nobody takes it.
    pub fn keep_sending(&mut self) {
        match self {
            Self::Http1(exchange) => exchange.keep_sending(),
            Self::Http2(stream) => stream.keep_sending(),
        }
    }

    /// The next head: an interim one or the last.
    pub fn head(&mut self) -> Response {
        match self {
            Self::Http1(exchange) => exchange.head(),
            Self::Http2(stream) => stream.head(),
        }
    }

    /// Whether the tunnel is open.
    pub fn opens_tunnel(&mut self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.head().status == 101,
            Self::Http2(stream) => stream.head().status == 200,
        }
    }

    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        match self {
            Self::Http1(exchange) => exchange.exactly(count),
            Self::Http2(stream) => stream.exactly(count),
        }
    }

    /// The rest of the body, or of what comes through the tunnel, and whether it is whole.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        match self {
            Self::Http1(exchange) => exchange.rest(),
            Self::Http2(stream) => stream.rest(),
        }
    }

    /// The last head and the body; interim ones are passed over.
    pub fn answer(&mut self) -> Answer {
        let mut response = self.head();
        while (100..200).contains(&response.status) && response.status != 101 {
            response = self.head();
        }
        let (body, is_whole) = self.rest();
        response.body = body;
        let trailers = match self {
            Self::Http1(exchange) => std::mem::take(&mut exchange.trailers),
            Self::Http2(stream) => stream.trailers(),
        };
        Answer { response, trailers, is_whole }
    }
}
