//! The service behind the proxies: as cheap as can be, so that the proxy is what is
//! measured. `/bytes/N` gives N bytes, `/upload` reads a body, `/ws` echoes, anything
//! else gives 60 bytes.

use std::io::Read;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::error::Result;
use crate::load::field;

const LARGEST: usize = 10_000_000;

/// Prints the port of gRPC, and then those of HTTP/1.1.
pub fn serve(ports: usize) -> Result<()> {
    crate::load::raise_file_limit()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let body: Arc<[u8]> = (0..LARGEST).map(|i| b'a' + u8::try_from(i % 26).unwrap_or(0)).collect();
        let grpc = TcpListener::bind("127.0.0.1:0").await?;
        let mut numbers = vec![grpc.local_addr()?.port().to_string()];
        tokio::spawn(crate::origin_grpc::accept(grpc));
        for _ in 0..ports {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            numbers.push(listener.local_addr()?.port().to_string());
            tokio::spawn(accept(listener, Arc::clone(&body)));
        }
        println!("{}", numbers.join(" "));
        // The process that started this one holds the other end of stdin.
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

async fn accept(listener: TcpListener, body: Arc<[u8]>) {
    while let Ok((stream, _)) = listener.accept().await {
        let body = Arc::clone(&body);
        tokio::spawn(async move {
            // A client that leaves is no error.
            answer_all(stream, &body).await.ok();
        });
    }
}

struct RequestHead {
    path: String,
    head: usize,
    length: usize,
    chunked: bool,
}

async fn answer_all(mut stream: TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(16 * 1024);
    loop {
        let request = loop {
            if let Some(request) = parse(&buffer)? {
                break request;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        buffer.drain(..request.head);
        skip_body(&mut stream, &mut buffer, &request).await?;
        if request.path == "/ws" {
            return echo(stream, buffer).await;
        }
        let size = request.path.strip_prefix("/bytes/").and_then(|size| size.parse().ok()).unwrap_or(60);
        let body = &body[..LARGEST.min(size)];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        if body.len() < 16 * 1024 {
            stream.write_all(&[head.as_bytes(), body].concat()).await?;
        } else {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
        }
    }
}

fn parse(buffer: &[u8]) -> std::io::Result<Option<RequestHead>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(buffer).map_err(std::io::Error::other)?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let field = |name| field(request.headers, name);
    let length = field("content-length").and_then(|length| length.parse().ok());
    Ok(Some(RequestHead {
        path: request.path.unwrap_or("/").to_owned(),
        head,
        length: length.unwrap_or(0),
        chunked: field("transfer-encoding").is_some(),
    }))
}

async fn skip_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &RequestHead) -> std::io::Result<()> {
    if request.chunked {
        // The uploads of the cases hold no such bytes.
        while !buffer.ends_with(b"0\r\n\r\n") {
            let kept = buffer.len().min(4);
            buffer.drain(..buffer.len() - kept);
            if stream.read_buf(buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        buffer.clear();
        return Ok(());
    }
    let mut left = request.length;
    if left <= buffer.len() {
        buffer.drain(..left);
        return Ok(());
    }
    left -= buffer.len();
    buffer.clear();
    let mut piece = vec![0; 64 * 1024];
    while left > 0 {
        let most = left.min(piece.len());
        match stream.read(&mut piece[..most]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => left -= read,
        }
    }
    Ok(())
}

/// Takes the example key of RFC 6455 and sends each frame back unmasked. The frames
/// are short, and each arrives whole or in order.
async fn echo(mut stream: TcpStream, mut buffer: Vec<u8>) -> std::io::Result<()> {
    stream
        .write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await?;
    loop {
        while let Some((frame, used)) = unmask(&buffer) {
            buffer.drain(..used);
            stream.write_all(&frame).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

fn unmask(buffer: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [first, second, ..] = *buffer else { return None };
    let length = usize::from(second & 0x7f);
    let mask = buffer.get(2..6)?;
    let payload = buffer.get(6..6 + length)?;
    let mut frame = vec![first, second & 0x7f];
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Some((frame, 6 + length))
}
