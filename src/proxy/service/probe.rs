//! A request of the process to itself: whether it can serve before clients depend on it.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::HttpService;
use crate::downstream::Remote;
use crate::downstream::http1::Connection;
use crate::transport::Socket;

impl HttpService {
    /// Sends a request through everything but an upstream, over no network, and reads
    /// the answer.
    ///
    /// # Errors
    /// In words, when there is no answer or a wrong one.
    pub async fn probe(self: &Arc<Self>, shutdown: &ShutdownWatch) -> Result<(), String> {
        const WAIT: Duration = Duration::from_secs(5);
        let answer = async {
            let (mut client, server) = UnixStream::pair()?;
            let socket = Socket::from(server);
            let connection = Connection::new(socket.into(), Remote::probe(), &self.shared.connections);
            let serving = tokio::spawn(Arc::clone(self).serve_http1(Box::new(connection), shutdown.clone()));
            // Refused for its missing Host, by the hooks.
            client.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await?;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await?;
            serving.abort();
            Ok::<_, std::io::Error>(answer)
        };
        match timeout(WAIT, answer).await {
            Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 400 ") => Ok(()),
            Ok(Ok(answer)) => {
                Err(format!("the probe of this process was answered {:?}", String::from_utf8_lossy(&answer)))
            }
            Ok(Err(e)) => Err(format!("the probe of this process failed: {e}")),
            Err(_) => Err(format!("the probe of this process had no answer within {} s", WAIT.as_secs())),
        }
    }
}
