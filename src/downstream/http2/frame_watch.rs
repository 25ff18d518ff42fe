//! What a connection's frames say of its client: whether it keeps to the protocol, whether it
//! floods, and whether it finishes what it began.

use h2::Reason;

use super::flood::FloodBudget;
use super::frame_faults::FrameFaults;
use crate::http2::{Event, FrameReader};

/// Watches one connection.
#[derive(Debug)]
pub struct FrameWatch {
    reader: FrameReader,
    budget: FloodBudget,
    faults: FrameFaults,
}

impl Default for FrameWatch {
    fn default() -> Self {
        Self { reader: FrameReader::of_client(), budget: FloodBudget::new(), faults: FrameFaults::default() }
    }
}

impl FrameWatch {
    /// This has arrived.
    pub fn note_read(&mut self, bytes: &[u8]) {
        let Self { reader, budget, faults } = self;
        reader.read(bytes, |event| {
            if let Event::Frame(frame) = event {
                budget.note(frame);
            }
            faults.note(event);
        });
    }

    /// The client took something of what we send.
    pub fn note_written(&mut self) {
        self.budget.note_written();
    }

    /// What the connection has to end with; `None` while the client behaves.
    pub fn verdict(&self) -> Option<Reason> {
        let flood = self.budget.is_used_up().then_some(Reason::ENHANCE_YOUR_CALM);
        self.faults.fault().or(flood)
    }

    /// The number of the frame that the client has to finish.
    pub fn unfinished(&self) -> Option<u64> {
        self.reader.unfinished()
    }
}
