//! A provider's own configuration (OpenID Connect Discovery section 3), as far as it is used.

use serde::Deserialize;

use crate::config::authority_of;

/// What is known of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// Where browsers are sent to log in.
    pub authorization: String,
    /// Where the proxy exchanges codes.
    pub token: String,
    pub keys: String,
    /// Where claims are that no ID token has.
    pub user_info: Option<String>,
    /// Where browsers are sent to log out.
    pub end_session: Option<String>,
    pub authentication: ClientAuthentication,
    /// Whether each answer names the issuer (RFC 9207).
    pub names_itself: bool,
}

/// How the proxy shows its secret (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    Basic,
    /// In the body.
    Post,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl ProviderMetadata {
    /// # Errors
    /// In words, when it is none that can be used, or not that of `issuer`.
    pub fn parse(text: &[u8], issuer: &str) -> Result<Self, String> {
        let read: Document =
            serde_json::from_slice(text).map_err(|e| format!("it is no provider's configuration: {e}"))?;
        if read.issuer != issuer {
            return Err(format!("it is that of `{}`, and `auth.oidc.issuer` is `{issuer}`", read.issuer));
        }
        let has_challenge = |methods: &Vec<String>| methods.iter().any(|method| method == "S256");
        if read.code_challenge_methods_supported.as_ref().is_some_and(|methods| !has_challenge(methods)) {
            return Err("the provider does not take `S256` of PKCE (RFC 7636)".to_owned());
        }
        let is_secure = issuer.starts_with("https://");
        let endpoint = |name: &str, url: String| {
            let has_scheme = url.starts_with("https://") || (!is_secure && url.starts_with("http://"));
            // It becomes a field, and the target of a request.
            let is_plain = url.len() <= 2048 && url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('#');
            let has_host = crate::message::host::split(authority_of(&url)).is_some();
            if has_scheme && is_plain && has_host { Ok(url) } else { Err(format!("its `{name}` is no URL of `https`")) }
        };
        let either = |name: &str, url: Option<String>| url.map(|url| endpoint(name, url)).transpose();
        let methods = read.token_endpoint_auth_methods_supported.unwrap_or_default();
        let has = |method: &str| methods.iter().any(|known| known == method);
        Ok(Self {
            authorization: endpoint("authorization_endpoint", read.authorization_endpoint)?,
            // The proxy's own way to the provider may be another one: who asks looks at its scheme.
            token: read.token_endpoint,
            keys: read.jwks_uri,
            user_info: read.userinfo_endpoint,
            end_session: either("end_session_endpoint", read.end_session_endpoint)?,
            authentication: match has("client_secret_post") && !has("client_secret_basic") {
                true => ClientAuthentication::Post,
                false => ClientAuthentication::Basic,
            },
            names_itself: read.authorization_response_iss_parameter_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document(change: impl FnOnce(&mut Value)) -> Result<ProviderMetadata, String> {
        let mut document = json!({
            "issuer": "https://id.test", "authorization_endpoint": "https://id.test/auth?x=1",
            "token_endpoint": "https://id.test/token", "jwks_uri": "https://id.test/keys", "other": [1],
        });
        change(&mut document);
        ProviderMetadata::parse(document.to_string().as_bytes(), "https://id.test")
    }

    #[test]
    fn what_a_provider_says_of_itself_is_read_and_its_name_is_exact() {
        let read = document(|_| {}).unwrap();
        assert_eq!((read.token.as_str(), read.end_session, read.names_itself), ("https://id.test/token", None, false));
        assert_eq!(read.authentication, ClientAuthentication::Basic);
        let methods = |methods: Value| {
            document(|all| all["token_endpoint_auth_methods_supported"] = methods).map(|read| read.authentication)
        };
        assert_eq!(methods(json!(["client_secret_post"])), Ok(ClientAuthentication::Post));
        assert_eq!(methods(json!(["client_secret_post", "client_secret_basic"])), Ok(ClientAuthentication::Basic));
        for (name, value, why) in [
            ("issuer", json!("https://id.test/"), "it is that of `https://id.test/`"),
            ("issuer", json!("https://ID.test"), "it is that of"),
            ("token_endpoint", json!(null), "no provider's configuration"),
            ("authorization_endpoint", json!("http://id.test/auth"), "its `authorization_endpoint` is no URL"),
            ("authorization_endpoint", json!("javascript:alert(1)"), "its `authorization_endpoint` is no URL"),
            ("authorization_endpoint", json!("https://id.test/\r\nX: 1"), "its `authorization_endpoint` is no URL"),
            ("end_session_endpoint", json!("//id.test/out"), "its `end_session_endpoint` is no URL"),
            ("code_challenge_methods_supported", json!(["plain"]), "`S256`"),
        ] {
            let refused = document(|all| all[name] = value.clone());
            assert!(refused.as_ref().is_err_and(|e| e.contains(why)), "{name}: {value}: {refused:?}");
        }
    }
}
