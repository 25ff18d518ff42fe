//! `log`: what is logged, and where.

use std::path::PathBuf;

use log::LevelFilter;

use super::section::{Form, Value, Word, Words, WordsOr, or_word, section, words};
use super::value::FileToMake;

section! {
    /// What is logged, and where.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`log`" pub struct Log {
        /// The least severe message that is logged.
        level: LevelFilter = "info", with LEVELS;
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

section! {
    /// One line for each request.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`access`" pub struct AccessLog {
        /// Where the lines go.
        to: AccessTarget = "stdout";
        /// How a line is written.
        format: Option<AccessFormat> = "auto", with or_word("auto", "`text` on a terminal and `json` elsewhere.", AccessFormat::form());
    }
}

words! {
    /// How a line of the access log is written.
    pub enum AccessFormat {
        /// One JSON object.
        Json = "json",
        /// The combined format of Apache and nginx.
        Combined = "combined",
        /// A line for people.
        Text = "text",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stdout,
    File(PathBuf),
}

impl Value for AccessTarget {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Off, Word { word: "off", doc: "No access log." }),
                (Self::Stdout, Word { word: "stdout", doc: "Standard output." }),
            ],
            form: FileToMake { makes_folder: false },
            wrap: Self::File,
            unwrap: |target| match target {
                Self::File(path) => Some(path.clone()),
                Self::Off | Self::Stdout => None,
            },
        }
    }
}
