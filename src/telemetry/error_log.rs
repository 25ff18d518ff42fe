//! The file behind the error log, which can be opened anew after it was moved away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The file of the error log; all clones write to the same one.
#[derive(Clone, Debug)]
pub struct ErrorFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl ErrorFile {
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        Ok(Self { path, file: Arc::new(Mutex::new(file)) })
    }

    /// # Errors
    /// When it cannot be opened; the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        let fresh = append(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl Write for ErrorFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
