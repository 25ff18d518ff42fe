//! What an upstream's response holds of that which is seldom there.

use http::header::HeaderMap;

use crate::message::hop::Connection;

/// Kinds of fields that some filter would look for. One look at all names is cheaper
/// than a look-up of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Present {
    /// `Connection`, or a field that ends at this hop whatever that says.
    pub hop_by_hop: bool,
    /// `Location`, `Content-Location` or `Refresh`.
    pub location: bool,
    pub set_cookie: bool,
    pub transfer_encoding: bool,
}

impl Present {
    pub fn in_fields(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "location" | "content-location" | "refresh" => present.location = true,
                "set-cookie" => present.set_cookie = true,
                "transfer-encoding" => present.transfer_encoding = true,
                "connection" | "upgrade" => present.hop_by_hop = true,
                _ => present.hop_by_hop |= Connection::Plain.ends(name, headers),
            }
        }
        present
    }
}
