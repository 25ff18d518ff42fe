//! The name and the password that a request brings (RFC 7617).

use data_encoding::BASE64;
use http::{HeaderMap, header};

/// No password is longer, in bytes: some schemes take time in proportion to it.
const LONGEST_PASSWORD: usize = 512;

/// Name and password as they came: `name:password`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    bytes: Vec<u8>,
    /// Where the `:` is.
    colon: usize,
}

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// Why a request brings no credentials that could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCredentials {
    /// There is no `Authorization`, or one of another scheme.
    Missing,
    Malformed,
    /// Upstreams might read another one than this proxy.
    Twice,
}

impl Credentials {
    /// # Errors
    /// When there are none that could be looked at.
    pub fn of(headers: &HeaderMap) -> Result<Self, NoCredentials> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let field = fields.next().ok_or(NoCredentials::Missing)?;
        if fields.next().is_some() {
            return Err(NoCredentials::Twice);
        }
        let (scheme, rest) = field.as_bytes().split_at_checked(6).ok_or(NoCredentials::Missing)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return Err(NoCredentials::Missing);
        }
        let bytes = BASE64.decode(rest.trim_ascii()).map_err(|_| NoCredentials::Malformed)?;
        let colon = memchr::memchr(b':', &bytes).ok_or(NoCredentials::Malformed)?;
        // RFC 7617 section 2: neither has control characters.
        let is_plain = !bytes.iter().any(u8::is_ascii_control);
        if is_plain && bytes.len() - colon - 1 <= LONGEST_PASSWORD {
            Ok(Self { bytes, colon })
        } else {
            Err(NoCredentials::Malformed)
        }
    }

    pub fn name(&self) -> &[u8] {
        self.bytes.get(..self.colon).unwrap_or_default()
    }

    pub fn password(&self) -> &[u8] {
        self.bytes.get(self.colon + 1..).unwrap_or_default()
    }

    /// Both.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(fields: &[&str]) -> Result<(String, String), NoCredentials> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(field).unwrap());
        }
        Credentials::of(&headers).map(|found| (text(found.name()), text(found.password())))
    }

    #[test]
    fn a_name_ends_at_its_first_colon() {
        let both = |name: &str, password: &str| Ok((name.to_owned(), password.to_owned()));
        assert_eq!(read(&["Basic YW5uOnNlY3JldA=="]), both("ann", "secret"));
        assert_eq!(read(&["bAsIc  YW5uOnM6dDo="]), both("ann", "s:t:"));
        assert_eq!(read(&["Basic Og=="]), both("", ""));
    }

    #[test]
    fn what_cannot_be_read_in_one_way_is_not_looked_at() {
        assert_eq!(read(&[]), Err(NoCredentials::Missing));
        assert_eq!(read(&["Bearer x"]), Err(NoCredentials::Missing));
        assert_eq!(read(&["Basic"]), Err(NoCredentials::Missing));
        for bad in ["Basic ", "Basic %%%", "Basic YW5u", "Basic YW5uOnNlY3JldA", "Basic YW5uOnM=, Basic YTpi"] {
            assert_eq!(read(&[bad]), Err(NoCredentials::Malformed), "{bad}");
        }
        // A NUL in the password, and a long one.
        assert_eq!(read(&["Basic YTpiAGM="]), Err(NoCredentials::Malformed));
        let long = format!("Basic {}", BASE64.encode(format!("a:{}", "x".repeat(513)).as_bytes()));
        assert_eq!(read(&[&long]), Err(NoCredentials::Malformed));
        assert_eq!(read(&["Basic YW5uOnNlY3JldA==", "Basic YW5uOnNlY3JldA=="]), Err(NoCredentials::Twice));
    }
}
