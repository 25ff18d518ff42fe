//! `admin.tls`: the keys of a listener's `tls` that mean something for the admin endpoint.

use crate::config::listener::{CertificateFiles, ClientAuth, TlsVersion, certificates, warn_same_names};
use crate::config::section::{AsSection, Fields, Reader, or_word, section};

section! {
    /// TLS of the admin endpoint.
    #[derive(Clone, Debug)]
    "`admin.tls`" pub struct AdminTls {
        /// As those of a listener: chosen by the name that a caller asks for (SNI), the first one for everybody else, and read again when they change.
        certificates: Vec<CertificateFiles>, required "[{ cert: certs/admin.pem, key: certs/admin.key }]", with certificates();
        /// The oldest version of TLS that callers may use.
        min_version: TlsVersion = "1.2";
        /// Certificates of callers, who may then change servers. With `mode: require` nobody connects without one, probes neither, and with `token_file` callers show both. With `mode: optional` a caller without one gets /health, /ready and the dashboard's files, and the rest with the token of `token_file`.
        client_auth: Option<ClientAuth> = "off", with or_word("off", "No certificate is asked for.", AsSection);
    }
    check AdminTls::check;
}

impl AdminTls {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        warn_same_names(&self.certificates, reader, fields);
    }
}
