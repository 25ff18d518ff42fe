//! The two streams of the terminal, each of which may be closed or full.

use std::io::{ErrorKind, Write};

use proxy_service::message::escaping::printable;

/// Prints what a person reads to stdout; what a client or a file put into it cannot reach the
/// terminal.
///
/// # Errors
/// As [`print`].
pub fn show(text: &str) -> Result<(), String> {
    print(&printable(text))
}

/// Prints to stdout, as it is, what another program may read. A reader that has read enough and left, as `head` does, is no error.
///
/// # Errors
/// When the text cannot be written for any other reason.
pub fn print(text: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(format!("error: cannot write to stdout: {e}")),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints what a person reads to stderr. Nobody can be told that stderr cannot be written.
pub fn tell(text: &str) {
    std::io::stderr().lock().write_all(printable(text).as_bytes()).unwrap_or_default();
}
