//! The keys of session tickets that the process makes itself. They are kept in the process's own
//! folder, where the process before and the one after read them too: an upgrade and a restart
//! cost clients no full handshake.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use data_encoding::BASE64;

use super::runtime_dir;
use crate::config::{FileVersion, TicketKey};
use crate::listener::{Entrances, TicketKeys};

const FILE: &str = "ticket.keys";
/// How long a key is the one that encrypts.
const TURN: Duration = Duration::from_secs(12 * 3600);
/// The keys that decrypt: a ticket can be read for two turns at least.
const KEPT: usize = 3;
const LARGEST_FILE: u64 = 4096;
/// How long another process may hold the lock.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// A key, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DatedKey {
    made: u64,
    key: TicketKey,
}

/// Keeps the keys of this process like those in the file, and replaces them in time.
#[derive(Debug)]
pub struct TicketKeyKeeper {
    keys: Arc<TicketKeys>,
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// From the newest to the oldest.
    kept: Vec<DatedKey>,
    version: Option<FileVersion>,
    /// Whether the keys cannot be kept in the file, which is said once.
    failed: bool,
}

impl TicketKeyKeeper {
    /// Without keys, until the first [`Self::refresh`].
    pub fn new() -> Self {
        let file = runtime_dir::default_dir().join(FILE);
        Self { keys: Arc::new(TicketKeys::new(&[])), file, state: Mutex::default() }
    }

    pub fn keys(&self) -> &Arc<TicketKeys> {
        &self.keys
    }

    /// [`Self::refresh`], if a listener needs the keys.
    pub fn refresh_for(&self, entrances: &Entrances) {
        if entrances.iter().any(|entrance| entrance.uses_own_ticket_keys()) {
            self.refresh();
        }
    }

    /// Takes over what another process has written, and makes a new key when it is time.
    fn refresh(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_current = state.version.is_some() && state.version == FileVersion::of(&self.file);
        if (is_current || state.failed) && !is_due(&state.kept, now) {
            return;
        }
        let kept = runtime_dir::prepare(&self.file, None).and_then(|()| agree(&self.file, now));
        let kept = kept.or_else(|reason| {
            if !std::mem::replace(&mut state.failed, true) {
                let file = self.file.display();
                log::warn!("ticket keys: {file} cannot be kept ({reason}): sessions of TLS end with this process");
            }
            with_turn(state.kept.clone(), now)
        });
        match kept {
            Ok(kept) => {
                self.keys.replace(&kept.iter().map(|dated| dated.key.clone()).collect::<Vec<_>>());
                state.kept = kept;
                state.version = FileVersion::of(&self.file);
            }
            Err(reason) => log::error!("ticket keys: {reason}: sessions of TLS are not resumed"),
        }
    }
}

/// Whether the newest key has had its turn. One of the future is a clock's that was set back.
fn is_due(kept: &[DatedKey], now: u64) -> bool {
    let is_fresh = |made: u64| made <= now + TURN.as_secs() && now < made + TURN.as_secs();
    !kept.first().is_some_and(|newest| is_fresh(newest.made))
}

/// The keys with a new one in front when it is time.
fn with_turn(mut kept: Vec<DatedKey>, now: u64) -> Result<Vec<DatedKey>, String> {
    if is_due(&kept, now) {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| "no random bytes".to_owned())?;
        kept.insert(0, DatedKey { made: now, key: TicketKey(key) });
    }
    let oldest = now.saturating_sub(TURN.as_secs() * u64::try_from(KEPT).unwrap_or(u64::MAX));
    kept.retain(|dated| dated.made >= oldest);
    kept.truncate(KEPT);
    Ok(kept)
}

/// The keys that all processes of the folder use from now on.
fn agree(file: &Path, now: u64) -> Result<Vec<DatedKey>, String> {
    let beside = |what: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(what);
        PathBuf::from(name)
    };
    let open = |path: &Path| OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    // Two processes that make a key at once would each go on with its own.
    let lock = open(&beside(".lock")).map_err(|e| e.to_string())?;
    hold(&lock)?;
    let before = read(file).map_err(|e| e.to_string())?;
    let kept = with_turn(before.clone(), now)?;
    if kept != before {
        let new = beside(".new");
        let written = write(&new, &kept).and_then(|()| std::fs::rename(&new, file));
        written.map_err(|e| e.to_string())?;
    }
    Ok(kept)
}

/// Others hold the lock for a moment only, unless they have been stopped.
fn hold(lock: &File) -> Result<(), String> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_WAIT / 50),
            Err(TryLockError::WouldBlock) => return Err("another process holds its lock".to_owned()),
            Err(TryLockError::Error(e)) => return Err(e.to_string()),
        }
    }
}

/// What cannot be read as a key is left out: it costs full handshakes, and nothing else.
fn read(file: &Path) -> io::Result<Vec<DatedKey>> {
    let mut text = String::new();
    match File::open(file) {
        Ok(file) => drop(file.take(LARGEST_FILE).read_to_string(&mut text)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let key = |line: &str| {
        let (made, key) = line.split_once(' ')?;
        let key = BASE64.decode(key.as_bytes()).ok()?.try_into().ok()?;
        Some(DatedKey { made: made.parse().ok()?, key: TicketKey(key) })
    };
    Ok(text.lines().filter_map(key).collect())
}

fn write(file: &Path, kept: &[DatedKey]) -> io::Result<()> {
    let mut text = String::new();
    for DatedKey { made, key } in kept {
        text.push_str(&format!("{made} {}\n", BASE64.encode(&key.0)));
    }
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn processes_agree_on_keys_that_take_turns() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let (file, start, turn) = (folder.join(FILE), 1_800_000_000, TURN.as_secs());
        let first = agree(&file, start).unwrap();
        assert_eq!((first.len(), first[0].made), (1, start));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(agree(&file, start + turn - 1).unwrap(), first, "another process");
        let second = agree(&file, start + turn).unwrap();
        assert_eq!((second.len(), second[0].made, &second[1]), (2, start + turn, &first[0]));
        let third = agree(&file, start + 2 * turn).unwrap();
        let fourth = agree(&file, start + 3 * turn).unwrap();
        assert_eq!((third.len(), fourth.len(), &fourth[2]), (3, 3, &second[0]), "the first one is gone");
        assert_eq!(agree(&file, start + 30 * turn).unwrap().len(), 1, "after a long time");
        // A clock that was set back by years.
        assert_eq!(agree(&file, start).unwrap()[0].made, start);
        std::fs::write(&file, "no keys\n\u{1}").unwrap();
        assert_eq!(agree(&file, start).unwrap().len(), 1);
        let held = File::open(folder.join(format!("{FILE}.lock"))).unwrap();
        held.lock().unwrap();
        assert_eq!(agree(&file, start), Err("another process holds its lock".to_owned()));
        drop(held);
        std::fs::remove_dir_all(folder).unwrap();
        assert!(agree(&file, start).is_err());
    }
}
