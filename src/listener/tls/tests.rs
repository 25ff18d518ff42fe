//! What is known of a client once it has shaken hands.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsConnector;

use super::*;
use crate::config;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &Issuer, name: &str, until: Duration) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::now_utc() + until;
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// One listener that asks `admin.a.test` for a certificate of `issuer`.
fn termination(issuer: &Issuer) -> (Termination, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let folder = files.path();
    let (certificate, key) = issue(issuer, "*.a.test", Duration::from_secs(3600));
    std::fs::write(folder.join("a.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("a.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
    let text = "listeners: [{ address: '127.0.0.1:443', tls: { certificates: [{ cert: a.pem, key: a.key }], \
                hosts: [{ host: admin.a.test, client_auth: { ca: ca.pem } }] } }]\nroutes: [{ respond: {} }]\n";
    let (config, _) = config::parse(folder.join("p.yaml").to_str().unwrap(), text, &|_| None).unwrap();
    let listener = &config.listeners[0];
    let keys = Arc::new(TicketKeys::new(&[crate::config::TicketKey([7; 32])]));
    let tls = listener.tls.as_ref().unwrap();
    (Termination::new(tls, &listener.address, true, &keys).unwrap(), files)
}

fn client(
    issuer: &Issuer,
    identity: Option<&(rcgen::Certificate, KeyPair)>,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::clone(tls_provider())).with_protocol_versions(&[version]);
    let builder = builder.unwrap().with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![certificate.der().clone(), CertificateDer::from(issuer.der().to_vec())];
            builder.with_client_auth_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into()).unwrap()
        }
    }
}

/// What the server knows of the client, and whether it resumed its session.
async fn shake_hands(
    termination: &Termination,
    client: &ClientConfig,
    name: &'static str,
) -> io::Result<(ClientTls, bool, bool)> {
    let (ours, theirs) = duplex(64 << 10);
    let connector = TlsConnector::from(Arc::new(client.clone()));
    let asking = async {
        let mut stream = connector.connect(ServerName::try_from(name).unwrap(), theirs).await?;
        // Tickets come with the first bytes.
        stream.read_exact(&mut [0; 1]).await
    };
    let serving = async {
        let (mut stream, tls, http2) = termination.accept(Socket::from(ours)).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok::<_, io::Error>((tls, http2, resumed))
    };
    let (asked, served) = tokio::join!(asking, serving);
    let served = served?;
    asked?;
    Ok(served)
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_when_it_resumes_too() {
    let issuer = issuer();
    let (termination, _files) = termination(&issuer);
    let identity = issue(&issuer, "client", Duration::from_secs(3600));
    let [of_admins, of_others] = ["admin.a.test", "www.a.test"].map(|host| termination.rule_of(host));
    assert_ne!(of_admins, of_others);
    for (version, called) in [(&version::TLS12, "TLSv1.2"), (&version::TLS13, "TLSv1.3")] {
        let mut client = client(&issuer, Some(&identity), version);
        client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        for again in [false, true] {
            let (tls, http2, resumed) = shake_hands(&termination, &client, "admin.a.test").await.unwrap();
            let known = (tls.server_name.as_deref(), tls.version, tls.client_auth, http2, resumed);
            assert_eq!(known, (Some("admin.a.test"), called, of_admins, true, again));
            let cert = tls.client_cert.unwrap();
            assert_eq!(cert.cert, format!(":{}:", BASE64.encode(identity.0.der())));
            assert_eq!(cert.chain.unwrap(), format!(":{}:", BASE64.encode(issuer.der())));
        }
        // Nobody asks for it elsewhere.
        let (tls, _, resumed) = shake_hands(&termination, &client, "www.a.test").await.unwrap();
        assert!(tls.client_auth == of_others && tls.client_cert.is_none() && !resumed);
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_resumes_no_session() {
    let issuer = issuer();
    let (termination, _files) = termination(&issuer);
    let identity = issue(&issuer, "client", Duration::from_secs(2));
    let client = client(&issuer, Some(&identity), &version::TLS13);
    shake_hands(&termination, &client, "admin.a.test").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let refused = shake_hands(&termination, &client, "admin.a.test").await.unwrap_err();
    assert!(refused.to_string().contains("has expired since its session began"), "{refused}");
}
