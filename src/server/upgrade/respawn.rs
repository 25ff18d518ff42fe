//! The start of another process of the same program, as it is on the disk now, with the same
//! configuration: the daemon, or the one that takes over from this one.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::step::STEP_TIMEOUT;
use crate::config::Source;

/// Tells a new process where it finds the one that it takes over from, whatever its own
/// configuration says.
pub const TAKE_OVER_FROM: &str = "PINGORA_PROXY_TAKE_OVER_FROM";

/// Tells a new process that a service manager owns the files of unix sockets.
const KEEP_FILES: &str = "PINGORA_PROXY_KEEP_SOCKET_FILES";
/// Where the process's own folder is (see `runtime_dir`), whoever the new process becomes.
const FOLDER: &str = "RUNTIME_DIRECTORY";

/// Whether the sockets came from a service manager to an older process.
pub fn older_kept_files() -> bool {
    std::env::var_os(KEEP_FILES).is_some()
}

/// How long the reason of a process that has ended may be on its way.
const LAST_WORDS: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);

/// How far the new process has come, as the control socket sees it.
#[derive(Debug)]
pub enum UpgradeProgress {
    /// It has not asked for the listeners yet.
    Starting,
    /// The control socket waits for each of its steps, and says which one did not come.
    UnderWay,
    HandedOver,
    Failed(String),
}

/// The process that this one has started last, and how it ended.
#[derive(Debug, Default)]
pub struct LastStarted(Mutex<Option<(u32, Option<String>)>>);

/// What is known of the end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// This process has not started it, so that it is told nothing.
    Unknown,
    /// Nobody has waited for it yet.
    Pending,
    /// As "was killed by signal 9".
    Told(String),
}

impl LastStarted {
    fn began(&self, pid: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((pid, None));
    }

    /// Waits for the end of the process, which stays a zombie otherwise. It blocks.
    pub fn wait(&self, mut child: Child) {
        let told = child.wait().map_or_else(|e| format!("cannot be waited for: {e}"), describe);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, end)) = last.as_mut().filter(|(pid, _)| *pid == child.id()) {
            *end = Some(told);
        }
    }

    pub fn end_of(&self, pid: u32) -> ProcessEnd {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((last, Some(told))) if *last == pid => ProcessEnd::Told(told.clone()),
            Some((last, None)) if *last == pid => ProcessEnd::Pending,
            Some(_) | None => ProcessEnd::Unknown,
        }
    }
}

/// How this process was started.
#[derive(Clone, Debug)]
pub struct Respawn {
    program: PathBuf,
    /// The configuration. A text that came from standard input is kept for the other process,
    /// which gets it in the same way.
    source: Source,
    /// The process's own folder, where it is known.
    folder: Option<PathBuf>,
    keeps_files: bool,
}

impl Respawn {
    pub fn new(program: PathBuf, source: &Source) -> Self {
        Self { program, source: source.clone(), folder: None, keeps_files: false }
    }

    /// Has the new process use the same folder, although it may be another user by then, and
    /// leave the same files alone.
    pub fn in_folder(self, folder: &Path, keeps_files: bool) -> Self {
        Self { folder: Some(folder.to_owned()), keeps_files, ..self }
    }

    /// Starts the new process and waits, for [`STEP_TIMEOUT`] a step, until `progress` says that the
    /// process of this id has taken over. It is noted in `last`, and the caller waits for its end.
    ///
    /// # Errors
    /// Why the new process did not take over. It has ended then.
    pub fn upgrade(
        &self,
        control: &Path,
        last: &LastStarted,
        progress: impl Fn(u32) -> UpgradeProgress,
    ) -> Result<Child, String> {
        self.check_config()?;
        let mut child = self.start(self.command().arg("-u").env(TAKE_OVER_FROM, control))?;
        let pid = child.id();
        last.began(pid);
        let mut until = Instant::now() + STEP_TIMEOUT;
        let mut ended = None;
        loop {
            if ended.is_none() {
                ended = child.try_wait().map_err(|e| e.to_string())?;
                if ended.is_some() {
                    until = Instant::now() + LAST_WORDS;
                }
            }
            match (progress(pid), ended) {
                (UpgradeProgress::HandedOver, _) => return Ok(child),
                (UpgradeProgress::Failed(reason), _) => {
                    end(&mut child);
                    return Err(reason);
                }
                (UpgradeProgress::Starting | UpgradeProgress::UnderWay, Some(status)) if Instant::now() >= until => {
                    return Err(format!("the new process {pid} {} before it took over", describe(status)));
                }
                (UpgradeProgress::Starting, None) if Instant::now() >= until => {
                    end(&mut child);
                    let waited = STEP_TIMEOUT.as_secs();
                    return Err(format!("the new process {pid} did not ask for the listeners within {waited} s"));
                }
                (UpgradeProgress::Starting | UpgradeProgress::UnderWay, _) => std::thread::sleep(TICK),
            }
        }
    }

    /// The program with its configuration; what else it is told is added to that.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.source.name());
        command.envs(self.folder.iter().map(|folder| (FOLDER, folder)));
        command.envs(self.keeps_files.then_some((KEEP_FILES, "1")));
        command
    }

    /// Starts what [`Self::command`] made, with the configuration as its input if that is where
    /// it comes from.
    ///
    /// # Errors
    /// In words, when the program cannot be started.
    pub fn start(&self, command: &mut Command) -> Result<Child, String> {
        let cannot = |e: io::Error| format!("cannot start {}: {e}", self.program.display());
        let Source::Input(text) = &self.source else {
            return command.stdin(Stdio::null()).spawn().map_err(cannot);
        };
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(cannot)?;
        if let Some(mut input) = child.stdin.take() {
            let text = text.clone();
            // A pipe holds 64 KiB, and the program may read no more of it.
            std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap_or_default());
        }
        Ok(child)
    }

    /// Has the new program check its configuration, before anything is started.
    fn check_config(&self) -> Result<(), String> {
        let mut child = self.start(self.command().arg("-t").stdout(Stdio::null()).stderr(Stdio::piped()))?;
        let mut words = child.stderr.take();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(words) = &mut words {
                std::io::Read::read_to_string(words, &mut text).unwrap_or_default();
            }
            text
        });
        let until = Instant::now() + STEP_TIMEOUT;
        let status = loop {
            match child.try_wait().map_err(|e| e.to_string())? {
                Some(status) => break status,
                None if Instant::now() >= until => {
                    end(&mut child);
                    return Err(format!(
                        "the new program did not check its configuration within {} s",
                        STEP_TIMEOUT.as_secs()
                    ));
                }
                None => std::thread::sleep(TICK),
            }
        };
        let text = reader.join().unwrap_or_default();
        if status.success() {
            Ok(())
        } else {
            Err(format!("the new program {}: {}", describe(status), text.trim_end()))
        }
    }
}

/// Kills the process and waits for its end.
fn end(child: &mut Child) {
    if let Err(e) = child.kill().and_then(|()| child.wait()) {
        log::warn!("cannot end process {}: {e}", child.id());
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_process_ended_is_known_of_the_last_child_only() {
        let last = LastStarted::default();
        assert_eq!(last.end_of(7), ProcessEnd::Unknown);
        let child = Command::new("sh").args(["-c", "kill -9 $$"]).spawn().unwrap();
        let pid = child.id();
        last.began(pid);
        assert_eq!((last.end_of(pid), last.end_of(pid + 1)), (ProcessEnd::Pending, ProcessEnd::Unknown));
        last.wait(child);
        assert_eq!(last.end_of(pid), ProcessEnd::Told("was killed by signal 9".to_owned()));
        // The end of one before the last is nobody's concern any more.
        let child = Command::new("true").spawn().unwrap();
        last.began(pid);
        last.wait(child);
        assert_eq!(last.end_of(pid), ProcessEnd::Pending);
    }
}
