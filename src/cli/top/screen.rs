//! The terminal while `top` has it: a screen of its own, keys as they are pressed, and everything as it was
//! at the end.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Another screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// What Ctrl-C and Ctrl-D send where the terminal makes no signal of them.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const USUAL_SIZE: (usize, usize) = (80, 24);

pub struct Screen {
    before: Termios,
    keys: Receiver<u8>,
}

impl Screen {
    /// # Errors
    /// When the terminal cannot be set up.
    pub fn open() -> Result<Self, String> {
        let failed = |e: rustix::io::Errno| format!("error: the terminal cannot be set up: {e}");
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw).map_err(failed)?;
        let (sender, keys) = channel();
        // It ends with the process: a read of a terminal cannot be given up.
        std::thread::spawn(move || {
            for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if sender.send(key).is_err() {
                    return;
                }
            }
        });
        let screen = Self { before, keys };
        write(ENTER)?;
        Ok(screen)
    }

    /// Whether somebody wants to leave. Waits for that.
    pub fn is_left_within(&self, time: Duration) -> bool {
        let end = std::time::Instant::now() + time;
        loop {
            match self.keys.recv_timeout(end.saturating_duration_since(std::time::Instant::now())) {
                Ok(b'q' | b'Q' | CTRL_C | CTRL_D) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Columns and lines.
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(std::io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 1 => (size.ws_col.into(), usize::from(size.ws_row) - 1),
            Ok(_) | Err(_) => USUAL_SIZE,
        }
    }

    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&self, frame: &str) -> Result<(), String> {
        // What was there is overwritten line by line, so that nothing flickers.
        write(&format!("\x1b[H{}\x1b[J", frame.replace('\n', "\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        write(LEAVE).unwrap_or_default();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.before).unwrap_or_default();
    }
}

fn write(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| format!("error: cannot write to the terminal: {e}"))
}
