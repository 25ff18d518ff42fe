//! Streams of HTTP/2: each sends its next request when its last one was answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;

use super::outcome::Outcome;
use super::target::Target;
use crate::error::Result;

/// The connections and streams of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    pub connections: usize,
    /// Requests under way on each connection.
    pub streams: usize,
    pub call: Call,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A body of 60 bytes.
    Get,
    /// A unary call of gRPC.
    Grpc,
}

/// A gRPC message of 16 bytes behind its prefix, as every call sends and every answer has it.
pub const MESSAGE: &[u8] = b"\0\0\0\0\x10a small message";

/// # Errors
/// When a connection cannot be opened; what fails later is counted.
pub fn multiplex(target: &Target, load: Streams, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut opened = Vec::new();
        for n in 0..load.connections {
            let wire = target.dialer(n).dial().await?;
            let (client, connection) = h2::client::handshake(wire.stream).await?;
            // What breaks is seen by the requests.
            tokio::spawn(async { connection.await.ok() });
            opened.push(client);
        }
        let began = Instant::now();
        let asking: Vec<_> = opened
            .iter()
            .flat_map(|client| std::iter::repeat_n(client, load.streams))
            .map(|client| tokio::spawn(ask(client.clone(), target.address, load.call, began + time)))
            .collect();
        let mut parts = Vec::new();
        for stream in asking {
            parts.push(stream.await?);
        }
        Ok(Outcome::of(parts, began.elapsed()))
    })
}

async fn ask(mut client: SendRequest<Bytes>, address: SocketAddr, call: Call, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    while Instant::now() < end {
        let began = Instant::now();
        let asked = async {
            client = client.clone().ready().await?;
            let response = send(&mut client, address, call)?;
            answer(response, call).await
        };
        if asked.await.is_ok() {
            outcome.note(began.elapsed());
        } else {
            outcome.errors += 1;
            // A connection that broke fails at once, and every time.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    outcome
}

fn send(client: &mut SendRequest<Bytes>, address: SocketAddr, call: Call) -> Result<ResponseFuture> {
    let request = Request::builder().header("user-agent", "compare");
    match call {
        Call::Get => {
            let request = request.uri(format!("http://{address}/")).header("accept", "*/*").body(())?;
            Ok(client.send_request(request, true)?.0)
        }
        Call::Grpc => {
            let request = request.method("POST").uri(format!("http://{address}/compare.Echo/Say"));
            let request = request.header("content-type", "application/grpc").header("te", "trailers").body(())?;
            let (response, mut body) = client.send_request(request, false)?;
            body.send_data(Bytes::from_static(MESSAGE), true)?;
            Ok(response)
        }
    }
}

/// Reads an answer, which must be the one that the origin gives.
async fn answer(response: ResponseFuture, call: Call) -> Result<()> {
    let response = response.await?;
    let status = response.status();
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        length += piece.len();
        body.flow_control().release_capacity(piece.len())?;
    }
    let trailers = body.trailers().await?;
    let expected = match call {
        Call::Get => length == 60,
        Call::Grpc => {
            length == MESSAGE.len()
                && trailers.is_some_and(|trailers| trailers.get("grpc-status").is_some_and(|s| s == "0"))
        }
    };
    if status == 200 && expected { Ok(()) } else { Err("not the answer".into()) }
}
