//! The rows of the causes that have faults of their own.

use super::row::Row;
use crate::auth::{OidcFault, ServiceFault, TokenFault};
use crate::telemetry::ErrorSource;
use crate::upstream::CertificateFault;

pub const fn token(fault: TokenFault) -> Row {
    let (proxy_status, source) = match fault.status() {
        503 => ("destination_unavailable", ErrorSource::Upstream),
        _ => ("http_request_denied", ErrorSource::Client),
    };
    let (status, reason) = (fault.status(), fault.reason());
    Row { status, reason, proxy_status, source, message: fault.message(), cure: fault.cure() }
}

pub const fn service(fault: ServiceFault) -> Row {
    Row {
        status: fault.status(),
        reason: fault.reason(),
        proxy_status: fault.proxy_status(),
        source: ErrorSource::Upstream,
        message: fault.message(),
        cure: fault.cure(),
    }
}

pub const fn oidc(fault: OidcFault) -> Row {
    Row {
        status: fault.status(),
        reason: fault.reason(),
        proxy_status: fault.proxy_status(),
        source: if fault.status() < 500 { ErrorSource::Client } else { ErrorSource::Upstream },
        message: fault.message(),
        cure: fault.cure(),
    }
}

pub const fn certificate(fault: CertificateFault) -> Row {
    Row {
        status: 502,
        reason: fault.reason(),
        proxy_status: "tls_certificate_error",
        source: ErrorSource::Upstream,
        message: fault.message(),
        cure: fault.cure(),
    }
}
