//! Whether what was taken for a secret is a key or a certificate, in any form in which programs write
//! those: who knows a public key could sign tokens with it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

/// Marks of PEM and of SSH2, of a line of SSH, of the Base64 of SSH's own form, and of JSON Web Keys.
const MARKS: [&str; 12] = [
    "---- BEGIN",
    "-----BEGIN",
    "ssh-rsa ",
    "ssh-dss ",
    "ssh-ed25519 ",
    "ecdsa-sha2-",
    "AAAAB3NzaC1",
    "AAAAC3NzaC1",
    "AAAAE2VjZHNh",
    "\"kty\"",
    "\"keys\"",
    "\"x5c\"",
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub fn is_known_key(bytes: &[u8]) -> bool {
    // Without its NULs a text in UTF-16 is one in ASCII.
    let text: Vec<u8> = bytes.iter().copied().filter(|b| *b != 0).collect();
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).trim_ascii();
    let has = |mark: &str| memchr::memmem::find(text, mark.as_bytes()).is_some();
    text.starts_with(b"{") || MARKS.into_iter().any(has) || is_der(bytes) || is_point(bytes) || is_encoded_der(text)
}

/// An uncompressed point of a curve (SEC 1 section 2.3.3), which random bytes never are.
fn is_point(bytes: &[u8]) -> bool {
    let is_on = |curve| ParsedPublicKey::new(curve, bytes).is_ok();
    bytes.first() == Some(&4) && (is_on(&ECDSA_P256_SHA256_FIXED) || is_on(&ECDSA_P384_SHA384_FIXED))
}

/// Base64 over one or more lines, or hexadecimal.
fn is_encoded_der(text: &[u8]) -> bool {
    let joined: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let unpadded = joined.trim_ascii_end().split(|b| *b == b'=').next().unwrap_or_default();
    let mut padded: Vec<u8> = unpadded
        .iter()
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    padded.resize(padded.len().next_multiple_of(4), b'=');
    let decoded = [BASE64.decode(&padded), HEXLOWER_PERMISSIVE.decode(&joined)];
    decoded.iter().flatten().any(|bytes| is_der(bytes))
}

/// A SEQUENCE of ASN.1 that is all there is but for white space, and begins with another one, as public
/// keys and certificates do, or with a number, as keys of RSA and all private keys (X.690 section 8.1).
fn is_der(bytes: &[u8]) -> bool {
    let Some((0x30, rest)) = bytes.split_first().map(|(tag, rest)| (*tag, rest)) else { return false };
    let Some((length, content)) = der_length(rest) else { return false };
    let Some((content, behind)) = content.split_at_checked(length) else { return false };
    matches!(content.first(), Some(0x30 | 0x02)) && behind.iter().all(u8::is_ascii_whitespace)
}

fn der_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let (length, rest) = rest.split_at_checked(usize::from(*first & 0x7f)).filter(|(length, _)| length.len() <= 3)?;
    Some((length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of an Ed25519 key (RFC 8410 section 10.1), in DER.
    const DER: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn a_key_is_known_in_every_form() {
        let der = BASE64.decode(DER.as_bytes()).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{DER}\n-----END PUBLIC KEY-----\n");
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(pem.bytes().flat_map(|b| [b, 0])).collect();
        let long = [&[0x30, 0x82, 0x01, 0x04, 0x02, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        let half = |text: &str| data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let forms: [(&str, Vec<u8>); 15] = [
            ("a point", [vec![4], half(x), half(y)].concat()),
            ("PEM", pem.clone().into()),
            ("PEM behind a text", format!("Bag Attributes\n{pem}").into()),
            ("PEM behind a mark", [BYTE_ORDER_MARK, pem.as_bytes()].concat()),
            ("PEM in UTF-16", wide),
            ("DER", der.clone()),
            ("DER and a new line", [&der[..], b"\n"].concat()),
            ("long DER", long),
            ("Base64", DER.into()),
            ("Base64 over lines", format!("{}\n{}\n", &DER[..20], &DER[20..]).into()),
            ("Base64 for URLs", data_encoding::BASE64URL_NOPAD.encode(&der).into()),
            ("hexadecimal", data_encoding::HEXUPPER.encode(&der).into()),
            ("SSH", b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 me@here\n".to_vec()),
            ("SSH2", b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n".to_vec()),
            ("JWK", b"[{\"kty\":\"oct\"}]".to_vec()),
        ];
        for (form, bytes) in forms {
            assert!(is_known_key(&bytes), "{form}");
        }
    }

    #[test]
    fn a_secret_is_none() {
        let random: Vec<u8> = (0..64_u8).map(|byte| byte.wrapping_mul(73) ^ 0x30).collect();
        assert_eq!(random[0], 0x30);
        for secret in [
            &random[..],
            BASE64.encode(&random).as_bytes(),
            data_encoding::HEXLOWER.encode(&random).as_bytes(),
            b"correct horse battery staple = 1 2 3 4 5 6",
            &[0x30; 64],
            &[4; 65],
            &[0x30, 0x82],
            b"",
        ] {
            assert!(!is_known_key(secret), "{secret:?}");
        }
    }
}
