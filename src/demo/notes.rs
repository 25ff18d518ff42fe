//! The notes, of which a bounded number is kept.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::now_ms;

/// The newest notes are kept, older ones make room.
pub(super) const MAX_NOTES: usize = 100;

/// Notes by ascending id.
#[derive(Default)]
pub(super) struct Notes {
    last_id: u64,
    pub(super) by_id: BTreeMap<u64, Note>,
}

pub(super) struct Note {
    pub(super) text: String,
    pub(super) updated_ms: u64,
}

impl Notes {
    pub(super) fn add(&mut self, text: String) -> (u64, Value) {
        self.last_id += 1;
        let note = Note { text, updated_ms: now_ms() };
        let shown = note.show(self.last_id);
        self.by_id.insert(self.last_id, note);
        while self.by_id.len() > MAX_NOTES {
            self.by_id.pop_first();
        }
        (self.last_id, shown)
    }
}

impl Note {
    pub(super) fn show(&self, id: u64) -> Value {
        json!({ "id": id, "text": self.text, "updated_ms": self.updated_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_the_newest_notes() {
        let mut notes = Notes::default();
        for number in 0..MAX_NOTES + 5 {
            notes.add(number.to_string());
        }
        assert_eq!(notes.by_id.len(), MAX_NOTES);
        assert_eq!(notes.by_id.keys().next(), Some(&6));
    }
}
