//! JSON Web Keys (RFC 7517): the public keys of an issuer, from a file or as they were fetched.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Deserialize;

use super::algorithm::TokenAlgorithm;
use crate::config::value::FileContent;
use crate::config::yaml::{Invalid, Parsed};

/// A set with more is refused.
const MOST_KEYS: usize = 100;
/// RFC 7518 section 3.3, in bits.
const SHORTEST_RSA: usize = 2048;
const LONGEST_RSA: usize = 8192;

/// The keys of a set that can verify a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    pub keys: Vec<PublicKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub id: Option<Box<str>>,
    /// The only one that it is for, where the set says so.
    pub algorithm: Option<TokenAlgorithm>,
    pub material: KeyMaterial,
}

/// A key decides for which algorithms it can be used at all; a token only names one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// Modulus and exponent.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Keys of kinds that are not known, for encryption, and secret ones are passed over, as RFC
    /// 7517 section 5 has it.
    ///
    /// # Errors
    /// In words, when it is no set, or none of its keys can be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(bytes).map_err(|e| format!("it is no JSON Web Key Set: {e}"))?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("the set has more than {MOST_KEYS} keys"));
        }
        let read: Vec<_> = set.keys.into_iter().map(key).collect();
        let why = read.iter().find_map(|key| key.as_ref().err().cloned());
        let keys: Vec<PublicKey> = read.into_iter().filter_map(Result::ok).collect();
        match (keys.is_empty(), why) {
            (false, _) => Ok(Self { keys }),
            (true, Some(why)) => Err(format!("no key of the set can be used: {why}")),
            (true, None) => Err("the set has no key".to_owned()),
        }
    }
}

fn key(json: serde_json::Value) -> Result<PublicKey, String> {
    let jwk: Jwk = serde_json::from_value(json).map_err(|e| format!("a key of it is none: {e}"))?;
    let name = jwk.kid.as_deref().map(|id| format!("the key `{id}`")).unwrap_or_else(|| "a key".to_owned());
    let verifies = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !verifies {
        return Err(format!("{name} is not for signatures"));
    }
    let member = |value: &Option<String>| {
        let value = value.as_ref().and_then(|value| BASE64URL_NOPAD.decode(value.as_bytes()).ok());
        value.ok_or_else(|| format!("{name} is not whole"))
    };
    let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => KeyMaterial::Rsa { n: number(&member(&jwk.n)?), e: number(&member(&jwk.e)?) },
        ("EC", Some("P-256")) => KeyMaterial::P256(point(&member(&jwk.x)?, &member(&jwk.y)?)),
        ("EC", Some("P-384")) => KeyMaterial::P384(point(&member(&jwk.x)?, &member(&jwk.y)?)),
        ("OKP", Some("Ed25519")) => KeyMaterial::Ed25519(member(&jwk.x)?),
        ("oct", _) => return Err(format!("{name} is a secret, which belongs into a `secret_file`")),
        (kind, curve) => return Err(format!("{name} is of the kind {kind} {}", curve.unwrap_or_default())),
    };
    if let Some(fault) = material.fault() {
        return Err(format!("{name} {fault}"));
    }
    let algorithm = match jwk.alg.as_deref() {
        None => None,
        Some(word) => match TokenAlgorithm::named(word).filter(|algorithm| material.fits(*algorithm)) {
            Some(algorithm) => Some(algorithm),
            None => return Err(format!("{name} is not of a kind for `{word}`")),
        },
    };
    Ok(PublicKey { id: jwk.kid.map(Into::into), algorithm, material })
}

/// A number without the zeros in front of it, which some issuers write against RFC 7518 section 2.
fn number(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// SEC 1 section 2.3.3.
fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

impl KeyMaterial {
    pub fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        use TokenAlgorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match algorithm {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => matches!(self, Self::Rsa { .. }),
            Es256 => matches!(self, Self::P256(_)),
            Es384 => matches!(self, Self::P384(_)),
            EdDsa => matches!(self, Self::Ed25519(_)),
            Hs256 | Hs384 | Hs512 => false,
        }
    }

    /// Why it must not verify anything.
    fn fault(&self) -> Option<&'static str> {
        let is_valid = match self {
            Self::Rsa { n, e } => return rsa_fault(n, e),
            Self::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok(),
            Self::P384(point) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).is_ok(),
            Self::Ed25519(key) if is_of_small_order(key) => {
                return Some("is a point of small order: whoever likes could sign for it");
            }
            Self::Ed25519(key) => ParsedPublicKey::new(&ED25519, key).is_ok(),
        };
        (!is_valid).then_some("is no valid key")
    }
}

/// `n` and `e` without zeros in front.
fn rsa_fault(n: &[u8], e: &[u8]) -> Option<&'static str> {
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(SHORTEST_RSA..=LONGEST_RSA).contains(&bits) {
        Some("is an RSA key of less than 2048 bits, or of more than 8192")
    } else if !is_odd(n) {
        Some("is no valid key: its modulus is even")
    } else if !is_odd(e) || e == [1] {
        Some("is no valid key: its exponent is 1 or even, and whoever likes could sign for it")
    } else {
        let parsed = RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        parsed.is_err().then_some("is no valid key")
    }
}

/// Whether a point of Ed25519 has the order 1, 2, 4 or 8: for such a key there are signatures of
/// anything. RFC 8032 does not refuse them. These are all, with the ways in which they may be written;
/// the sign of `x` does not count.
fn is_of_small_order(point: &[u8]) -> bool {
    let Some((last, rest)) = point.split_last() else { return false };
    let y: Vec<u8> = rest.iter().copied().chain([last & 0x7f]).collect();
    let low = |first: u8| [&[first], &[0; 31][..]].concat();
    // From p - 1 to p + 1.
    let high = |first: u8| [&[first], &[0xff; 30][..], &[0x7f]].concat();
    let eighth = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    [low(0), low(1), high(0xec), high(0xed), high(0xee)].contains(&y) || eighth.contains(&&*HEXLOWER.encode(&y))
}

impl FileContent for KeySet {
    fn of_file(bytes: &[u8]) -> Parsed<Self> {
        Self::parse(bytes).map_err(|why| Invalid::new(format!("this file: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn parse(keys: &[&str]) -> Result<KeySet, String> {
        KeySet::parse(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes())
    }

    #[test]
    fn keys_for_signatures_are_read_and_others_passed_over() {
        let set = parse(&[P256, r#"{"kty":"oct","k":"c2VjcmV0"}"#, r#"{"kty":"new"}"#, ED]).unwrap();
        assert_eq!((set.keys.len(), set.keys[0].id.as_deref(), &set.keys[1].id), (2, Some("a"), &None));
        for (bad, why) in [
            (r#"{"kty":"oct","k":"c2VjcmV0"}"#, "secret_file"),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "2048"),
            (&P256.replace("f83O", "f83P"), "no valid key"),
            (&P256.replace("\"kid\"", "\"use\":\"enc\",\"kid\""), "not for signatures"),
            (&P256.replace("\"kid\"", "\"alg\":\"RS256\",\"kid\""), "not of a kind for `RS256`"),
            (&P256.replace("\"kid\"", "\"alg\":\"HS256\",\"kid\""), "not of a kind for `HS256`"),
            (&P256.replace("\"x\"", "\"z\""), "not whole"),
            ("1", "none"),
        ] {
            let refused = parse(&[bad]).unwrap_err();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
        let rsa = |n: &[u8], e: &str| format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, BASE64URL_NOPAD.encode(n));
        let odd = [[0xc1; 255].as_slice(), &[0xb1]].concat();
        assert!(parse(&[&rsa(&odd, "AQAB")]).is_ok());
        let padded = [&[0; 3], &odd[..]].concat();
        assert_eq!(parse(&[&rsa(&padded, "AAEAAQ")]), parse(&[&rsa(&odd, "AQAB")]), "zeros in front count for nothing");
        for (bad, why) in [
            (rsa(&[&[0; 200], &odd[..128]].concat(), "AQAB"), "2048"),
            (rsa(&odd, "AQ"), "exponent"),
            (rsa(&odd, "AAAB"), "exponent"),
            (rsa(&odd, "Ag"), "exponent"),
            (rsa(&odd, "AA"), "exponent"),
            (rsa(&[&odd[..255], &[2]].concat(), "AQAB"), "even"),
        ] {
            let refused = parse(&[&bad]).unwrap_err();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
        for point in ["00", "01", "ec", "ed", "ee", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"]
        {
            let rest = if point.starts_with('e') { 0xff } else { 0 };
            let mut bytes = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap();
            bytes.resize(31, rest);
            bytes.push(if rest == 0 { 0 } else { 0x7f });
            if point.len() > 2 {
                bytes = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap();
            }
            for sign in [0, 0x80] {
                bytes[31] |= sign;
                let key = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, BASE64URL_NOPAD.encode(&bytes));
                assert!(parse(&[&key]).unwrap_err().contains("small order"), "{point}");
            }
        }
        assert!(KeySet::parse(b"{}").is_err() && parse(&[]).unwrap_err().contains("no key"));
        assert!(parse(&[ED; 101]).unwrap_err().contains("more than 100"));
    }
}
