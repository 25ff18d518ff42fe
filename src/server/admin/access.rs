//! Who may ask the admin endpoint for what, and who may change something: what callers show decides, a token, a
//! certificate or both, or where they come from. A reload replaces it whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, StatusCode, Uri, header};

use super::answer::Answer;
use super::caller::{Caller, Reach, check_page, describe};
use super::resource::Resource;
use super::token::Token;
use crate::config::{Address, ClientAuthMode, Config, Listener, ListenerTls, TicketKeySource};
use crate::listener::{Entrance, TicketKeys};
use crate::server::journal::Who;

/// As metrics and `/certificates` name the endpoint among the listeners.
pub const NAME: &str = "admin";

/// What decides who may ask.
#[derive(Debug)]
pub struct Access {
    reach: Reach,
    token: Option<Token>,
    /// What becomes of callers without a certificate; `None` where none is asked for.
    client_auth: Option<ClientAuthMode>,
    /// TLS, where there is some.
    pub entrance: Entrance,
}

/// The one in force.
#[derive(Debug)]
pub struct AccessInForce(ArcSwap<Access>);

impl AccessInForce {
    pub fn new(access: Access) -> Self {
        Self(ArcSwap::from_pointee(access))
    }

    pub fn pin(&self) -> Arc<Access> {
        self.0.load_full()
    }

    pub fn replace(&self, access: Access) {
        self.0.store(Arc::new(access));
    }
}

impl Access {
    /// What the configuration says of the endpoint at this address.
    ///
    /// # Errors
    /// In words, when rustls refuses what the configuration has accepted.
    pub fn compile(config: &Config, address: &Address) -> Result<Self, String> {
        let tls = config.admin.tls.as_ref().map(|tls| ListenerTls {
            certificates: tls.certificates.clone(),
            // Without keys: callers are few, and their sessions are not resumed.
            ticket_keys: TicketKeySource::Auto,
            hsts: None,
            min_version: tls.min_version,
            client_auth: tls.client_auth.clone(),
            hosts: Vec::new(),
        });
        let place = Listener { tls, http2: Some(false), ..Listener::at(address.clone()) };
        let no_keys = Arc::new(TicketKeys::new(&[]));
        let title = format!("the admin endpoint {address}");
        let client_auth = config.admin.tls.as_ref().and_then(|tls| tls.client_auth.as_ref());
        Ok(Self {
            reach: Reach::from(address),
            token: config.admin.token.clone().map(Token::new),
            client_auth: client_auth.map(|client_auth| client_auth.mode),
            entrance: Entrance::compile_as(title, &place, &config.timeouts, &no_keys)?,
        })
    }

    /// The one that follows this one when another configuration is in force.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_next(&self, config: &Config) -> Result<Self, String> {
        let mut next = Self::compile(config, self.entrance.address())?;
        next.entrance.metrics = Arc::clone(&self.entrance.metrics);
        Ok(next)
    }

    /// # Errors
    /// Why the request is refused.
    pub fn check(
        &self,
        resource: Option<&Resource>,
        (target, fields): (&Uri, &HeaderMap),
        caller: &Caller,
    ) -> Result<(), Answer> {
        let forbidden = |reason: String| Answer::message(StatusCode::FORBIDDEN, &reason);
        if caller.rule() != self.entrance.client_auth_of("") {
            let reason = "this connection began before the last reload: ask on another one";
            return Err(Answer::message(StatusCode::MISDIRECTED_REQUEST, reason));
        }
        check_page(resource, fields, self.entrance.has_tls()).map_err(forbidden)?;
        if self.token.is_none() && self.client_auth.is_none() {
            return self.reach.check(target, fields).map_err(forbidden);
        }
        // A page of another site cannot know the token, and its name is in none of our certificates, whatever it
        // calls this machine.
        if resource.is_some_and(Resource::is_open) {
            return Ok(());
        }
        match &self.token {
            Some(token) if self.wants_token_of(caller) && !token.is_shown(fields) => {
                let refused = Answer::message(StatusCode::UNAUTHORIZED, "this needs `Authorization: Bearer TOKEN`");
                Err(refused.with_field(header::WWW_AUTHENTICATE, "Bearer realm=\"pingora-proxy\""))
            }
            None if caller.identity().is_none() => {
                Err(forbidden("this needs a client certificate (`admin.tls.client_auth`)".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a caller has to show the token: with `mode: optional` a certificate stands for it.
    pub fn wants_token_of(&self, caller: &Caller) -> bool {
        let stands_for_it = match self.client_auth {
            Some(ClientAuthMode::Optional) => caller.identity().is_some(),
            Some(ClientAuthMode::Require) | None => false,
        };
        self.token.is_some() && !stands_for_it
    }

    /// Who changes something, of callers that [`Self::check`] has let in.
    ///
    /// # Errors
    /// When whoever connects may change nothing, and what may.
    pub fn changer(&self, caller: &Caller) -> Result<Who, Answer> {
        if let Some(identity) = caller.identity() {
            return Ok(Who::AdminCertificate { name: describe(identity) });
        }
        match (self.reach, &self.token) {
            (_, Some(_)) => Ok(Who::AdminToken),
            (Reach::Unix, None) => {
                let (uid, pid) = caller.peer.unwrap_or((u32::MAX, 0));
                Ok(Who::AdminSocket { uid, pid })
            }
            (Reach::Tcp, None) => Err(Answer::message(
                StatusCode::FORBIDDEN,
                "over TCP the admin endpoint only tells, because every user of this machine can connect: \
                 change servers with `pingora-proxy upstreams`, name a token in `admin.token_file`, ask for certificates \
                 in `admin.tls.client_auth`, or give `admin.address` a unix socket",
            )),
        }
    }
}
