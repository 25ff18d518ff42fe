//! The frames that the other end sends: which there are, and how much of the last one is missing
//! (RFC 9113 section 4.1).

/// What every client sends first (RFC 9113 section 3.4).
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// An entry of SETTINGS: an identifier and its value.
const SETTING: usize = 6;

/// The frame types of RFC 9113 section 6 that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    Ping,
    WindowUpdate,
    Continuation,
    /// PUSH_PROMISE and GOAWAY, and what is not known.
    Other,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    flags: u8,
    /// Of the payload, in bytes.
    pub length: usize,
    pub stream: u32,
}

impl Frame {
    fn of(head: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = head;
        Self {
            kind: match kind {
                0 => Kind::Data,
                1 => Kind::Headers,
                2 => Kind::Priority,
                3 => Kind::RstStream,
                4 => Kind::Settings,
                6 => Kind::Ping,
                8 => Kind::WindowUpdate,
                9 => Kind::Continuation,
                _ => Kind::Other,
            },
            flags,
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            // The first bit is reserved.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    /// Of DATA and HEADERS.
    pub fn ends_stream(self) -> bool {
        self.flags & 1 != 0
    }

    /// Of SETTINGS and PING.
    pub fn is_ack(self) -> bool {
        self.flags & 1 != 0
    }

    /// Of HEADERS and CONTINUATION.
    pub fn ends_headers(self) -> bool {
        self.flags & 4 != 0
    }
}

/// What a reader tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Frame(Frame),
    Setting { id: u16, value: u32 },
}

/// Finds the frames in what arrives, however that is cut.
#[derive(Debug)]
pub struct FrameReader {
    /// Bytes to come of the preface or of a frame's payload.
    left: usize,
    head: [u8; HEAD],
    /// How much of `head`, or of a setting, has come.
    filled: usize,
    in_settings: bool,
    in_data: bool,
    in_headers: bool,
    /// How many frames have begun.
    count: u64,
}

impl FrameReader {
    /// Of what a client sends.
    pub fn of_client() -> Self {
        Self { left: PREFACE, ..Self::of_server() }
    }

    /// Of what a server sends, which has no preface but its SETTINGS.
    pub fn of_server() -> Self {
        Self { left: 0, head: [0; HEAD], filled: 0, in_settings: false, in_data: false, in_headers: false, count: 0 }
    }

    pub fn read(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Event)) {
        while !bytes.is_empty() {
            bytes = match (self.left > 0, self.in_settings) {
                (false, _) => self.read_head(bytes, &mut tell),
                (true, true) => self.read_setting(bytes, &mut tell),
                (true, false) => {
                    let skipped = self.left.min(bytes.len());
                    self.left -= skipped;
                    &bytes[skipped..]
                }
            };
        }
    }

    /// Keeps what there is of `length` bytes. Returns the rest once they are whole.
    fn gather<'b>(&mut self, bytes: &'b [u8], length: usize) -> (bool, &'b [u8]) {
        let (part, rest) = bytes.split_at((length - self.filled).min(bytes.len()));
        self.head[self.filled..self.filled + part.len()].copy_from_slice(part);
        self.filled += part.len();
        let is_whole = self.filled == length;
        if is_whole {
            self.filled = 0;
        }
        (is_whole, rest)
    }

    fn read_head<'b>(&mut self, bytes: &'b [u8], tell: &mut impl FnMut(Event)) -> &'b [u8] {
        let (is_whole, rest) = self.gather(bytes, HEAD);
        if is_whole {
            let frame = Frame::of(self.head);
            self.left = frame.length;
            self.count += 1;
            self.in_data = frame.kind == Kind::Data;
            // One of another length is no list of settings.
            self.in_settings = frame.kind == Kind::Settings && frame.length.is_multiple_of(SETTING);
            if matches!(frame.kind, Kind::Headers | Kind::Continuation) {
                self.in_headers = !frame.ends_headers();
            }
            tell(Event::Frame(frame));
        }
        rest
    }

    fn read_setting<'b>(&mut self, bytes: &'b [u8], tell: &mut impl FnMut(Event)) -> &'b [u8] {
        let (is_whole, rest) = self.gather(bytes, SETTING);
        self.left -= bytes.len() - rest.len();
        if is_whole {
            let [a, b, value @ .., _, _, _] = self.head;
            tell(Event::Setting { id: u16::from_be_bytes([a, b]), value: u32::from_be_bytes(value) });
        }
        rest
    }

    /// The number of the frame that is under way, which the other end has to finish, or to follow up
    /// with the rest of its header block. That of a body has its deadline with the request.
    pub fn unfinished(&self) -> Option<u64> {
        let in_frame = self.filled > 0 || self.left > 0 && !self.in_data;
        (in_frame || self.in_headers).then_some(self.count)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let settings = [0, 4, 0, 0, 1, 0, 0, 3, 0, 0, 0, 9];
        let bytes = [
            vec![0; PREFACE],
            frame(4, 0, 0, &settings),
            frame(1, 0, 1, b"1234567"),
            frame(9, 4, 1, b"123"),
            frame(0, 1, 0x8000_0001, b"12"),
        ]
        .concat();
        for step in [1, 2, 5, bytes.len()] {
            let (mut reader, mut events, mut unfinished) = (FrameReader::of_client(), Vec::new(), Vec::new());
            for piece in bytes.chunks(step) {
                reader.read(piece, |event| events.push(event));
                unfinished.push(reader.unfinished().is_some());
            }
            let kinds = events.iter().filter_map(|event| match event {
                Event::Frame(frame) => Some((frame.kind, frame.stream, frame.length, frame.ends_stream())),
                Event::Setting { .. } => None,
            });
            let kinds = kinds.collect::<Vec<_>>();
            let expected = [
                (Kind::Settings, 0, 12, false),
                (Kind::Headers, 1, 7, false),
                (Kind::Continuation, 1, 3, false),
                (Kind::Data, 1, 2, true),
            ];
            assert_eq!(kinds, expected, "{step}");
            assert!(events.contains(&Event::Setting { id: 4, value: 256 }));
            assert!(events.contains(&Event::Setting { id: 3, value: 9 }));
            if step == 1 {
                let (block, data) = (bytes.len() - HEAD - 2, bytes.len() - 2);
                let is = |at: usize| unfinished[at - 1];
                assert!(!is(PREFACE) && is(PREFACE + 1) && !is(PREFACE + HEAD + 12));
                // A header block ends with its last frame; what is missing of a body is no matter here.
                assert!(is(block - 1) && !is(block) && is(block + 1) && !is(data) && !is(bytes.len()));
            }
        }
    }
}
