//! `hash-password`: a line for a users file.

use std::future::poll_fn;
use std::io::{BufRead, IsTerminal, Write};
use std::task::Poll;

use clap::Args;
use proxy_service::auth::{NewHash, hash_password};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// Prints a line for a users file (`auth.basic.users_file`)
///
/// The password is asked for at the terminal, or else it is the first line of standard input.
#[derive(Args, Debug)]
pub struct HashPassword {
    /// The user's name; without it the hash alone is printed
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// By bcrypt, for programs that know no argon2id
    #[arg(long)]
    bcrypt: bool,
}

impl HashPassword {
    pub fn run(&self) -> Result<(), String> {
        if self.user.as_ref().is_some_and(|name| !is_name(name)) {
            return Err("error: a user's name has 1 to 255 bytes, no `:`, no control characters, no space around it, and no `#` in front".to_owned());
        }
        let password = if std::io::stdin().is_terminal() { asked()? } else { line()? };
        let how = if self.bcrypt { NewHash::Bcrypt } else { NewHash::Argon2id };
        let hash = hash_password(password.as_bytes(), how).map_err(|reason| format!("error: {reason}"))?;
        let name = self.user.as_ref().map(|name| format!("{name}:")).unwrap_or_default();
        super::out::print(&format!("{name}{hash}\n"))
    }
}

/// Whether a users file can have it.
fn is_name(name: &str) -> bool {
    let is_bad = |c: char| c == ':' || c.is_control();
    (1..=255).contains(&name.len()) && !name.contains(is_bad) && name.trim() == name && !name.starts_with('#')
}

/// A line of standard input, without its end.
fn line() -> Result<String, String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|e| format!("error: cannot read the password: {e}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asked twice at the terminal, which does not show what is typed.
fn asked() -> Result<String, String> {
    let quiet = Quiet::begin()?;
    let ask = |prompt: &str| {
        super::out::tell(prompt);
        let line = line();
        super::out::tell("\n");
        line
    };
    let (first, second) = (ask("Password: ")?, ask("Again: ")?);
    drop(quiet);
    if first == second { Ok(first) } else { Err("error: the two are not the same".to_owned()) }
}

/// The terminal without its echo, until dropped or until a signal ends the process.
struct Quiet(Termios);

/// The signals that end a process from its terminal, with their numbers.
const ENDING: [(fn() -> SignalKind, i32); 4] =
    [(SignalKind::hangup, 1), (SignalKind::interrupt, 2), (SignalKind::quit, 3), (SignalKind::terminate, 15)];

/// Has a thread give the terminal back `before` the process ends by a signal, with the status that a
/// shell knows such an end by.
fn restore_on_signal(before: Termios) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let listening = runtime.enter();
    let signals = ENDING.map(|(kind, number)| signal(kind()).map(|signal| (signal, number)));
    let mut signals = signals.into_iter().collect::<std::io::Result<Vec<_>>>()?;
    drop(listening);
    std::thread::Builder::new().spawn(move || {
        let number = runtime.block_on(poll_fn(|cx| {
            let came =
                signals.iter_mut().find_map(|(signal, number)| signal.poll_recv(cx).is_ready().then_some(*number));
            came.map_or(Poll::Pending, Poll::Ready)
        }));
        drop(Quiet(before));
        super::out::tell("\n");
        std::process::exit(128 + number);
    })?;
    Ok(())
}

impl Quiet {
    fn begin() -> Result<Self, String> {
        let cannot = |e| format!("error: the terminal cannot be told to hide what is typed: {e}");
        let before = tcgetattr(std::io::stdin()).map_err(cannot)?;
        restore_on_signal(before.clone()).map_err(|e| format!("error: signals cannot be awaited: {e}"))?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(cannot)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Err(e) = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0) {
            super::out::tell(&format!("the terminal still hides what is typed: {e}; `stty echo` ends that\n"));
        }
        std::io::stderr().flush().unwrap_or_default();
    }
}
