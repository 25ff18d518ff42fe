//! A certificate of a listener: its files, read and checked together, at the start and whenever
//! they change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::ocsp::{self, Staple};
use crate::config::pem;
use crate::config::section::{Fields, Reader, or_null, section};
use crate::config::value::{FileVersion, NamedFile, read_file};
use crate::config::yaml::{Invalid, Parsed};
use crate::transport::tls_provider;

/// How long before its end a certificate is warned of.
const EXPIRES_SOON: i64 = 14 * 24 * 3600;

section! {
    /// A certificate, its key and its OCSP response.
    #[derive(Clone, Debug)]
    "a certificate" pub struct CertificateFiles {
        /// The certificate and the intermediate ones behind it, PEM: what certbot calls `fullchain.pem`.
        cert: PathBuf, required "certs/example.com.pem", with NamedFile("a PEM file's path");
        /// Its private key, PEM.
        key: PathBuf, required "certs/example.com.key", with NamedFile("a PEM file's path");
        /// An OCSP response in DER that is stapled to it, until the time that it names.
        ocsp: Option<PathBuf> = null, with or_null(NamedFile("a file's path"));
    }
    derived {
        /// What the files held when they were last read.
        loaded: Option<Arc<ServerCertificate>>
    }
    check CertificateFiles::check;
}

/// One of the three files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Cert,
    Key,
    Ocsp,
}

impl Part {
    const fn key(self) -> &'static str {
        match self {
            Self::Cert => "cert",
            Self::Key => "key",
            Self::Ocsp => "ocsp",
        }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct CertificateRefusal {
    /// The file that is to blame.
    part: Part,
    file: PathBuf,
    why: Invalid,
}

impl std::fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = self.why.message.as_deref().unwrap_or_default();
        write!(f, "{}: {message}", self.file.display())?;
        self.why.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl CertificateFiles {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = |part: Part| fields.get(part.key()).map_or(fields.span, |node| node.span);
        match self.load() {
            Ok(certificate) => {
                for (part, message, help) in certificate.warnings(SystemTime::now()) {
                    reader.warn(span(part), message, help);
                }
                self.loaded = Some(certificate);
            }
            Err(refused) => refused.into_iter().for_each(|refusal| reader.invalid(span(refusal.part), refusal.why)),
        }
    }

    /// Reads the files, unless they are as they were when they were last read.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(&self) -> Result<Arc<ServerCertificate>, Vec<CertificateRefusal>> {
        let versions = self.versions();
        if let Some(known) = known(&self.paths(), &versions) {
            return Ok(known);
        }
        let refusal = |part: Part, file: &Path| {
            let file = file.to_owned();
            move |why| vec![CertificateRefusal { part, file, why }]
        };
        let read = |path: &Path| read_file(path, &path.display().to_string());
        let chain = read(&self.cert).and_then(|pem| Chain::read(&pem)).map_err(refusal(Part::Cert, &self.cert));
        let key = read(&self.key).and_then(|pem| pem::private_key(&pem)).map_err(refusal(Part::Key, &self.key));
        let ((chain, facts), key) = match (chain, key) {
            (Ok(chain), Ok(key)) => ((chain.der, chain.facts), key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().flatten().collect()),
        };
        let certified = pem::certified_key(chain, key, &self.cert.display(), tls_provider());
        let mut certified = certified.map_err(refusal(Part::Key, &self.key))?;
        let mut staple = None;
        if let Some(path) = &self.ocsp {
            let read = read(path).and_then(|der| match ocsp::read(&der, &facts.serial) {
                Ok(staple) => Ok((der, staple)),
                Err(reason) => Err(Invalid::new(reason)),
            });
            let (der, found) = read.map_err(refusal(Part::Ocsp, path))?;
            certified.ocsp = Some(der);
            staple = Some(found);
        }
        let loaded = ServerCertificate { certified: Arc::new(certified), facts, staple, versions };
        Ok(remember(self.paths(), loaded))
    }

    /// What the files are now.
    pub fn versions(&self) -> Versions {
        [Some(&self.cert), Some(&self.key), self.ocsp.as_ref()].map(|path| path.and_then(|path| FileVersion::of(path)))
    }

    /// Each file.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.cert), Some(&self.key), self.ocsp.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }

    fn paths(&self) -> Paths {
        (self.cert.clone(), self.key.clone(), self.ocsp.clone())
    }
}

type Paths = (PathBuf, PathBuf, Option<PathBuf>);
pub type Versions = [Option<FileVersion>; 3];

/// A certificate that can be used.
#[derive(Debug)]
pub struct ServerCertificate {
    pub certified: Arc<CertifiedKey>,
    facts: Facts,
    staple: Option<Staple>,
    versions: Versions,
}

/// What is kept of a certificate beside its bytes.
#[derive(Debug)]
struct Facts {
    names: Box<[Box<str>]>,
    serial: Box<[u8]>,
    /// From the latest to the earliest of the chain, in seconds since 1970.
    not_before: i64,
    not_after: i64,
}

impl ServerCertificate {
    /// In lower case, those with `*.` too; nobody is served by another name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.facts.names.iter().map(AsRef::as_ref)
    }

    /// The end of its time, in seconds since 1970: that of the chain's first certificate to expire.
    pub fn not_after(&self) -> i64 {
        self.facts.not_after
    }

    /// The day after which nobody accepts it, as in 2026-11-27.
    pub fn last_day(&self) -> String {
        date(self.facts.not_after)
    }

    /// Whether this is what the files were when it was read.
    pub fn is_of(&self, versions: &Versions) -> bool {
        self.versions == *versions
    }

    /// Whether an OCSP response is sent with it.
    pub fn is_stapled(&self, now: SystemTime) -> bool {
        self.certified.ocsp.is_some() && !self.staple_is_over(seconds(now))
    }

    /// The certificate without its OCSP response once the time of that is over: a client may refuse
    /// the connection for an old response, but not for none.
    pub fn without_old_staple(&self, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let is_over = self.certified.ocsp.is_some() && !self.is_stapled(now);
        is_over.then(|| Arc::new(CertifiedKey { ocsp: None, ..(*self.certified).clone() }))
    }

    fn staple_is_over(&self, now: i64) -> bool {
        self.staple.and_then(|staple| staple.until).is_some_and(|until| until <= now)
    }

    /// What the operator should know of it, in words.
    pub fn notes(&self, now: SystemTime) -> Vec<String> {
        self.warnings(now).into_iter().map(|(_, message, _)| message).collect()
    }

    fn warnings(&self, now: SystemTime) -> Vec<(Part, String, Option<String>)> {
        let now = seconds(now);
        let mut all = Vec::new();
        let name = self.facts.names.first().map_or("no name", AsRef::as_ref);
        let Facts { not_before, not_after, .. } = self.facts;
        let renew = || Some("renew it; the files are read again when they change".to_owned());
        if not_after < now {
            all.push((Part::Cert, format!("the certificate for `{name}` expired on {}", date(not_after)), renew()));
        } else if not_before > now {
            let message = format!("the certificate for `{name}` is not valid before {}", date(not_before));
            all.push((Part::Cert, message, None));
        } else if not_after < now + EXPIRES_SOON {
            all.push((Part::Cert, format!("the certificate for `{name}` expires on {}", date(not_after)), renew()));
        }
        if self.facts.names.is_empty() {
            let help = "it is used only where it is the first one, for clients that ask for no other's name";
            all.push((Part::Cert, "the certificate has no name".to_owned(), Some(help.to_owned())));
        }
        if self.versions[1].is_some_and(|version| version.is_open_to_others()) {
            let help = "take the permission away: `chmod 600`".to_owned();
            all.push((Part::Key, "the private key can be read by other users".to_owned(), Some(help)));
        }
        if let Some(Staple { is_good: false, .. }) = self.staple {
            let message = "the OCSP response says that the certificate is revoked or not known".to_owned();
            all.push((Part::Ocsp, message, None));
        }
        if let Some(until) = self.staple.and_then(|staple| staple.until).filter(|until| *until <= now) {
            let message = format!("the OCSP response is out of date since {}: it is not stapled", date(until));
            all.push((Part::Ocsp, message, None));
        }
        all
    }
}

fn seconds(time: SystemTime) -> i64 {
    OffsetDateTime::from(time).unix_timestamp()
}

/// As in 2026-11-27.
fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| "an unknown day".to_owned(), |t| t.date().to_string())
}

struct Chain {
    der: Vec<Vec<u8>>,
    facts: Facts,
}

impl Chain {
    fn read(pem: &[u8]) -> Parsed<Self> {
        let der = pem::certificates(pem)?;
        let all = der.iter().map(|der| pem::parse(der)).collect::<Parsed<Vec<_>>>()?;
        let validity = || all.iter().map(|certificate| certificate.validity());
        let facts = Facts {
            names: all.first().map(names).unwrap_or_default(),
            serial: all.first().map_or(&[][..], |leaf| leaf.raw_serial()).into(),
            not_before: validity().map(|validity| validity.not_before.timestamp()).max().unwrap_or_default(),
            not_after: validity().map(|validity| validity.not_after.timestamp()).min().unwrap_or_default(),
        };
        drop(all);
        Ok(Self { der, facts })
    }
}

/// The DNS names of the extension for them; the subject's common name where there is no such
/// extension, as in certificates that were made by hand (RFC 6125 section 6.4.4).
fn names(certificate: &X509Certificate<'_>) -> Box<[Box<str>]> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let lower = |name: &str| name.to_ascii_lowercase().into_boxed_str();
    match extension {
        Some(extension) => {
            let names = extension.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(lower(name)),
                _ => None,
            });
            names.collect()
        }
        None => {
            let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
            common.filter(|name| !name.is_empty() && !name.contains(' ')).map(lower).collect()
        }
    }
}

/// The certificates in use, by their files: a reload reads those alone that have changed.
static KNOWN: Mutex<Option<HashMap<Paths, Weak<ServerCertificate>>>> = Mutex::new(None);

fn known(paths: &Paths, versions: &Versions) -> Option<Arc<ServerCertificate>> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.as_ref()?.get(paths)?.upgrade()?;
    (found.versions == *versions).then_some(found)
}

fn remember(paths: Paths, loaded: ServerCertificate) -> Arc<ServerCertificate> {
    let loaded = Arc::new(loaded);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if known.len() == known.capacity() {
        known.retain(|_, certificate| certificate.strong_count() > 0);
    }
    known.insert(paths, Arc::downgrade(&loaded));
    loaded
}
