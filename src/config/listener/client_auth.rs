//! Client certificates: those of a listener, and those of hosts that have a rule of their own.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::config::pem::{CERTIFICATES, PemFile};
use crate::config::section::{AsSection, Fields, Reader, one_or_list, or_word, section, words};
use crate::config::value::{HOST_PATTERN, HostPattern};
use crate::config::yaml::{Invalid, Location};

words! {
    /// What happens to a client without a certificate.
    pub enum ClientAuthMode {
        /// The handshake fails.
        Require = "require",
        /// It is served; upstreams see no certificate.
        Optional = "optional",
    }
}

section! {
    /// Certificates of clients.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`client_auth`" pub struct ClientAuth {
        /// PEM certificates of the CAs that issue the clients' certificates. The file is read at a reload; sessions of before are not resumed when it has changed.
        ca: PemFile, required "certs/clients.pem", with CERTIFICATES;
        /// What happens to a client without a certificate. One with another CA's is always refused.
        mode: ClientAuthMode = "require";
    }
    check ClientAuth::check;
}

impl ClientAuth {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if let Err(reason) = self.roots() {
            let span = fields.get("ca").map_or(fields.span, |node| node.span);
            reader.invalid(span, Invalid::new(format!("a certificate in this file cannot be a CA's: {reason}")));
        }
    }

    /// What the certificates of clients are verified against.
    ///
    /// # Errors
    /// When a certificate cannot be a CA's.
    pub fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.ca.der.iter().try_for_each(|der| roots.add(CertificateDer::from(der.as_slice())))?;
        Ok(roots)
    }
}

section! {
    /// Hosts with a rule of their own for client certificates.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "an entry of `hosts`" pub struct HostClientAuth {
        /// Names as clients ask for them (SNI), and `*.example.com` for all names below one. An exact name goes before a longer `*.`, and that before a shorter one.
        host: Vec<HostPattern>, required "admin.example.com", with one_or_list("a host such as `example.com`", HOST_PATTERN);
        /// As `client_auth` of the listener, for these hosts.
        client_auth: Option<ClientAuth>, required "{ ca: certs/clients.pem }", with or_word("off", "No certificate is asked for.", AsSection);
    }
    derived { location: Location }
    check HostClientAuth::check;
}

impl HostClientAuth {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = fields.get("host").map_or(fields.span, |node| node.span);
        self.location = Location(span);
        if self.host.contains(&HostPattern::Any) {
            reader.error_help(span, "`*` is every host", "write `client_auth` of the listener for that");
        }
    }
}
