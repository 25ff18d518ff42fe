//! HTTP/2 as no honest client writes it: frame by frame (RFC 9113 section 4), with header blocks
//! of literals that nobody has checked (RFC 7541 section 6.2.2).

use std::time::Duration;

use super::Wire;
use super::front::Fronted;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Self {
        Self { kind, flags, stream, payload: payload.as_ref().to_vec() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], self.kind, self.flags];
        [&head[..], &self.stream.to_be_bytes(), &self.payload].concat()
    }

    /// The four bytes of a payload that are a number.
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A block of fields as they are, none of them indexed or compressed.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let literal = |(name, value): &(&str, &[u8])| [&[0][..], &string(name.as_bytes()), &string(value)].concat();
    fields.iter().flat_map(literal).collect()
}

/// A length in a prefix of seven bits (RFC 7541 section 5.1), and the bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match u8::try_from(bytes.len()) {
        Ok(short @ ..127) => out.push(short),
        Ok(_) | Err(_) => {
            out.push(127);
            let mut rest = bytes.len() - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
    }
    [out, bytes.to_vec()].concat()
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered(u16, Vec<u8>),
    /// The stream was reset.
    Reset(u32),
    /// The connection was ended, for this reason.
    GoAway(u32),
    /// It was closed without a word.
    Closed,
}

impl Outcome {
    /// Whether it says that the request was wrong.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Answered(status, _) => (400..500).contains(status),
            Self::Reset(_) => true,
            Self::GoAway(reason) => *reason != 0,
            Self::Closed => false,
        }
    }
}

/// A connection of which the client writes each frame itself.
pub struct Frames {
    pub wire: Wire,
}

impl Frames {
    /// With the preface, and settings by which nothing that is sent to us depends on what was
    /// sent before (a header table of no size).
    pub fn connect(proxy: &Fronted) -> Self {
        Self::connect_with(proxy, &[])
    }

    /// With these settings, too.
    pub fn connect_with(proxy: &Fronted, settings: &[(u16, u32)]) -> Self {
        Self::over(proxy.wire(), settings)
    }

    /// On a connection that nothing was sent on.
    pub fn over(mut wire: Wire, settings: &[(u16, u32)]) -> Self {
        let payload: Vec<u8> = [&[(1, 0)], settings]
            .concat()
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        wire.send([PREFACE, &Frame::new(SETTINGS, 0, 0, payload).bytes()].concat());
        Self { wire }
    }

    pub fn send(&mut self, frame: &Frame) {
        self.wire.send(frame.bytes());
    }

    /// Whether it could be sent.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.wire.try_send(bytes).is_ok()
    }

    /// A head in one frame.
    pub fn head(&mut self, stream: u32, fields: &[(&str, &[u8])], flags: u8) {
        self.send(&Frame::new(HEADERS, flags | END_HEADERS, stream, block(fields)));
    }

    /// `None` at the end of the connection.
    pub fn read(&mut self) -> Option<Frame> {
        while self.wire.buffer.len() < 9 {
            self.wire.fill().ok().filter(|n| *n > 0)?;
        }
        let head = &self.wire.buffer[..9];
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff;
        while self.wire.buffer.len() < 9 + length {
            self.wire.fill().ok().filter(|n| *n > 0)?;
        }
        let payload = super::take_front(&mut self.wire.buffer, 9 + length).split_off(9);
        Some(Frame { kind, flags, stream, payload })
    }

    /// What becomes of a stream; settings and pings are acknowledged meanwhile.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let mut answer: Option<(u16, Vec<u8>)> = None;
        while let Some(frame) = self.read() {
            match (frame.kind, frame.stream) {
                (SETTINGS | PING, _) if frame.flags & ACK == 0 => {
                    let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
                    self.try_send(&Frame::new(frame.kind, ACK, 0, payload).bytes());
                }
                (GOAWAY, _) => return Outcome::GoAway(frame.number(4)),
                (RST_STREAM, on) if on == stream => {
                    return match answer {
                        // The answer is whole, and the rest of the request unwanted.
                        Some((status, body)) if frame.number(0) == 0 => Outcome::Answered(status, body),
                        Some(_) | None => Outcome::Reset(frame.number(0)),
                    };
                }
                (HEADERS, on) if on == stream && answer.is_none() => answer = Some((status(&frame.payload), vec![])),
                (DATA, on) if on == stream => answer.as_mut().unwrap().1.extend(&frame.payload),
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.stream == stream && frame.flags & END_STREAM != 0 {
                let (status, body) = answer.unwrap();
                return Outcome::Answered(status, body);
            }
        }
        Outcome::Closed
    }

    /// Why the connection ends; `None` when it is closed without a word. `within` is for the
    /// silence of the other side.
    pub fn goaway(&mut self, within: Duration) -> Option<u32> {
        self.wire.stream.set_read_timeout(Some(within)).unwrap();
        while let Some(frame) = self.read() {
            if frame.kind == GOAWAY {
                return Some(frame.number(4));
            }
        }
        None
    }
}

/// The status of a block, which comes first: indexed, or a literal of digits that may be
/// compressed (RFC 7541 appendices A and B).
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may stand before.
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap();
    match block[at] {
        indexed @ 0x88..=0x8e => INDEXED[usize::from(indexed - 0x88)],
        0x48 | 0x08 | 0x18 => {
            let (length, text) = (usize::from(block[at + 1] & 0x7f), &block[at + 2..]);
            let text = &text[..length];
            let digits = if block[at + 1] & 0x80 == 0 { text.to_vec() } else { decompressed(text) };
            String::from_utf8(digits).unwrap().parse().unwrap()
        }
        other => panic!("a block that begins with {other:#x}"),
    }
}

fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut at, mut digits) = (0, Vec::new());
    let take = |at: usize, count: usize| bits[at..at + count].iter().fold(0, |sum, bit| sum << 1 | bit);
    while at + 5 <= bits.len() {
        match take(at, 5) {
            short @ 0..=2 => {
                digits.push(b'0' + short);
                at += 5;
            }
            _ if at + 6 <= bits.len() && (25..=31).contains(&take(at, 6)) => {
                digits.push(b'3' + take(at, 6) - 25);
                at += 6;
            }
            // What fills up the last byte.
            _ => break,
        }
    }
    digits
}
