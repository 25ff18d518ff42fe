//! The body of a message that is read, piece by piece, and where it ends (RFC 9112 section 6.3).

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::chunked::{BadChunk, Decoder};
use super::input::{Input, READ};

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncomingBody {
    Sized(u64),
    Chunked(Decoder),
    /// It ends with what the other end sends, as a tunnel does.
    ToEnd,
    /// Nothing: what comes belongs to the next message.
    Done,
}

impl IncomingBody {
    pub fn sized(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Sized(length) }
    }

    pub fn chunked() -> Self {
        Self::Chunked(Decoder::default())
    }

    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }

    /// Whether its end has arrived with `waiting`, or what cannot be read as a body.
    pub fn ends_within(&self, waiting: &[u8]) -> bool {
        match *self {
            Self::Done => true,
            Self::Sized(left) => u64::try_from(waiting.len()).is_ok_and(|waiting| waiting >= left),
            Self::Chunked(decoder) => chunks_end_within(decoder, waiting.get(decoder.held()..).unwrap_or_default()),
            Self::ToEnd => false,
        }
    }

    /// The next piece, or `None` at the end.
    pub fn poll_read(
        &mut self,
        input: &mut Input,
        from: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Bytes>>> {
        match *self {
            Self::Done => Poll::Ready(Ok(None)),
            Self::Sized(left) => {
                let piece = ready!(poll_some(input, from, cx, left))?;
                let left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                *self = Self::sized(left);
                Poll::Ready(Ok(Some(piece)))
            }
            Self::Chunked(decoder) => self.poll_chunked(decoder, input, from, cx),
            Self::ToEnd => {
                let piece = ready!(input.poll_piece(from, cx, u64::MAX))?;
                if piece.is_empty() {
                    *self = Self::Done;
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(Some(piece)))
            }
        }
    }

    fn poll_chunked(
        &mut self,
        mut decoder: Decoder,
        input: &mut Input,
        from: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            read_framing(&mut decoder, input).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
            *self = if decoder.is_done() { Self::Done } else { Self::Chunked(decoder) };
            if decoder.is_done() {
                return Poll::Ready(Ok(None));
            }
            let left = decoder.data_left();
            let is_next = left > 0 && !input.waiting().is_empty();
            // What is left of a large chunk goes on without another copy of it.
            if is_next || left > READ as u64 {
                let piece = ready!(poll_some(input, from, cx, left))?;
                decoder.skip_data(piece.len());
                self.look_ahead(decoder, input);
                return Poll::Ready(Ok(Some(piece)));
            }
            if ready!(input.poll_fill(from, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// The end of the body may have come with its last piece. What is wrong with it is told when
    /// more is asked for.
    fn look_ahead(&mut self, decoder: Decoder, input: &mut Input) {
        let mut ahead = decoder;
        let is_over = match ahead.skip_framing(input.waiting()) {
            Ok(read) if ahead.is_done() => take_framing(ahead, read, input).is_ok(),
            Ok(_) | Err(_) => false,
        };
        *self = if is_over { Self::Done } else { Self::Chunked(decoder) };
    }
}

/// Reads up to the next data, or to the end of the body. A trailer section stays in the input until it
/// is whole.
fn read_framing(decoder: &mut Decoder, input: &mut Input) -> Result<(), BadChunk> {
    let held = decoder.held();
    let read = decoder.skip_framing(input.waiting().get(held..).unwrap_or_default())?;
    take_framing(*decoder, held + read, input)
}

/// Takes from the input what the decoder has read of it.
fn take_framing(decoder: Decoder, read: usize, input: &mut Input) -> Result<(), BadChunk> {
    let held = decoder.held();
    if held > 0 && decoder.is_done() {
        return input.take_trailer_section(read - held, held);
    }
    input.skip(read - held);
    Ok(())
}

fn chunks_end_within(mut decoder: Decoder, mut waiting: &[u8]) -> bool {
    loop {
        let Ok(framing) = decoder.skip_framing(waiting) else { return true };
        waiting = waiting.get(framing..).unwrap_or_default();
        if decoder.is_done() || waiting.is_empty() {
            return decoder.is_done();
        }
        let data = usize::try_from(decoder.data_left()).map_or(waiting.len(), |left| left.min(waiting.len()));
        decoder.skip_data(data);
        waiting = waiting.get(data..).unwrap_or_default();
    }
}

/// A piece of what the other end has to send.
fn poll_some(
    input: &mut Input,
    from: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    most: u64,
) -> Poll<io::Result<Bytes>> {
    let piece = ready!(input.poll_piece(from, cx, most))?;
    Poll::Ready(if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(piece) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use std::future::poll_fn;
    use tokio::io::{AsyncWriteExt, duplex};

    /// Everything that is read of a body which arrives in such parts, with what is left for the
    /// next message.
    fn read(framing: IncomingBody, parts: &[&[u8]]) -> (io::Result<Vec<Bytes>>, Vec<u8>) {
        let (pieces, _, rest) = read_by(1 << 20, framing, &parts.concat());
        (pieces, rest)
    }

    /// The same of bytes that come so many at a time, with the trailers.
    fn read_by(
        size: usize,
        framing: IncomingBody,
        bytes: &[u8],
    ) -> (io::Result<Vec<Bytes>>, Option<HeaderMap>, Vec<u8>) {
        let (mut client, mut from) = duplex(size);
        let sending = async move { client.write_all(bytes).await.unwrap() };
        let reading = async {
            let (mut body, mut input, mut pieces) = (framing, Input::default(), Vec::new());
            let result = loop {
                match poll_fn(|cx| body.poll_read(&mut input, &mut from, cx)).await {
                    Ok(Some(piece)) => pieces.push(piece),
                    Ok(None) => break Ok(pieces),
                    Err(error) => break Err(error),
                }
            };
            assert_eq!(result.is_ok(), body.is_done());
            let trailers = input.take_trailers();
            assert!(input.take_trailers().is_none());
            let mut rest = input.waiting().to_vec();
            tokio::io::AsyncReadExt::read_to_end(&mut from, &mut rest).await.unwrap();
            (result, trailers, rest)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { tokio::join!(sending, reading).1 })
    }

    #[test]
    fn a_body_ends_where_it_says_and_the_rest_is_left() {
        let (pieces, rest) = read(IncomingBody::sized(5), &[b"helloGET /"]);
        assert_eq!((pieces.unwrap().concat().as_slice(), rest.as_slice()), (&b"hello"[..], &b"GET /"[..]));
        let (pieces, rest) = read(IncomingBody::chunked(), &[b"4\r\nwiki\r\n5\r\npedia\r\n0\r\nT: 1\r\n\r\nGET /"]);
        assert_eq!(pieces.unwrap(), ["wiki", "pedia"]);
        assert_eq!(rest, b"GET /");
        assert_eq!(read(IncomingBody::sized(0), &[b"x"]).1, b"x");
    }

    /// In whatever parts they arrive, beside the last piece of the body or behind it.
    #[test]
    fn trailers_are_kept_whole_and_the_rest_is_left() {
        let text = b"2\r\nab\r\n0\r\nX-Sum:7\r\ny: \xe9 z \t\r\nx-sum: 8\r\nEmpty:\r\n\r\nGET /";
        for size in 1..text.len() {
            let (pieces, trailers, rest) = read_by(size, IncomingBody::chunked(), text);
            assert_eq!(pieces.unwrap().concat(), b"ab", "{size}");
            let trailers = trailers.unwrap();
            let fields: Vec<_> = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            assert_eq!(fields, [("x-sum", &b"7"[..]), ("x-sum", b"8"), ("y", b"\xe9 z"), ("empty", b"")]);
            assert_eq!(rest, b"GET /");
        }
    }

    #[test]
    fn the_end_is_seen_before_it_is_read() {
        let ends = |body: IncomingBody, bytes: &str| body.ends_within(bytes.as_bytes());
        assert!(ends(IncomingBody::Done, "") && ends(IncomingBody::sized(3), "abcGET"));
        assert!(!ends(IncomingBody::sized(3), "ab") && !ends(IncomingBody::ToEnd, "ab"));
        let chunks = "4\r\nwiki\r\n5\r\npedia\r\n0\r\nT: 1\r\n\r\n";
        for length in 0..chunks.len() {
            assert!(!ends(IncomingBody::chunked(), &chunks[..length]), "{length}");
        }
        for (bytes, ends_there) in [(chunks, true), ("4\r\nwikipedia", true), ("fffffff\r\nwiki", false)] {
            assert_eq!(ends(IncomingBody::chunked(), bytes), ends_there, "{bytes}");
            assert_eq!(ends(IncomingBody::chunked(), &format!("{bytes}GET")), ends_there, "{bytes}");
        }
    }

    #[test]
    fn large_chunks_come_whole() {
        let data = vec![b'x'; 300_000];
        let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n0\r\n\r\nnext"].concat();
        let (pieces, rest) = read(IncomingBody::chunked(), &[&chunk]);
        assert_eq!((pieces.unwrap().concat(), rest), (data, b"next".to_vec()));
    }

    #[test]
    fn what_breaks_off_or_is_malformed_is_told() {
        for (framing, bytes, kind) in [
            (IncomingBody::sized(5), &b"hell"[..], io::ErrorKind::UnexpectedEof),
            (IncomingBody::chunked(), b"4\r\nwiki\r\n", io::ErrorKind::UnexpectedEof),
            (IncomingBody::chunked(), b"4\r\nwikipedia\r\n", io::ErrorKind::InvalidData),
            (IncomingBody::chunked(), b"0\r\nX\r\n\r\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read(framing, &[bytes]).0.unwrap_err().kind(), kind, "{}", bytes.escape_ascii());
        }
    }
}
