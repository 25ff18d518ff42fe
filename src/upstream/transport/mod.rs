//! Connections to upstreams: to an address, to any address of a name or to a unix socket, with
//! TLS on it where the upstream has it. What is said on them is the business of `http1`.

mod certificate;
mod destination;
mod dial;
mod failure;
mod name_addresses;
mod proxy_header;
mod socket;
mod tls;

pub use certificate::CertificateFault;
pub use destination::{Destination, Established, Place, Selected};
pub use dial::Dial;
pub use failure::{NotSelected, read_failed};
pub use name_addresses::NameAddresses;
pub use proxy_header::ClientAddress;
pub use tls::TlsClient;
