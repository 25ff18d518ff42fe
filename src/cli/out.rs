//! The two streams of the terminal, each of which may be closed or full.

use std::io::{ErrorKind, IsTerminal, Write};

use proxy_service::config::Look;
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

/// How problems are shown on stderr: at a terminal in its width, and in colour unless
/// `NO_COLOR` is set (no-color.org) or the terminal cannot show any.
pub fn look() -> Look {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return Look::PLAIN;
    }
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    let columns = rustix::termios::tcgetwinsize(stderr).map_or(0, |size| usize::from(size.ws_col));
    Look {
        colour: variable("NO_COLOR").is_empty() && !variable("TERM").is_empty() && variable("TERM") != "dumb",
        // A terminal that does not know its width says 0.
        width: Some(columns).filter(|columns| *columns > 0),
    }
}

/// Prints rendered problems to stderr: whatever a file put into them was made harmless when
/// they were rendered, so that the escapes in them are colours.
pub fn tell_rendered(text: &str) {
    std::io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default();
}

/// Prints what a person reads to stderr. Nobody can be told that stderr cannot be written.
pub fn tell(text: &str) {
    std::io::stderr().lock().write_all(printable(text).as_bytes()).unwrap_or_default();
}
