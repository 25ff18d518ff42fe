//! The step at the end of a login: the provider is given the code that the browser brought, and says who
//! has logged in. Nothing of its answer is kept but what the session's cookie holds.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use data_encoding::BASE64;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pingora_timeout::timeout;

use super::context::RequestCtx;
use super::forward_auth::fault_of;
use super::waiting::while_client_stays;
use crate::auth::ServiceFault;
use crate::auth::oidc::{ClientAuthentication, Identity, Oidc, OidcFault, TokenAnswer};
use crate::filter::{Cause, CodeExchange, OidcRule, Reply};
use crate::message::query;
use crate::runtime::{AskedService, Provider};
use crate::upstream::{CallFailure, Connector, Question, call};

/// The largest answer, in bytes.
const LARGEST: usize = 64 * 1024;
/// Of the provider's word for what is wrong, for the log.
const LONGEST_WORD: usize = 200;

/// Why nobody has logged in, and what the log says more.
struct Failed(OidcFault, Option<String>);

impl From<OidcFault> for Failed {
    fn from(fault: OidcFault) -> Self {
        Self(fault, None)
    }
}

/// The reply: to where the login began, with the cookie of a session, or a page that says why not.
/// `connector` is the worker's, for such questions.
pub async fn reply(
    connector: &Connector,
    session: &mut Session,
    ctx: &mut RequestCtx,
    exchange: CodeExchange,
) -> Reply {
    let snapshot = Arc::clone(&ctx.snapshot);
    let route = ctx.admission.route.ok().and_then(|route| snapshot.routes.get(route));
    let Some((rule, provider)) = route.and_then(|route| Some((route.filters.oidc()?, route.provider.as_ref()?))) else {
        return Reply::Error(Cause::Internal);
    };
    let asked = timeout(rule.timeout, log_in(connector, rule, provider, &exchange));
    let outcome = match while_client_stays(session, asked).await {
        Err(_) => return Reply::Error(Cause::ClientGone),
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(OidcFault::TimedOut.into()),
    };
    let mut findings = std::mem::take(&mut ctx.findings);
    let reply = match outcome {
        Ok(identity) => rule.welcome(&ctx.request(session.req_header()), &identity, exchange.to, &mut findings),
        Err(Failed(fault, more)) => {
            more.iter().for_each(|more| rule.note(fault, more));
            rule.fail(fault, exchange.to, None, &mut findings)
        }
    };
    ctx.findings = findings;
    reply
}

/// Who has logged in.
async fn log_in(
    connector: &Connector,
    rule: &OidcRule,
    provider: &Provider,
    exchange: &CodeExchange,
) -> Result<Identity, Failed> {
    let oidc = &rule.provider;
    // Whoever waits does so within the time that a login has.
    let Ok(_place) = oidc.exchanges.acquire().await else { return Err(OidcFault::NotReady.into()) };
    let (Some(metadata), Some(service)) = (oidc.metadata(), provider.token.load_full()) else {
        return Err(OidcFault::NotReady.into());
    };
    let question = token_request(&service, oidc, metadata.authentication, exchange);
    let (head, form) = question.map_err(|e| Failed(OidcFault::AnswerInvalid, Some(e.to_string())))?;
    // A code that comes twice ends what it gave (RFC 6749 section 4.1.2).
    let answer = call(connector, &service.pool, Question::new(&head, LARGEST).with_content(form).once()).await;
    let (head, body) = answer.map_err(failed)?;
    match head.status.as_u16() {
        200 => {}
        status @ 400..=499 => return Err(refused(status, &body)),
        status => return Err(Failed(OidcFault::AnswerInvalid, Some(format!("it answered {status}")))),
    }
    let answer = TokenAnswer::parse(&body)?;
    let mut identity = match oidc.verify(&answer, &exchange.nonce, SystemTime::now()) {
        Err(OidcFault::TokenKey | OidcFault::TokenSignature) => {
            await_new_keys(rule).await;
            oidc.verify(&answer, &exchange.nonce, SystemTime::now())?
        }
        decided => decided?,
    };
    if rule.lacks_claims(&identity)
        && let Some(service) = provider.user_info.load_full()
        && let Some(token) = answer.access_token()
    {
        let told = user_info(connector, &service, token).await?;
        identity.add(&told)?;
    }
    Ok(identity)
}

/// The provider may have changed its keys: they are fetched anew, by the thread that does so.
async fn await_new_keys(rule: &OidcRule) {
    let oidc = &rule.provider;
    let fetched = oidc.fetched.notified();
    tokio::pin!(fetched);
    fetched.as_mut().enable();
    oidc.wanted.notify_one();
    // If they do not come in time, the token is refused by those that are there.
    timeout(rule.timeout / 2, fetched).await.unwrap_or_default();
}

/// OpenID Connect Core section 3.1.3.1, with the verifier of RFC 7636 section 4.5.
fn token_request(
    service: &AskedService,
    oidc: &Oidc,
    authentication: ClientAuthentication,
    exchange: &CodeExchange,
) -> pingora::Result<(RequestHeader, Bytes)> {
    let mut form = form(&[
        ("grant_type", "authorization_code"),
        ("code", &exchange.code),
        ("redirect_uri", &exchange.redirect_uri),
        ("code_verifier", &exchange.verifier),
    ]);
    let id = query::encode(&oidc.client_id);
    let basic = oidc.with_client_secret(|secret| match (secret.map(query::encode), authentication) {
        (Some(secret), ClientAuthentication::Basic) => Some(BASE64.encode(format!("{id}:{secret}").as_bytes())),
        (Some(secret), ClientAuthentication::Post) => {
            form.push_str(&format!("&client_id={id}&client_secret={secret}"));
            None
        }
        (None, ClientAuthentication::Basic | ClientAuthentication::Post) => {
            form.push_str(&format!("&client_id={id}"));
            None
        }
    });
    let mut head = service.request("POST", "application/json")?;
    head.insert_header("Content-Type", "application/x-www-form-urlencoded")?;
    head.insert_header("Content-Length", form.len())?;
    if let Some(basic) = basic {
        head.insert_header("Authorization", format!("Basic {basic}"))?;
    }
    Ok((head, form.into()))
}

fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("{name}={}", query::encode(value)));
    fields.collect::<Vec<_>>().join("&")
}

/// What the provider tells of who has logged in (OpenID Connect Core section 5.3).
async fn user_info(connector: &Connector, service: &AskedService, token: &str) -> Result<Bytes, Failed> {
    let head = || {
        let mut head = service.request("GET", "application/json")?;
        head.insert_header("Authorization", format!("Bearer {token}"))?;
        Ok::<_, Box<pingora::Error>>(head)
    };
    let head = head().map_err(|e| Failed(OidcFault::UserInfo, Some(e.to_string())))?;
    let (head, body) = call(connector, &service.pool, Question::new(&head, LARGEST)).await.map_err(failed)?;
    match head.status.as_u16() {
        200 => Ok(body),
        status => Err(Failed(OidcFault::UserInfo, Some(format!("it answered {status}")))),
    }
}

/// What the provider says is wrong (RFC 6749 section 5.2).
fn refused(status: u16, body: &[u8]) -> Failed {
    let read: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let word = |name: &str| read.as_ref().and_then(|read| read.get(name)?.as_str().map(str::to_owned));
    let fault = match word("error").as_deref() {
        Some("invalid_grant") => OidcFault::CodeRefused,
        Some(_) | None => OidcFault::ClientRefused,
    };
    let words = ["error", "error_description"].into_iter().filter_map(word).collect::<Vec<_>>().join(": ");
    Failed(fault, Some(format!("{status} {}", words.chars().take(LONGEST_WORD).collect::<String>())))
}

fn failed(failure: CallFailure) -> Failed {
    let fault = match fault_of(&failure) {
        ServiceFault::Down => OidcFault::Down,
        ServiceFault::Unreachable => OidcFault::Unreachable,
        ServiceFault::TimedOut => OidcFault::TimedOut,
        ServiceFault::Invalid => OidcFault::AnswerInvalid,
        ServiceFault::TooLong => OidcFault::AnswerTooLong,
    };
    match failure {
        CallFailure::Failed(error) => Failed(fault, Some(error.to_string())),
        CallFailure::Unavailable(_) | CallFailure::TooLong => fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_the_provider_decides_whose_fault_it_is() {
        let fault = |body: &str| {
            let Failed(fault, more) = refused(400, body.as_bytes());
            (fault, more.unwrap())
        };
        let told = fault(r#"{"error":"invalid_grant","error_description":"used"}"#);
        assert_eq!(told, (OidcFault::CodeRefused, "400 invalid_grant: used".to_owned()));
        assert_eq!(fault(r#"{"error":"invalid_client"}"#).0, OidcFault::ClientRefused);
        assert_eq!(fault("<html>").0, OidcFault::ClientRefused);
        assert!(fault(&format!(r#"{{"error":"{}"}}"#, "x".repeat(1000))).1.len() < 220);
    }

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(form(&[("a", "b c"), ("d", "&=+")]), "a=b%20c&d=%26%3D%2B");
    }
}
