//! Frames of a client that cost work and bring nothing forward, counted against what it does
//! beside them: a flood of them is told from a client at work (RFC 9113 section 10.5).

use std::time::{Duration, Instant};

/// What every client sends first (RFC 9113 section 3.4).
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;

/// How many frames a client may send for nothing, beyond what it earns.
const BUDGET: u32 = 2_000;
/// What it earns: by a request, by a piece of a body, by each time that it takes something from
/// us, and with time.
const PER_REQUEST: u32 = 10;
const PER_PIECE: u32 = 2;
const PER_WRITE: u32 = 3;
const PER_SECOND: u32 = 100;

/// The frame types of RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Of `DATA`; the same bit is `ACK` of `SETTINGS` and `PING`.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Reads along with what a client sends.
#[derive(Debug)]
pub(super) struct FrameMeter {
    /// Bytes to come of the preface or of a frame's payload.
    skip: usize,
    head: [u8; FRAME_HEAD],
    /// How much of `head` has come.
    filled: usize,
    /// A header block has begun and not ended.
    in_block: bool,
    /// The frame that is under way is a piece of a body.
    in_data: bool,
    /// How many frames have come whole.
    frames: u64,
    budget: u32,
    refilled: Instant,
}

impl FrameMeter {
    pub fn new() -> Self {
        Self {
            skip: PREFACE,
            head: [0; FRAME_HEAD],
            filled: 0,
            in_block: false,
            in_data: false,
            frames: 0,
            budget: BUDGET,
            refilled: Instant::now(),
        }
    }

    /// Takes note of what has arrived.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = (FRAME_HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + wanted].copy_from_slice(&bytes[..wanted]);
            self.filled += wanted;
            bytes = &bytes[wanted..];
            if self.filled == FRAME_HEAD {
                self.begin_frame();
            }
        }
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        (self.skip, self.filled) = (length, 0);
        self.frames += 1;
        self.in_data = kind == DATA;
        match kind {
            DATA if length > 0 || flags & END_STREAM != 0 => self.earn(PER_PIECE),
            HEADERS => self.earn(PER_REQUEST),
            SETTINGS | PING if flags & END_STREAM != 0 => {}
            _ => self.spend(),
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
    }

    fn spend(&mut self) {
        self.budget = self.budget.saturating_sub(1);
        if self.budget < BUDGET / 2 {
            self.refill(Instant::now());
        }
    }

    fn earn(&mut self, frames: u32) {
        self.budget = (self.budget + frames).min(BUDGET);
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled).min(Duration::from_secs(60));
        let earned = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX) / 1000 * PER_SECOND;
        if earned > 0 {
            self.refilled = now;
            self.earn(earned);
        }
    }

    /// The client took something of what we send.
    pub fn written(&mut self) {
        self.earn(PER_WRITE);
    }

    /// Whether the client only keeps us busy.
    pub fn is_flood(&self) -> bool {
        self.budget == 0
    }

    /// The number of the frame that is under way, which the client has to finish. That of a body
    /// has its deadline with the request.
    pub fn unfinished(&self) -> Option<u64> {
        let in_frame = self.filled > 0 || self.skip > 0 && !self.in_data;
        (in_frame || self.in_block).then_some(self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + payload, 0);
        frame
    }

    fn begun() -> FrameMeter {
        let mut meter = FrameMeter::new();
        meter.read(&[0; PREFACE]);
        meter
    }

    #[test]
    fn frames_that_bring_nothing_forward_are_a_flood() {
        // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, empty CONTINUATION, unknown.
        for (kind, payload) in [(6, 8), (4, 0), (2, 5), (8, 4), (0, 0), (9, 0), (0x42, 3)] {
            let mut meter = begun();
            let flood = frame(kind, 0, payload);
            for _ in 0..BUDGET - 1 {
                meter.read(&flood);
            }
            assert!(!meter.is_flood(), "{kind}");
            meter.read(&flood);
            assert!(meter.is_flood(), "{kind}");
        }
    }

    #[test]
    fn a_client_at_work_earns_what_it_needs() {
        let mut meter = begun();
        for _ in 0..10 * BUDGET {
            meter.read(&frame(HEADERS, END_HEADERS, 30));
            meter.read(&frame(DATA, 0, 100));
            (0..8).for_each(|_| meter.read(&frame(8, 0, 4)));
            meter.read(&frame(PING, 1, 8));
            meter.written();
        }
        assert!(!meter.is_flood());
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = [vec![0; PREFACE], frame(HEADERS, 0, 7), frame(CONTINUATION, END_HEADERS, 3), frame(DATA, 0, 2)];
        let bytes = bytes.concat();
        let mut meter = FrameMeter::new();
        let mut unfinished = Vec::new();
        for byte in &bytes {
            meter.read(std::slice::from_ref(byte));
            unfinished.push(meter.unfinished());
        }
        assert_eq!(meter.frames, 3);
        let (block, data) = (PREFACE + 2 * FRAME_HEAD + 10, bytes.len() - 2);
        // The preface is over where the first frame may begin; all of the block has to come.
        let begun = |at: usize| unfinished[at - 1];
        assert_eq!((begun(PREFACE), begun(PREFACE + 1)), (None, Some(0)));
        assert!(unfinished[PREFACE..block - 1].iter().all(Option::is_some));
        assert_eq!((begun(block), begun(data), begun(bytes.len())), (None, None, None));
    }
}
