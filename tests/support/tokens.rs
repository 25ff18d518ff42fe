//! Signed tokens and the keys of their issuers.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use aws_lc_rs::{encoding::AsDer, hmac};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

pub enum Signer {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    P384(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Secret(Vec<u8>),
}

impl Signer {
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub fn p256() -> Self {
        Self::P256(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    pub fn p384() -> Self {
        Self::P384(Box::new(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()))
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Box::new(Ed25519KeyPair::generate().unwrap()))
    }

    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let encoding: &'static dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let by = match alg {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(by, secret), message).as_ref().to_vec()
            }
        }
    }

    /// The public key, as a set has it.
    pub fn jwk(&self, id: Option<&str>) -> Value {
        let encoded = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let point = |key: &EcdsaKeyPair, curve: &str| {
            let bytes = &key.public_key().as_ref()[1..];
            let (x, y) = bytes.split_at(bytes.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y) })
        };
        let mut jwk = match self {
            // PKCS #1: a sequence, the modulus with a zero in front, and 65537.
            Self::Rsa(key) => json!({ "kty": "RSA", "n": encoded(&key.public_key().as_ref()[9..265]), "e": "AQAB" }),
            Self::P256(key) => point(key, "P-256"),
            Self::P384(key) => point(key, "P-384"),
            Self::Ed25519(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key().as_ref()) }),
            Self::Secret(secret) => json!({ "kty": "oct", "k": encoded(secret) }),
        };
        if let Some(id) = id {
            jwk["kid"] = json!(id);
        }
        jwk
    }

    /// The public key of RSA in the forms that somebody might take for a secret.
    pub fn public_bytes(&self) -> Vec<Vec<u8>> {
        let Self::Rsa(key) = self else { return Vec::new() };
        let der: Vec<u8> =
            AsDer::<aws_lc_rs::encoding::PublicKeyX509Der>::as_der(key.public_key()).unwrap().as_ref().to_vec();
        let lines = data_encoding::BASE64.encode(&der);
        let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        let jwk = self.jwk(None);
        let modulus = BASE64URL_NOPAD.decode(jwk["n"].as_str().unwrap().as_bytes()).unwrap();
        vec![der, pem.trim_end().as_bytes().to_vec(), pem.into_bytes(), modulus, jwk.to_string().into_bytes()]
    }

    /// A token with this header and these claims.
    pub fn token(&self, header: Value, claims: Value) -> String {
        let alg = header["alg"].as_str().unwrap_or_default().to_owned();
        self.raw_token(&alg, &header.to_string(), &claims.to_string())
    }

    pub fn raw_token(&self, alg: &str, header: &str, claims: &str) -> String {
        let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let message = format!("{}.{}", encoded(header), encoded(claims));
        format!("{message}.{}", BASE64URL_NOPAD.encode(&self.sign(alg, message.as_bytes())))
    }
}

pub fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Seconds since 1970, and so many more.
pub fn now(more: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + more
}
