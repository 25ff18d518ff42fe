//! Files that are read again when they change: certificates and ticket keys. What cannot be used
//! leaves the old in force. A look costs a stat(2) for each file, and nothing else while they are
//! as they were.

use std::fmt::Display;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::store::{Certificates, Store};
use super::tickets::TicketKeys;
use crate::config::{CertificateFiles, CertificateVersions, FileVersion, ServerCertificate, TicketKeyFile};

/// The time between two warnings of the same certificate.
const NEXT_WARNING: Duration = Duration::from_secs(24 * 3600);

/// A change that could not be used so far. It is looked at once more before it is told of,
/// because a certificate and its key are written one after the other.
#[derive(Debug)]
struct Refused<V> {
    /// What the files were.
    versions: V,
    told: bool,
}

/// A certificate that clients get.
#[derive(Clone, Debug)]
pub struct CertificateInForce {
    pub file: PathBuf,
    pub certificate: Arc<ServerCertificate>,
    /// Why what is in the file now could not be used.
    pub fault: Option<String>,
}

/// The certificates of a listener, with their files.
#[derive(Debug)]
pub struct CertificateRenewal {
    served: Arc<Certificates>,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    files: CertificateFiles,
    refused: Option<Refused<CertificateVersions>>,
    /// Why that was refused.
    fault: Option<String>,
    /// When the operator was last told of its end and the like.
    warned: SystemTime,
    is_stapled: bool,
}

impl CertificateRenewal {
    /// `served` was made of `files`, whose warnings were told.
    pub fn new(files: &[CertificateFiles], served: Arc<Certificates>) -> Self {
        let now = SystemTime::now();
        let entry = |files: &CertificateFiles| Entry {
            is_stapled: files.loaded.as_ref().is_some_and(|certificate| certificate.is_stapled(now)),
            files: files.clone(),
            refused: None,
            fault: None,
            warned: now,
        };
        Self { served, entries: Mutex::new(files.iter().map(entry).collect()) }
    }

    /// The certificates in force, each with its file.
    pub fn in_force(&self) -> Vec<CertificateInForce> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = |entry: &Entry| {
            let (file, certificate) = (entry.files.cert.clone(), entry.files.loaded.clone()?);
            Some(CertificateInForce { file, certificate, fault: entry.fault.clone() })
        };
        entries.iter().filter_map(loaded).collect()
    }

    /// Says which files were read by another user, and could not be read again by this one.
    pub fn warn_of_lost_files(&self, of: &dyn Display) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let files = entries.iter().flat_map(|entry| entry.files.all());
        let mut lost = files.filter_map(|file| File::open(file).err().map(|e| (file, e)));
        if let Some((file, e)) = lost.next() {
            let more = lost.count();
            let more = if more > 0 { format!(", nor {more} more files") } else { String::new() };
            let file = file.display();
            log::warn!("{of}: {file} could not be read again{more}: {e}; a renewed certificate needs a restart");
        }
    }

    /// Looks at every file. `of` is the listener, for the log.
    pub fn look(&self, of: &dyn Display) {
        let now = SystemTime::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Every one is looked at, whatever becomes of those before it.
        let changed = entries.iter_mut().filter_map(|entry| entry.look(of, now).then_some(())).count();
        if changed > 0
            && let Some(store) = Store::new(entries.iter().filter_map(|entry| entry.files.loaded.as_deref()))
        {
            self.served.replace(store);
        }
    }
}

impl Entry {
    /// Whether something else is to be served from now on.
    fn look(&mut self, of: &dyn Display, now: SystemTime) -> bool {
        let renewed = self.renew(of);
        let Some(certificate) = &self.files.loaded else { return false };
        if renewed || now.duration_since(self.warned).is_ok_and(|since| since >= NEXT_WARNING) {
            self.warned = now;
            certificate.notes(now).iter().for_each(|note| log::warn!("{of}: {}: {note}", self.files.cert.display()));
        }
        let was_stapled = std::mem::replace(&mut self.is_stapled, certificate.is_stapled(now));
        if was_stapled && !self.is_stapled && !renewed {
            let file = self.files.cert.display();
            log::warn!("{of}: {file}: its OCSP response is out of date and not stapled any more");
        }
        renewed || was_stapled != self.is_stapled
    }

    fn renew(&mut self, of: &dyn Display) -> bool {
        let versions = self.files.versions();
        if self.files.loaded.as_ref().is_some_and(|loaded| loaded.is_of(&versions)) {
            (self.refused, self.fault) = (None, None);
            return false;
        }
        let seen = self.refused.as_mut().filter(|refused| refused.versions == versions);
        if seen.as_ref().is_some_and(|refused| refused.told) {
            return false;
        }
        match self.files.load() {
            Ok(new) => {
                (self.refused, self.fault) = (None, None);
                log::info!("{of}: {} is in force: {}", self.files.cert.display(), describe(&new));
                self.files.loaded = Some(new);
                true
            }
            Err(refusals) => {
                match seen {
                    Some(refused) => {
                        refused.told = true;
                        let faults: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                        self.fault = Some(faults.join("; "));
                        let old = self.files.loaded.as_deref().map(describe).unwrap_or_default();
                        for refusal in refusals {
                            log::error!("{of}: {refusal}; the certificate of before stays in force: {old}");
                        }
                    }
                    None => self.refused = Some(Refused { versions, told: false }),
                }
                false
            }
        }
    }
}

fn describe(certificate: &ServerCertificate) -> String {
    const MOST: usize = 3;
    let names: Vec<&str> = certificate.names().take(MOST).collect();
    let more = certificate.names().skip(MOST).count();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}, until {}", names.join(", "), certificate.last_day())
}

/// Ticket keys with their file.
#[derive(Debug)]
pub struct TicketKeyRenewal {
    keys: Arc<TicketKeys>,
    state: Mutex<(TicketKeyFile, Option<Refused<Option<FileVersion>>>)>,
}

impl TicketKeyRenewal {
    /// `keys` are those of `file`.
    pub fn new(file: &TicketKeyFile, keys: Arc<TicketKeys>) -> Self {
        Self { keys, state: Mutex::new((file.clone(), None)) }
    }

    /// As [`CertificateRenewal::look`].
    pub fn look(&self, of: &dyn Display) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, refused) = &mut *state;
        let version = FileVersion::of(&file.path);
        if version == file.version {
            *refused = None;
            return;
        }
        let seen = refused.as_mut().filter(|refused| refused.versions == version);
        if seen.as_ref().is_some_and(|refused| refused.told) {
            return;
        }
        match TicketKeyFile::load(&file.path) {
            Ok(new) => {
                log::info!("{of}: the {} ticket keys of {} are in force", new.keys.len(), new.path.display());
                self.keys.replace(&new.keys);
                (*file, *refused) = (new, None);
            }
            Err(why) => match seen {
                Some(refused) => {
                    refused.told = true;
                    let (path, why) = (file.path.display(), why.message.unwrap_or_default());
                    log::error!("{of}: {path}: {why}; the ticket keys of before stay in force");
                }
                None => *refused = Some(Refused { versions: version, told: false }),
            },
        }
    }
}
