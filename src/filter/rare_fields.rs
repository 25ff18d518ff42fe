//! Which of the fields that are seldom there an upstream's response has.

use http::header::HeaderMap;

use crate::message::hop::FieldKind;

/// Kinds of fields that some filter would look for. One look at all names is cheaper
/// than a look-up of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct RareFields {
    /// `Connection`, or a field that ends at this hop whatever that says.
    pub hop_by_hop: bool,
    /// `Location`, `Content-Location` or `Refresh`.
    pub location: bool,
    pub set_cookie: bool,
    pub transfer_encoding: bool,
}

impl RareFields {
    pub fn in_fields(headers: &HeaderMap) -> Self {
        let mut rare = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "location" | "content-location" | "refresh" => rare.location = true,
                "set-cookie" => rare.set_cookie = true,
                "transfer-encoding" => rare.transfer_encoding = true,
                other => match FieldKind::of(other) {
                    FieldKind::Switch | FieldKind::Te | FieldKind::EndsHere => rare.hop_by_hop = true,
                    FieldKind::Frame | FieldKind::TellsOfTheClient | FieldKind::Other => {}
                },
            }
        }
        rare
    }
}
