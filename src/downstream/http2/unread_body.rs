//! What is left of a request's body once its whole response was written: it is read for a while and
//! thrown away. To reset the stream at once is allowed (RFC 9113 section 8.1), but clients that still
//! send, such as curl, then take the response for lost.

use h2::RecvStream;
use pingora_timeout::timeout;
use tokio::runtime::Handle;

use crate::downstream::linger::{LINGER, LINGER_BYTES};

/// Reads it beside whatever is done next; the stream is reset when that took too long. Until then
/// it is one of the streams that the connection may have.
pub(super) fn discard(body: RecvStream) {
    if body.is_end_stream() {
        return;
    }
    // There is none while the process ends.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(timeout(LINGER, read(body)));
    }
}

async fn read(mut body: RecvStream) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(piece)) = body.data().await {
        if piece.len() > left || body.flow_control().release_capacity(piece.len()).is_err() {
            return;
        }
        left -= piece.len();
    }
}
