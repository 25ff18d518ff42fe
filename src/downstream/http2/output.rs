//! What was written of a stream's response and waits for the client to have room for it.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};

/// The response of a stream on its way out. What `h2` takes of it is bounded by the windows that
/// the client opens and by its send buffer.
#[derive(Debug)]
pub(super) struct Output {
    stream: Stage,
    /// The final head, while it was not sent.
    head: Option<Response<()>>,
    pieces: VecDeque<Bytes>,
    /// The bytes of all `pieces`.
    in_pieces: usize,
    trailers: Option<HeaderMap>,
    /// Nothing more is written.
    ends: bool,
    /// How much was taken since this was last asked.
    taken: usize,
}

/// How much of the response was sent.
#[derive(Debug)]
enum Stage {
    Nothing(SendResponse<Bytes>),
    Head(SendStream<Bytes>),
    /// All of it.
    Whole,
    /// The client shall get no more of it.
    Reset,
}

impl Output {
    pub fn new(stream: SendResponse<Bytes>) -> Self {
        Self {
            stream: Stage::Nothing(stream),
            head: None,
            pieces: VecDeque::new(),
            in_pieces: 0,
            trailers: None,
            ends: false,
            taken: 0,
        }
    }

    /// Sends an interim response.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn send_interim(&mut self, head: Response<()>) -> io::Result<()> {
        match &mut self.stream {
            Stage::Nothing(stream) => stream.send_informational(head).map_err(lost),
            Stage::Head(_) | Stage::Whole | Stage::Reset => Ok(()),
        }
    }

    pub fn set_head(&mut self, head: Response<()>) {
        self.head = Some(head);
    }

    pub fn push(&mut self, piece: Bytes) {
        self.in_pieces += piece.len();
        self.pieces.push_back(piece);
    }

    pub fn set_trailers(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
    }

    /// Nothing more is written.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// How many bytes wait to be sent; the end of the stream and its head count as one.
    pub fn waiting(&self) -> usize {
        self.in_pieces + usize::from(self.head.is_some())
    }

    /// How much was taken since this was last asked.
    pub fn take_taken(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }

    /// Ready once everything is sent.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(head) = self.head.take() {
            self.send_head(head)?;
        }
        while let Stage::Head(stream) = &mut self.stream {
            let Some(piece) = self.pieces.front_mut() else {
                return Poll::Ready(if self.ends { self.send_end() } else { Ok(()) });
            };
            stream.reserve_capacity(self.in_pieces);
            let room = match stream.capacity() {
                0 => match ready!(stream.poll_capacity(cx)) {
                    Some(room) => room.map_err(lost)?,
                    None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                },
                room => room,
            };
            let part = piece.split_to(room.min(piece.len()));
            if piece.is_empty() {
                self.pieces.pop_front();
            }
            self.in_pieces -= part.len();
            self.taken += part.len();
            let ends = self.ends && self.pieces.is_empty() && self.trailers.is_none();
            stream.send_data(part, ends).map_err(lost)?;
            if ends {
                self.stream = Stage::Whole;
            }
        }
        match self.stream {
            Stage::Reset => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Stage::Nothing(_) | Stage::Head(_) | Stage::Whole => Poll::Ready(Ok(())),
        }
    }

    fn send_head(&mut self, head: Response<()>) -> io::Result<()> {
        let Stage::Nothing(stream) = &mut self.stream else { return Ok(()) };
        let ends = self.ends && self.pieces.is_empty() && self.trailers.is_none();
        let stream = stream.send_response(head, ends).map_err(lost)?;
        self.stream = if ends { Stage::Whole } else { Stage::Head(stream) };
        Ok(())
    }

    fn send_end(&mut self) -> io::Result<()> {
        if let Stage::Head(stream) = &mut self.stream {
            match self.trailers.take() {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            }
            .map_err(lost)?;
            self.stream = Stage::Whole;
        }
        Ok(())
    }

    /// Ready once the client has cancelled the stream, or is gone.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match &mut self.stream {
            Stage::Nothing(stream) => ready!(stream.poll_reset(cx)),
            Stage::Head(stream) => ready!(stream.poll_reset(cx)),
            Stage::Whole | Stage::Reset => return Poll::Pending,
        };
        Poll::Ready(match reset {
            Ok(reason) => io::Error::new(io::ErrorKind::ConnectionReset, h2::Error::from(reason)),
            Err(error) => lost(error),
        })
    }

    /// Whether no head of a final response was sent.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.stream, Stage::Nothing(_))
    }

    pub fn is_whole(&self) -> bool {
        matches!(self.stream, Stage::Whole)
    }

    /// The client shall see that the response is not whole.
    pub fn reset(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.stream, Stage::Reset) {
            Stage::Nothing(mut stream) => stream.send_reset(reason),
            Stage::Head(mut stream) => stream.send_reset(reason),
            Stage::Whole => self.stream = Stage::Whole,
            Stage::Reset => {}
        }
        (self.pieces, self.in_pieces, self.head) = (VecDeque::new(), 0, None);
    }
}

/// The client's connection or its stream is gone.
pub(super) fn lost(error: h2::Error) -> io::Error {
    let kind = error.get_io().map_or(io::ErrorKind::ConnectionReset, io::Error::kind);
    io::Error::new(kind, error)
}
