//! `hash-password`: a line for a users file.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use proxy_service::auth::{NewHash, hash_password};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

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

/// The terminal without its echo, until dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> Result<Self, String> {
        let cannot = |e| format!("error: the terminal cannot be told to hide what is typed: {e}");
        let before = tcgetattr(std::io::stdin()).map_err(cannot)?;
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
