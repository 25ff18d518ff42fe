//! A server that speaks HTTP/2, each of whose answers is named by the path that is asked for.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: String,
    pub headers: HeaderMap,
}

/// What a server allows, and how it is reached.
#[derive(Clone, Default)]
pub struct Rules {
    pub max_streams: Option<u32>,
    pub extended_connect: bool,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// So many connections get a GOAWAY for their first request, which says that no request was looked at.
    pub turned_away: usize,
    /// What gRPC's health check is answered: 1 is SERVING, 100 that there is no such call.
    pub grpc_status: Arc<AtomicUsize>,
}

pub struct Http2Origin {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
    /// Connections that are open now.
    pub open: Arc<AtomicUsize>,
    /// Requests for `/hold` are answered once this is set.
    pub release: watch::Sender<bool>,
    _end: tokio::sync::oneshot::Sender<()>,
}

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    release: watch::Receiver<bool>,
    rules: Rules,
}

impl Http2Origin {
    pub fn start(rules: Rules) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections, open): (Arc<Mutex<Vec<Seen>>>, Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (release, released) = watch::channel(false);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let shared = Shared { seen: Arc::clone(&seen), open: Arc::clone(&open), release: released, rules };
        let counter = Arc::clone(&connections);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let accept = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let number = counter.fetch_add(1, Ordering::SeqCst);
                        tokio::spawn(connection(stream, number, shared.clone()));
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, seen, connections, open, release, _end: end }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.uri.clone()).collect()
    }
}

async fn connection(stream: TcpStream, number: usize, shared: Shared) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    stream.set_nodelay(true).unwrap();
    if number < shared.rules.turned_away {
        turn_away(stream).await;
    } else if let Some(config) = shared.rules.tls.clone() {
        if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
            serve(stream, &shared).await;
        }
    } else {
        serve(stream, &shared).await;
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: &Shared) {
    let mut builder = h2::server::Builder::new();
    if let Some(most) = shared.rules.max_streams {
        builder.max_concurrent_streams(most);
    }
    if shared.rules.extended_connect {
        builder.enable_connect_protocol();
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move { answer(request, respond, shared).await.ok() });
    }
}

/// Frames as they are: SETTINGS, and GOAWAY for the first request.
async fn turn_away(mut stream: TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        match head[3] {
            // HEADERS: no stream was looked at.
            1 => break stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap(),
            // PING
            6 if head[4] & 1 == 0 => {
                stream.write_all(&[0, 0, 8, 6, 1, 0, 0, 0, 0]).await.unwrap();
                stream.write_all(&payload).await.unwrap();
            }
            _ => {}
        }
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
}

fn head(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    mut shared: Shared,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let kind = parts.headers.get("content-type").cloned();
    // An answer to gRPC is one of gRPC.
    let head_like_request = |status: u16| {
        let mut response = head(status);
        response.headers_mut().extend(kind.clone().map(|kind| (http::header::CONTENT_TYPE, kind)));
        response
    };
    let earlier = {
        let mut seen = shared.seen.lock().unwrap();
        let uri = parts.uri.to_string();
        let earlier = seen.iter().filter(|one| one.uri == uri).count();
        seen.push(Seen { method: parts.method.clone(), uri, headers: parts.headers });
        earlier
    };
    match path.as_str() {
        "/echo" | "/chat" => {
            let mut send = respond.send_response(head_like_request(200), false)?;
            while let Some(piece) = body.data().await {
                let piece = piece?;
                body.flow_control().release_capacity(piece.len())?;
                send.reserve_capacity(piece.len());
                send.send_data(piece, false)?;
            }
            match body.trailers().await? {
                Some(trailers) => send.send_trailers(trailers)?,
                None => send.send_data(Bytes::new(), true)?,
            }
        }
        "/grpc.health.v1.Health/Check" => {
            let status = shared.rules.grpc_status.load(Ordering::SeqCst);
            let mut response = head(200);
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            if status == 100 {
                response.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
                respond.send_response(response, true)?;
                return Ok(());
            }
            let mut send = respond.send_response(response, false)?;
            send.send_data(vec![0, 0, 0, 0, 2, 8, u8::try_from(status).unwrap()].into(), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            send.send_trailers(trailers)?;
        }
        "/trailers" => {
            let mut send = respond.send_response(head_like_request(200), false)?;
            send.send_data("hi".into(), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            send.send_trailers(trailers)?;
        }
        "/refused-once" if earlier == 0 => respond.send_reset(Reason::REFUSED_STREAM),
        "/reset-once" if earlier == 0 => respond.send_reset(Reason::INTERNAL_ERROR),
        "/early-unknown-length" => {
            // Whole, and reset in the same breath.
            let mut send = respond.send_response(head(413), false)?;
            send.reserve_capacity(8);
            send.send_data("too much".into(), true)?;
        }
        "/reset-unknown-length" => {
            let mut send = respond.send_response(head(200), false)?;
            send.send_data("part".into(), false)?;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            send.send_reset(Reason::NO_ERROR);
        }
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/reset-in-body" | "/short" => {
            let mut response = head(200);
            response.headers_mut().insert("content-length", HeaderValue::from_static("10"));
            let mut send = respond.send_response(response, false)?;
            send.send_data("abc".into(), path == "/short")?;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            send.send_reset(Reason::INTERNAL_ERROR);
        }
        "/early" => {
            let mut send = respond.send_response(head(413), false)?;
            send.send_data("too much".into(), true)?;
            // A reset takes back what was not sent yet.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            // RFC 9113 section 8.1: the rest of the request is not wanted.
            respond.send_reset(Reason::NO_ERROR);
        }
        "/interim" => {
            let mut hint = head(103);
            hint.headers_mut().insert("link", HeaderValue::from_static("</a>"));
            respond.send_informational(hint)?;
            respond.send_response(head(204), true)?;
        }
        "/interim-flood" => {
            for _ in 0..100 {
                respond.send_informational(head(103))?;
            }
            respond.send_response(head(204), true)?;
        }
        "/large-head" => {
            let mut response = head(200);
            for index in 0..10 {
                let name = http::HeaderName::try_from(format!("x-{index}")).unwrap();
                response.headers_mut().insert(name, HeaderValue::try_from("x".repeat(120_000)).unwrap());
            }
            respond.send_response(response, true)?;
        }
        "/lengths" => {
            let mut response = head(200);
            response.headers_mut().append("content-length", HeaderValue::from_static("0"));
            response.headers_mut().append("content-length", HeaderValue::from_static("1"));
            respond.send_response(response, true)?;
        }
        "/hold" => {
            shared.release.wait_for(|released| *released).await.ok();
            respond.send_response(head(200), true)?;
        }
        "/silent" => std::future::pending().await,
        _ => {
            let mut length = 0;
            while let Some(piece) = body.data().await {
                let piece = piece?;
                length += piece.len();
                body.flow_control().release_capacity(piece.len())?;
            }
            let trailers = body.trailers().await?;
            let mut send = respond.send_response(head(200), false)?;
            send.send_data(format!("{length} bytes").into(), trailers.is_none())?;
            if let Some(trailers) = trailers {
                send.send_trailers(trailers)?;
            }
        }
    }
    Ok(())
}

/// A certificate that nobody verifies; the protocols are what the server selects from.
pub fn tls(protocols: &[&[u8]]) -> Arc<rustls::ServerConfig> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["app.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config =
        builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}
