//! The extensions of a chunk, of which nothing is used.

use crate::message::bytes::TOKEN;

/// Where in the extensions of a chunk (RFC 9112 section 7.1.1). White space may stand around
/// `;` and `=`, and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// White space in front of a `;`.
    Gap,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    /// Behind the backslash of a quoted pair.
    Escaped,
    AfterQuoted,
}

impl Part {
    /// The part that `byte` belongs to; `None` where it may not stand.
    pub fn next(self, byte: u8) -> Option<Self> {
        let (space, token) = (matches!(byte, b' ' | b'\t'), TOKEN[usize::from(byte)]);
        match self {
            Self::Gap if space => Some(Self::Gap),
            Self::Gap | Self::Name | Self::AfterName | Self::Value | Self::AfterQuoted if byte == b';' => {
                Some(Self::BeforeName)
            }
            Self::BeforeName if space => Some(Self::BeforeName),
            Self::BeforeName | Self::Name if token => Some(Self::Name),
            Self::Name | Self::AfterName if byte == b'=' => Some(Self::BeforeValue),
            Self::Name | Self::AfterName if space => Some(Self::AfterName),
            Self::BeforeValue if space => Some(Self::BeforeValue),
            Self::BeforeValue if byte == b'"' => Some(Self::Quoted),
            Self::BeforeValue | Self::Value if token => Some(Self::Value),
            Self::Value | Self::AfterQuoted if space => Some(Self::Gap),
            Self::Quoted if byte == b'"' => Some(Self::AfterQuoted),
            Self::Quoted if byte == b'\\' => Some(Self::Escaped),
            Self::Quoted | Self::Escaped if matches!(byte, b'\t' | b' '..=b'~' | 0x80..) => Some(Self::Quoted),
            Self::Gap
            | Self::BeforeName
            | Self::Name
            | Self::AfterName
            | Self::BeforeValue
            | Self::Value
            | Self::Quoted
            | Self::Escaped
            | Self::AfterQuoted => None,
        }
    }

    /// Whether the line of the size may end here.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::AfterQuoted)
    }
}
