//! A log in a file that can be opened anew, or on stdout or stderr.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::not_written::NotWritten;

/// The wait of a writer whose pipe is full and does not block.
const RETRY: Duration = Duration::from_millis(10);

/// What the lines are written to.
#[derive(Debug)]
pub enum Out {
    File(File),
    /// Whatever is stderr at the time: a daemon lets go of that which it was started with.
    Stderr,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            // The standard library's lock would have others wait for a pipe that nobody reads.
            Self::Stderr => Ok(rustix::io::write(rustix::stdio::stderr(), bytes)?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub struct FileSink<F = Out> {
    file: F,
    /// `None` is stdout or stderr.
    path: Option<PathBuf>,
    name: String,
    /// Whether the last line that was written is not whole.
    is_torn: bool,
}

impl FileSink {
    /// # Errors
    /// When the system refuses.
    pub fn stdout() -> io::Result<Self> {
        // The standard library's own buffer would keep what could not be written.
        Ok(Self {
            file: Out::File(io::stdout().as_fd().try_clone_to_owned()?.into()),
            path: None,
            name: "stdout".to_owned(),
            is_torn: false,
        })
    }

    pub fn stderr() -> Self {
        Self { file: Out::Stderr, path: None, name: "stderr".to_owned(), is_torn: false }
    }

    /// # Errors
    /// When the file cannot be opened.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: open(&path)?, name: path.display().to_string(), path: Some(path), is_torn: false })
    }

    /// As messages about the log call it.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Opens the file anew after it was moved away.
    ///
    /// # Errors
    /// When it cannot be opened; the old file is written on.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.file = open(path)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// # Errors
    /// With what was lost.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), NotWritten> {
        if lines.is_empty() {
            return Ok(());
        }
        self.replace_deleted().map_err(|e| NotWritten::all_of(lines, e))?;
        self.append(lines)
    }

    /// A file that was deleted, alone or with its folder, would be written on and read by nobody.
    /// One that was only moved away is written on until it is opened anew.
    fn replace_deleted(&mut self) -> io::Result<()> {
        let (Some(path), Out::File(file)) = (&self.path, &self.file) else { return Ok(()) };
        if file.metadata().is_ok_and(|file| file.nlink() > 0) {
            return Ok(());
        }
        let gone = |e: io::Error| io::Error::new(e.kind(), format!("it was deleted, and cannot be made: {e}"));
        let fresh = open(path).map_err(gone)?;
        log::warn!("{} was deleted: it is made anew", path.display());
        (self.file, self.is_torn) = (fresh, false);
        Ok(())
    }
}

fn open(path: &PathBuf) -> io::Result<Out> {
    OpenOptions::new().create(true).append(true).open(path).map(Out::File)
}

impl<F: Write> FileSink<F> {
    /// A full disk or a closed pipe must not end the proxy.
    ///
    /// # Errors
    /// With what was lost.
    fn append(&mut self, lines: &[u8]) -> Result<(), NotWritten> {
        if self.is_torn {
            // What comes next is a line of its own.
            self.write_some(b"\n").map_err(|(failure, _)| NotWritten::all_of(lines, failure))?;
            self.is_torn = false;
        }
        self.write_some(lines).map_err(|(failure, written)| {
            self.is_torn = written.checked_sub(1).is_some_and(|last| lines.get(last) != Some(&b'\n'));
            NotWritten::all_of(lines.get(written..).unwrap_or_default(), failure)
        })
    }

    /// Writes all of it, or says how much.
    fn write_some(&mut self, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), written)),
                Ok(count) => written += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
                Err(e) => return Err((e, written)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk(Vec<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1 - self.0.len());
            self.0.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_the_lines_that_find_no_room_and_tears_no_other() {
        let mut sink = FileSink { file: Disk(Vec::new(), 6), path: None, name: String::new(), is_torn: false };
        assert_eq!(sink.append(b"one\ntwo\nthree\n").unwrap_err().lines, 2);
        assert_eq!(sink.append(b"four\n").unwrap_err().lines, 1);
        sink.file.1 = 100;
        sink.append(b"five\n").unwrap();
        sink.append(b"").unwrap();
        assert_eq!(sink.file.0, b"one\ntw\nfive\n");
    }
}
