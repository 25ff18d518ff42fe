//! Where the lines of a log are written.

use std::io;

use super::file_sink::FileSink;
pub use super::not_written::NotWritten;
use super::syslog::SyslogSink;

#[derive(Debug)]
pub enum Sink {
    File(FileSink),
    Syslog(SyslogSink),
}

impl Sink {
    /// As messages about the log call it.
    pub fn name(&self) -> String {
        match self {
            Self::File(file) => file.name(),
            Self::Syslog(syslog) => syslog.name(),
        }
    }

    /// A full disk, a closed pipe or a daemon that is gone must not end the proxy.
    ///
    /// # Errors
    /// With what was lost.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), NotWritten> {
        match self {
            Self::File(file) => file.write(lines),
            Self::Syslog(syslog) => syslog.write(lines),
        }
    }

    /// # Errors
    /// When the file cannot be opened; the old one is written on.
    pub fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.reopen(),
            Self::Syslog(_) => Ok(()),
        }
    }
}
