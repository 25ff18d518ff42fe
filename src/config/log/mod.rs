//! `log`: what is logged, and where.

mod access;
mod choice;
mod field;
mod format;
mod target;

use log::LevelFilter;

pub use access::AccessLog;
pub use choice::{Always, Redact};
pub use field::LogField;
pub use format::{AccessFormat, LinePart, LineTemplate};
pub use target::{AccessTarget, Facility, Syslog};

use super::section::{Word, Words, section, words};

section! {
    /// What is logged, and where.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`log`" pub struct Log {
        /// The least severe message that is logged.
        level: LevelFilter = "info", with LEVELS;
        /// How a message is written.
        format: ErrorFormat = "text";
        /// One line for each request.
        access: AccessLog = {};
    }
}

const LEVELS: Words<LevelFilter, 6> = Words([
    (LevelFilter::Off, Word { word: "off", doc: "Nothing." }),
    (LevelFilter::Error, Word { word: "error", doc: "Something needs the operator." }),
    (LevelFilter::Warn, Word { word: "warn", doc: "Something may need the operator." }),
    (LevelFilter::Info, Word { word: "info", doc: "What the process does." }),
    (LevelFilter::Debug, Word { word: "debug", doc: "What happened to single requests." }),
    (LevelFilter::Trace, Word { word: "trace", doc: "Everything." }),
]);

words! {
    /// How a message of the error log is written.
    pub enum ErrorFormat {
        /// A line for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}
