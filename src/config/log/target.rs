//! `log.access.to`: nowhere, stdout, a file, or a syslog daemon.

use std::path::PathBuf;

use crate::config::section::{AsSection, Form, Reader, Scalar, Shape, Syntax, Value, Word, WordsOr, section, words};
use crate::config::value::{Address, FileToMake, SYSLOG};
use crate::config::yaml::{Invalid, Kind, Node, Parsed, Yaml};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stdout,
    File(PathBuf),
    Syslog(Syslog),
}

section! {
    /// A syslog daemon.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`to`" pub struct Syslog {
        /// The daemon's socket, or the address and UDP port of one elsewhere.
        syslog: Address, required "unix:/dev/log", with SYSLOG;
        /// The facility of the messages.
        facility: Facility = "local0";
        /// The name of the program in the messages.
        tag: String = "pingora-proxy", with TAG;
    }
}

words! {
    /// The facility of a message (RFC 5424 section 6.2.1).
    pub enum Facility {
        User = "user",
        Daemon = "daemon",
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7",
    }
}

impl Facility {
    pub fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

/// What every daemon takes for the name of a program (RFC 3164 section 4.1.3, RFC 5424 section 6.2.5).
const TAG: Scalar<String> = Scalar {
    what: "a tag",
    syntax: Syntax {
        kind: "tag",
        numbers: true,
        pattern: Some("^[A-Za-z0-9._-]{1,32}$"),
        examples: &["pingora-proxy"],
    },
    parse: tag,
    print: |tag| Yaml::text(tag),
};

fn tag(text: &str) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty() || text.len() > 32 || !text.chars().all(plain) {
        return Err(Invalid::new("a tag has 1 to 32 letters, digits, `-`, `_` and `.`"));
    }
    Ok(text.to_owned())
}

impl Value for AccessTarget {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Off, Word { word: "off", doc: "No access log." }),
                (Self::Stdout, Word { word: "stdout", doc: "Standard output." }),
            ],
            form: FileOrSyslog,
            wrap: |target| target,
            unwrap: |target| match target {
                Self::File(_) | Self::Syslog(_) => Some(target.clone()),
                Self::Off | Self::Stdout => None,
            },
        }
    }
}

/// A path, or the map of a syslog daemon.
struct FileOrSyslog;

const FILE: FileToMake = FileToMake { makes_folder: false };

impl Form<AccessTarget> for FileOrSyslog {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<AccessTarget> {
        if matches!(node.kind, Kind::Map(_)) {
            return reader.inside(|reader| AsSection.read(reader, node)).map(AccessTarget::Syslog);
        }
        FILE.read(reader, node).map(AccessTarget::File)
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![FILE.shape(), Form::<Syslog>::shape(&AsSection)])
    }

    fn print(&self, target: &AccessTarget) -> Yaml {
        match target {
            AccessTarget::File(path) => FILE.print(path),
            AccessTarget::Syslog(syslog) => AsSection.print(syslog),
            // These two are words.
            AccessTarget::Off | AccessTarget::Stdout => Yaml::Absent,
        }
    }
}
