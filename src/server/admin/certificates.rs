//! `GET /certificates`: what clients of each listener get, and callers of this endpoint, and until when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::access::NAME;
use super::answer::Answer;
use super::figures::listeners;
use crate::listener::{CertificateInForce, Entrance};
use crate::runtime::Snapshot;
use crate::telemetry::timestamp;

#[derive(Serialize)]
struct Certificates {
    certificates: Vec<Certificate>,
}

#[derive(Serialize)]
struct Certificate {
    listener: String,
    names: Vec<String>,
    file: String,
    not_after: String,
    /// Below 0 once it is over.
    expires_in_s: i64,
    /// SHA-256, in hex.
    fingerprint: String,
    /// Why what is in the file now is not in force.
    error: Option<String>,
}

/// `own` is the endpoint itself.
pub fn answer(snapshot: &Snapshot, own: &Entrance) -> Answer {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let of = |(listener, entrance): (String, &Entrance)| {
        entrance.certificates().into_iter().map(move |found| described(&listener, found, now)).collect::<Vec<_>>()
    };
    let all = listeners(snapshot).into_iter().chain([(NAME.to_owned(), own)]);
    Answer::json(&Certificates { certificates: all.flat_map(of).collect() })
}

fn described(listener: &str, found: CertificateInForce, now: i64) -> Certificate {
    let CertificateInForce { file, certificate, fault } = found;
    let not_after = certificate.not_after();
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(not_after).unwrap_or(0)));
    let der = certificate.certified.cert.first().map(AsRef::as_ref).unwrap_or_default();
    Certificate {
        listener: listener.to_owned(),
        names: certificate.names().map(str::to_owned).collect(),
        file: file.display().to_string(),
        not_after: timestamp(end.unwrap_or(UNIX_EPOCH)),
        expires_in_s: not_after.saturating_sub(now),
        fingerprint: HEXLOWER.encode(digest(&SHA256, der).as_ref()),
        error: fault,
    }
}
