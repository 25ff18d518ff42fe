//! The end of a client's connection: closing at once would destroy the last response on its way,
//! where the client still sends (RFC 9112 section 9.6).

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use pingora_timeout::timeout;
use tokio::io::{AsyncRead, ReadBuf};

use crate::http1::READ;
use crate::transport::Transport;

/// How long and how much a client may go on sending after its last response before the
/// connection is cut.
pub(super) const LINGER: Duration = Duration::from_secs(5);
/// Clients that look for a response only when they have sent their whole body get theirs if it is no
/// larger, in bytes.
pub(super) const LINGER_BYTES: usize = 64 << 20;

/// Reads what the client still sends, once our direction is closed.
///
/// # Errors
/// When the client is gone.
pub(super) async fn linger(stream: &mut Transport) -> io::Result<()> {
    let mut left = LINGER_BYTES;
    let drained = poll_fn(|cx| {
        loop {
            // It is no part of what the task of a connection holds while it waits.
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            match read.filled().len() {
                0 => return Poll::Ready(Ok(())),
                read if read > left => return Poll::Ready(Ok(())),
                read => left -= read,
            }
        }
    });
    timeout(LINGER, drained).await.unwrap_or(Ok(()))
}
