//! What is wrong with a client's frames by their heads alone. The crate `h2` refuses them too,
//! but calls most of it a PROTOCOL_ERROR where RFC 9113 has a word of its own.

use std::collections::VecDeque;

use h2::Reason;

use crate::http2::{Event, Frame, Kind};

/// Of SETTINGS (RFC 9113 section 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;
const MOST_WINDOW: u32 = 0x7fff_ffff;
/// Of how many streams it is remembered that the client has ended them.
const REMEMBERED: usize = 128;

/// Looks at one frame after the other.
#[derive(Debug, Default)]
pub(super) struct FrameFaults {
    /// The streams that the client ended or reset last.
    ended: VecDeque<u32>,
    /// A header block has begun and not ended.
    in_headers: bool,
    fault: Option<Reason>,
}

impl FrameFaults {
    pub fn note(&mut self, event: Event) {
        let fault = match event {
            Event::Frame(frame) => wrong_length(frame).or_else(|| self.follow(frame)),
            Event::Setting { id: INITIAL_WINDOW_SIZE, value } if value > MOST_WINDOW => {
                Some(Reason::FLOW_CONTROL_ERROR)
            }
            Event::Setting { .. } => None,
        };
        self.fault = self.fault.or(fault);
    }

    /// RFC 9113 section 5.1: nothing follows on a stream that the client has ended.
    fn follow(&mut self, frame: Frame) -> Option<Reason> {
        let is_ended = self.ended.contains(&frame.stream);
        let in_headers = self.in_headers;
        if matches!(frame.kind, Kind::Headers | Kind::Continuation) {
            self.in_headers = !frame.ends_headers();
        }
        match frame.kind {
            // Whatever it is, it is in the wrong place (RFC 9113 section 6.2): `h2` says so.
            _ if in_headers => {}
            Kind::Data | Kind::Headers if is_ended => return Some(Reason::STREAM_CLOSED),
            Kind::Data | Kind::Headers if frame.ends_stream() => self.remember(frame.stream),
            Kind::RstStream if !is_ended => self.remember(frame.stream),
            Kind::Data
            | Kind::Headers
            | Kind::RstStream
            | Kind::Priority
            | Kind::Settings
            | Kind::Ping
            | Kind::WindowUpdate
            | Kind::Continuation
            | Kind::Other => {}
        }
        None
    }

    fn remember(&mut self, stream: u32) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(stream);
    }

    /// What the connection has to end with.
    pub fn fault(&self) -> Option<Reason> {
        self.fault
    }
}

/// Frames of one length only.
fn wrong_length(frame: Frame) -> Option<Reason> {
    let is_right = match frame.kind {
        Kind::Priority => frame.length == 5,
        Kind::RstStream | Kind::WindowUpdate => frame.length == 4,
        Kind::Ping => frame.length == 8,
        Kind::Settings if frame.is_ack() => frame.length == 0,
        Kind::Settings => frame.length.is_multiple_of(6),
        Kind::Data | Kind::Headers | Kind::Continuation | Kind::Other => true,
    };
    (!is_right).then_some(Reason::FRAME_SIZE_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::{FrameReader, frame};

    fn fault(frames: &[Vec<u8>]) -> Option<Reason> {
        let (mut reader, mut faults) = (FrameReader::of_client(), FrameFaults::default());
        reader.read(&[0; 24], |_| ());
        reader.read(&frames.concat(), |event| faults.note(event));
        faults.fault()
    }

    #[test]
    fn each_fault_has_its_own_word() {
        let headers = || frame(1, 5, 1, b"x");
        let open = || frame(1, 4, 1, b"x");
        for (frames, reason) in [
            (vec![frame(6, 0, 0, b"x")], Reason::FRAME_SIZE_ERROR),
            (vec![frame(4, 0, 0, b"x")], Reason::FRAME_SIZE_ERROR),
            (vec![frame(4, 1, 0, &[0; 6])], Reason::FRAME_SIZE_ERROR),
            (vec![frame(8, 0, 0, b"x")], Reason::FRAME_SIZE_ERROR),
            (vec![frame(2, 0, 1, b"x")], Reason::FRAME_SIZE_ERROR),
            (vec![open(), frame(3, 0, 1, b"x")], Reason::FRAME_SIZE_ERROR),
            (vec![frame(4, 0, 0, &[0, 4, 0x80, 0, 0, 0])], Reason::FLOW_CONTROL_ERROR),
            (vec![headers(), frame(0, 1, 1, b"x")], Reason::STREAM_CLOSED),
            (vec![headers(), headers()], Reason::STREAM_CLOSED),
            (vec![open(), frame(3, 0, 1, &[0; 4]), headers()], Reason::STREAM_CLOSED),
        ] {
            assert_eq!(fault(&frames), Some(reason), "{frames:?}");
        }
        let fine = vec![
            open(),
            frame(0, 0, 1, b"x"),
            frame(0, 1, 1, b""),
            frame(3, 0, 1, &[0; 4]),
            frame(2, 0, 1, &[0; 5]),
            frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]),
            frame(4, 1, 0, b""),
        ];
        assert_eq!(fault(&fine), None);
    }
}
