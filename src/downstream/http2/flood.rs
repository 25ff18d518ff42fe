//! Frames of a client that cost work and bring nothing forward, counted against what it does
//! beside them: a flood of them is told from a client at work (RFC 9113 section 10.5).

use std::time::Instant;

use crate::http2::{Frame, Kind};

/// How many frames a client may send for nothing, beyond what it earns.
const BUDGET: u32 = 2_000;
/// What it earns: by a request, by a piece of a body, by each time that it takes something from
/// us, and with time.
const PER_REQUEST: u32 = 10;
const PER_PIECE: u32 = 2;
const PER_WRITE: u32 = 3;
const PER_SECOND: u64 = 100;

/// What a client has left.
#[derive(Debug)]
pub(super) struct FloodBudget {
    left: u32,
    refilled: Instant,
}

impl FloodBudget {
    pub fn new() -> Self {
        Self { left: BUDGET, refilled: Instant::now() }
    }

    pub fn note(&mut self, frame: Frame) {
        match frame.kind {
            Kind::Data if frame.length > 0 || frame.ends_stream() => self.earn(PER_PIECE),
            Kind::Headers => self.earn(PER_REQUEST),
            // `h2` takes no more of these than it asks for.
            Kind::Settings if frame.is_ack() => {}
            // We ask for one at most.
            Kind::Ping if frame.is_ack() => self.spend(1),
            // Our answer is nothing that the client is at work for, and must earn it nothing.
            Kind::Settings | Kind::Ping => self.spend(1 + PER_WRITE),
            Kind::Data | Kind::Priority | Kind::RstStream | Kind::WindowUpdate | Kind::Continuation | Kind::Other => {
                self.spend(1)
            }
        }
    }

    fn spend(&mut self, frames: u32) {
        if self.left < BUDGET / 2 {
            self.refill(Instant::now());
        }
        self.left = self.left.saturating_sub(frames);
    }

    /// What was spent to the end is not earned back: the connection ends.
    fn earn(&mut self, frames: u32) {
        if self.left > 0 {
            self.left = self.left.saturating_add(frames).min(BUDGET);
        }
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs();
        if seconds > 0 {
            self.refilled = now;
            self.earn(u32::try_from(seconds.saturating_mul(PER_SECOND)).unwrap_or(u32::MAX));
        }
    }

    /// The client took something of what we send.
    pub fn note_written(&mut self) {
        self.earn(PER_WRITE);
    }

    /// Whether the client only keeps us busy.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::{Event, FrameReader, frame};

    fn note(budget: &mut FloodBudget, frames: &[u8]) {
        let mut reader = FrameReader::of_client();
        reader.read(&[0; 24], |_| ());
        reader.read(frames, |event| {
            if let Event::Frame(frame) = event {
                budget.note(frame);
            }
        });
    }

    #[test]
    fn frames_that_bring_nothing_forward_are_a_flood() {
        // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA, CONTINUATION, unknown.
        for (kind, payload) in [(6, 8), (4, 0), (2, 5), (8, 4), (3, 4), (0, 0), (9, 0), (0x42, 3)] {
            let mut budget = FloodBudget::new();
            let useless = frame(kind, 0, 1, &vec![0; payload]);
            let come = |budget: &mut FloodBudget| {
                note(budget, &useless);
                // Some are answered.
                if matches!(kind, 4 | 6) {
                    budget.note_written();
                }
            };
            (0..BUDGET - 1 - PER_WRITE).for_each(|_| come(&mut budget));
            assert!(!budget.is_used_up(), "{kind}");
            (0..=PER_WRITE).for_each(|_| come(&mut budget));
            assert!(budget.is_used_up(), "{kind}");
        }
    }

    #[test]
    fn answers_to_pings_that_nobody_sent_are_a_flood() {
        let mut budget = FloodBudget::new();
        let answer = frame(6, 1, 0, &[0; 8]);
        (0..BUDGET).for_each(|_| note(&mut budget, &answer));
        assert!(budget.is_used_up());
    }

    #[test]
    fn a_client_at_work_earns_what_it_needs() {
        let mut budget = FloodBudget::new();
        let work = [frame(1, 4, 1, b"x"), frame(0, 0, 1, b"x"), frame(6, 1, 0, &[0; 8])].concat();
        let updates = frame(8, 0, 1, &[0; 4]).repeat(12);
        for _ in 0..2 * BUDGET {
            note(&mut budget, &work);
            note(&mut budget, &updates);
            budget.note_written();
        }
        assert!(!budget.is_used_up());
    }
}
