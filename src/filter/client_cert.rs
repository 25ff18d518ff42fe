//! The certificate by which a client was let in, for the upstream: `Client-Cert` and
//! `Client-Cert-Chain` (RFC 9440). `hop_by_hop` left nothing of what an untrusted remote said.

use super::context::UpstreamRequestContext;

/// Sets the fields. What a trusted remote says of a client of its own goes on where this proxy
/// has seen no certificate.
pub fn pass_on(cx: &mut UpstreamRequestContext<'_>) {
    let Some(presented) = cx.client.tls.as_ref().and_then(|tls| tls.client_cert.as_ref()) else { return };
    cx.upstream.set("Client-Cert", presented.cert.clone());
    match &presented.chain {
        Some(chain) => cx.upstream.set("Client-Cert-Chain", chain.clone()),
        None => cx.upstream.retain(|name, _| name != "client-cert-chain"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::asked;
    use super::super::fields::Edited;
    use super::super::fields::tests::lines;
    use super::*;
    use crate::downstream::{ClientConnection, Remote};
    use crate::transport::{ClientCert, ClientIdentity, ClientTls};
    use http::HeaderValue;
    use std::sync::Arc;

    #[test]
    fn the_upstream_is_told_of_the_certificate_that_was_seen_here() {
        let value = HeaderValue::from_static;
        for (chain, expected) in [
            (Some(value(":Yw==:")), &["Client-Cert: :Yg==:", "Client-Cert-Chain: :Yw==:"][..]),
            (None, &["Client-Cert: :Yg==:"]),
        ] {
            let client_cert = Some(ClientCert { cert: value(":Yg==:"), chain, identity: ClientIdentity::default() });
            let mut remote = Remote::plain(None);
            remote.tls = Some(ClientTls { client_cert, ..ClientTls::default() });
            let client = ClientConnection::new(remote, Arc::default());
            asked("/", |request| {
                let mut upstream = request.head.clone();
                upstream.append_header("Client-Cert", ":Zm9yZ2Vk:").unwrap();
                upstream.append_header("Client-Cert-Chain", ":Zm9yZ2Vk:").unwrap();
                let place = ("http", None);
                let mut cx = UpstreamRequestContext::new(*request, &client, place, Edited::new(&mut upstream));
                pass_on(&mut cx);
                assert_eq!(lines(&upstream), expected);
            });
        }
    }
}
