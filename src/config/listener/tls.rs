//! `listeners[].tls`: certificates, sessions and who is let in.

use std::collections::HashMap;
use std::time::Duration;

use super::certificate::CertificateFiles;
use super::client_auth::{ClientAuth, HostClientAuth};
use super::ticket_keys::TicketKeySource;
use crate::config::section::{AsSection, Fields, Form, Reader, list, or_word, section, some_of, words};
use crate::config::value::{DURATION, HostPattern};
use crate::config::yaml::{Kind, Span};

words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2 and 1.3.
        V1_2 = "1.2",
        /// TLS 1.3 alone.
        V1_3 = "1.3",
    }
}

section! {
    /// TLS of a listener.
    #[derive(Clone, Debug)]
    "a listener's `tls`" pub struct ListenerTls {
        /// Certificates. Which one a client gets is decided by the name that it asks for (SNI), against the names in the certificates: an exact one, then `*.` for one label. The first certificate is for everybody else. The files are read again when they change.
        certificates: Vec<CertificateFiles>, required "[{ cert: certs/a.pem, key: certs/a.key }]", with certificates();
        /// The keys by which clients resume their sessions; or a file that the processes of a fleet share, with one key of 32 bytes in base64 or hex on each line. The first one encrypts, all of them decrypt; it is read again when it changes.
        ticket_keys: TicketKeySource = "auto";
        /// How long browsers use HTTPS alone for the host, from `Strict-Transport-Security` of a response (RFC 6797).
        hsts: Option<Duration> = "off", with or_word("off", "No such field is sent.", DURATION);
        /// The oldest version of TLS that clients may use.
        min_version: TlsVersion = "1.2";
        /// Certificates of clients, which upstreams are told of by `Client-Cert` (RFC 9440).
        client_auth: Option<ClientAuth> = "off", with or_word("off", "No certificate is asked for.", AsSection);
        /// Hosts with another rule for client certificates than the listener's.
        hosts: Vec<HostClientAuth> = [], with list("maps such as `{ host: admin.example.com, client_auth: { ca: certs/clients.pem } }`", AsSection);
    }
    later { acme }
    check ListenerTls::check;
}

impl ListenerTls {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        warn_same_names(&self.certificates, reader, fields);
        self.refuse_same_hosts(reader);
        if let TicketKeySource::File(file) = &self.ticket_keys
            && file.version.is_some_and(|version| version.is_open_to_others())
        {
            let span = fields.get("ticket_keys").map_or(fields.span, |node| node.span);
            let help = "take the permission away: `chmod 600`".to_owned();
            reader.warn(span, "the ticket keys can be read by other users", Some(help));
        }
    }

    fn refuse_same_hosts(&self, reader: &mut Reader<'_>) {
        let mut first: HashMap<&HostPattern, Span> = HashMap::new();
        for entry in &self.hosts {
            for host in &entry.host {
                if let Some(earlier) = first.insert(host, entry.location.0) {
                    let help = format!("it stands on line {} as well", earlier.line);
                    reader.error_help(entry.location.0, format!("duplicate host `{host}`"), help);
                }
            }
        }
    }
}

/// At least one certificate.
pub fn certificates() -> impl Form<Vec<CertificateFiles>> {
    some_of(
        "maps such as `{ cert: certs/a.pem, key: certs/a.key }`",
        AsSection,
        ("no certificate: no client could connect", Some("add for instance `{ cert: certs/a.pem, key: certs/a.key }`")),
    )
}

/// A name that an earlier certificate has as well is served by that one.
pub fn warn_same_names(certificates: &[CertificateFiles], reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let items = fields.get("certificates").map(|node| &node.kind);
    let items = if let Some(Kind::Seq(items)) = items { items.as_slice() } else { &[] };
    // A certificate that could not be read is an error already, and shifts the others.
    if items.len() != certificates.len() {
        return;
    }
    let mut first: HashMap<&str, Span> = HashMap::new();
    for (files, node) in certificates.iter().zip(items) {
        let span = node.entry("cert").map_or(node.span, |(_, node)| node.span);
        for name in files.loaded.iter().flat_map(|certificate| certificate.names()) {
            let earlier = *first.entry(name).or_insert(span);
            if earlier != span {
                let help = format!("the one on line {} is used", earlier.line);
                reader.warn(span, format!("`{name}` has a certificate already"), Some(help));
            }
        }
    }
}
