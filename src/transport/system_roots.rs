//! The certificates that the system trusts, read once for all that connect.

use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;

/// Empty, with a line in the log, where the system has none: then no certificate is accepted.
pub fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| Arc::new(read()));
    Arc::clone(&ROOTS)
}

fn read() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for e in found.errors {
        log::warn!("some of the system's CA certificates cannot be read: {e}");
    }
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if unusable > 0 {
        log::debug!("{unusable} of the system's CA certificates cannot be used");
    }
    roots
}
