//! What may stand in front of a service: keys of a route that let our client pass, and what it sends for
//! that.

use std::fs;
use std::path::Path;

use serde_json::json;

use tokens::{Signer, now, set};

use crate::error::Result;

#[path = "../../tests/support/tokens.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod tokens;

const NETWORKS: &str = "access: { allow: [10.0.0.0/8, 127.0.0.0/8, '2001:db8::/32'], deny: [192.0.2.0/24] }";
const RATE: &str = "rate_limit: { rate: 1000000/s }";
/// The name of all together.
pub const GUARDED: &str = "guarded";

/// Keys of a route.
#[derive(Debug)]
pub struct Barrier {
    pub name: &'static str,
    pub keys: String,
    /// A field of each request, or nothing.
    pub field: String,
}

impl Barrier {
    pub const fn none(keys: String) -> Self {
        Self { name: "", keys, field: String::new() }
    }
}

/// A list of networks, a rate limit, and a token signed by ES256.
///
/// # Errors
/// When the keys cannot be written to the folder.
pub fn all(folder: &Path) -> Result<Barrier> {
    let token = token(folder, GUARDED, "ES256", &Signer::p256())?;
    Ok(Barrier { name: GUARDED, keys: format!("{NETWORKS}, {RATE}, {}", token.keys), field: token.field })
}

/// Each of them alone, and tokens by other algorithms.
///
/// # Errors
/// As of [`all`].
pub fn each(folder: &Path) -> Result<Vec<Barrier>> {
    let plain = |name, keys: &str| Barrier { name, ..Barrier::none(keys.to_owned()) };
    Ok(vec![
        plain("nothing", ""),
        plain("access", NETWORKS),
        plain("rate_limit", RATE),
        token(folder, "ES256", "ES256", &Signer::p256())?,
        token(folder, "RS256", "RS256", &Signer::rsa())?,
        token(folder, "HS256", "HS256", &Signer::Secret(vec![b's'; 32]))?,
        all(folder)?,
    ])
}

/// One as issuers make them, of some 400 bytes.
fn token(folder: &Path, name: &'static str, algorithm: &str, signer: &Signer) -> Result<Barrier> {
    let file = folder.join(name);
    let source = match signer {
        Signer::Secret(secret) => {
            fs::write(&file, secret)?;
            "secret_file"
        }
        Signer::Rsa(_) | Signer::P256(_) | Signer::P384(_) | Signer::Ed25519(_) => {
            fs::write(&file, set(&[signer.jwk(Some("2026-01"))]))?;
            "jwks_file"
        }
    };
    let claims = json!({
        "iss": "https://issuer.example", "aud": "shop", "sub": "6f1c2f0e-8d0f-4b57-9c51-9a8f4b1e2d3c",
        "iat": now(0), "exp": now(3600), "scope": "orders:read orders:write", "jti": "b7c1d1a2f3",
    });
    let token = signer.token(json!({ "alg": algorithm, "typ": "JWT", "kid": "2026-01" }), claims);
    Ok(Barrier {
        name,
        keys: format!(
            "auth: {{ jwt: {{ {source}: '{}', issuer: 'https://issuer.example', audience: shop }} }}",
            file.display()
        ),
        field: format!("Authorization: Bearer {token}\r\n"),
    })
}
