//! The admin endpoint's answers: who may ask is decided, and each resource answers in a file of its
//! own.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response, StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::access::{Access, AccessInForce};
use super::answer::Answer;
use super::caller::Caller;
use super::figures::Figures;
use super::requests::Wanted;
use super::resource::Resource;
use super::servers::Servers;
use super::stream::{Right, Stream};
use super::{certificates, explained, history, metrics, patch, reasons, requests, routes, stats, stream};
use crate::config;
use crate::metrics::Format;
use crate::server::lifecycle::status::{Phase, Status};
use crate::telemetry::{RecentRequests, contained_panics, lost_error_lines, lost_lines};

/// Callers at once that wait for what has not come yet.
const MOST_STREAMS: usize = 16;
const MOST_WAITING: usize = 64;
/// Answers at once that grow with the configuration, to megabytes: each is held until its caller has taken it.
const MOST_LARGE: usize = 4;
/// How long a caller waits for one of those places.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(2);

/// Answers from the state of the process.
#[derive(Debug)]
pub struct AdminApi {
    access: Arc<AccessInForce>,
    status: Arc<Status>,
    servers: Arc<Servers>,
    figures: Figures,
    streams: Arc<Semaphore>,
    waiting: Semaphore,
    large: Arc<Semaphore>,
    /// One explanation at a time: each compiles the configuration.
    explaining: Semaphore,
}

/// What a caller gets.
pub enum Reply {
    /// With its place among the large ones.
    Response(Box<Response<Vec<u8>>>, Option<OwnedSemaphorePermit>),
    Stream(Box<Stream>),
}

impl AdminApi {
    pub fn new(access: Arc<AccessInForce>, servers: Arc<Servers>, figures: Figures) -> Self {
        Self {
            access,
            status: Arc::clone(&figures.status),
            servers,
            figures,
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            waiting: Semaphore::new(MOST_WAITING),
            large: Arc::new(Semaphore::new(MOST_LARGE)),
            explaining: Semaphore::new(1),
        }
    }

    /// What decides who may ask now.
    pub fn access(&self) -> Arc<Access> {
        self.access.pin()
    }

    pub async fn reply(&self, session: &mut ServerSession, caller: &Caller) -> Reply {
        let head = session.req_header();
        let (method, resource) = (head.method.clone(), Resource::at(head.uri.path()));
        if let Err(refused) = self.allow(session, (&method, resource.as_ref()), caller) {
            return Reply::Response(Box::new(refused.into_response(&method)), None);
        }
        let place = match self.place_of(resource.as_ref()).await {
            Ok(place) => place,
            Err(refused) => return Reply::Response(Box::new(refused.into_response(&method)), None),
        };
        let streams = resource == Some(Resource::Requests) && stream::is_wanted(&session.req_header().headers);
        let answer = match (streams, resource) {
            (_, None) => Answer::message(StatusCode::NOT_FOUND, "there is nothing of this name"),
            (true, Some(_)) if method == Method::GET => match self.stream(session) {
                Ok(stream) => return Reply::Stream(Box::new(stream)),
                Err(refused) => refused,
            },
            (_, Some(resource)) => self.answer(session, &resource, caller).await.unwrap_or_else(|refused| refused),
        };
        Reply::Response(Box::new(answer.into_response(&method)), place)
    }

    /// # Errors
    /// When others do not take such answers.
    async fn place_of(&self, resource: Option<&Resource>) -> Result<Option<OwnedSemaphorePermit>, Answer> {
        if !resource.is_some_and(Resource::is_large) {
            return Ok(None);
        }
        match timeout(WAIT_FOR_PLACE, Arc::clone(&self.large).acquire_owned()).await {
            Ok(place) => Ok(place.ok()),
            Err(_) => {
                let reason = "there are too many large answers under way that nobody reads; ask again";
                Err(Answer::message(StatusCode::SERVICE_UNAVAILABLE, reason))
            }
        }
    }

    /// # Errors
    /// Why the request is refused.
    fn allow(
        &self,
        session: &ServerSession,
        (method, resource): (&Method, Option<&Resource>),
        caller: &Caller,
    ) -> Result<(), Answer> {
        let (head, access) = (session.req_header(), self.access());
        access.check(resource, (&head.uri, &head.headers), caller)?;
        let Some(resource) = resource else { return Ok(()) };
        if resource.is_change() {
            access.changer(caller)?;
        }
        if resource.allowed().split(", ").any(|allowed| allowed == method.as_str()) {
            return Ok(());
        }
        let refused = Answer::message(StatusCode::METHOD_NOT_ALLOWED, &format!("use {}", resource.allowed()));
        Err(refused.with_field(header::ALLOW, resource.allowed()))
    }

    async fn answer(
        &self,
        session: &mut ServerSession,
        resource: &Resource,
        caller: &Caller,
    ) -> Result<Answer, Answer> {
        let ok = |text| Answer::json_text(StatusCode::OK, text);
        let journal = &self.status.journal;
        Ok(match resource {
            Resource::Health => self.process(StatusCode::OK, "alive", caller),
            Resource::Ready => self.ready(caller),
            Resource::Metrics => {
                let format = wanted_format(session);
                Answer::of_kind(
                    format.content_type(),
                    metrics::exposition(&self.figures, &self.access().entrance, format) + "\n",
                )
            }
            Resource::Stats => Answer::json(&stats::stats(&self.figures)),
            Resource::Upstreams => ok(self.servers.report()),
            Resource::Reasons => reasons::answer(),
            Resource::Requests => {
                let (recent, wanted) = (self.recent()?, wanted(session)?);
                // One too many is not told that it has to wait.
                let place = self.waiting.try_acquire();
                let wanted = if place.is_ok() { wanted } else { wanted.without_wait() };
                let answer = requests::answer(&recent, wanted).await;
                // Who may ask may have changed meanwhile.
                self.allow(session, (&Method::GET, Some(resource)), caller)?;
                answer
            }
            Resource::Certificates => certificates::answer(&self.figures.live.pin(), &self.access().entrance),
            Resource::Routes => routes::answer(&journal.config()),
            Resource::Config => Answer::of_kind("text/yaml; charset=utf-8", config::to_public_yaml(&journal.config())),
            Resource::Explain => {
                let _turn = self.explaining.acquire().await;
                explained::answer(session.req_header().uri.query().unwrap_or_default(), journal.config()).await
            }
            Resource::Generations => history::generations(journal),
            Resource::Audit => history::audit(journal),
            Resource::Page(file) => file.answer(),
            Resource::Server { upstream, server } => {
                let patch = patch::read(session).await?;
                // Who may change something may have changed while it came.
                self.allow(session, (&Method::PATCH, Some(resource)), caller)?;
                let who = self.access().changer(caller)?;
                patch.apply((upstream, server), &self.servers, (&who, journal))
            }
        })
    }

    /// The newest requests.
    ///
    /// # Errors
    /// When the configuration keeps none.
    fn recent(&self) -> Result<Arc<RecentRequests>, Answer> {
        self.figures.live.pin().access.recent().cloned().ok_or_else(|| {
            let reason = "the newest requests are not kept: `log.access.recent` is 0";
            Answer::message(StatusCode::NOT_FOUND, reason)
        })
    }

    fn stream(&self, session: &ServerSession) -> Result<Stream, Answer> {
        let (recent, mut wanted) = (self.recent()?, wanted(session)?);
        let place = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Answer::message(StatusCode::SERVICE_UNAVAILABLE, "there are too many streams already; close one")
        })?;
        wanted.after = stream::resume(&session.req_header().headers).or(wanted.after);
        let (target, fields) = (session.req_header().uri.clone(), session.req_header().headers.clone());
        let right = Right { access: Arc::clone(&self.access), target, fields };
        Ok(Stream { recent, wanted, place, right })
    }

    /// Whether new connections are welcome.
    fn ready(&self, caller: &Caller) -> Answer {
        match self.status.phase() {
            Phase::Serving => self.process(StatusCode::OK, "ready", caller),
            phase @ (Phase::Starting | Phase::Draining | Phase::HandedOver) => {
                self.process(StatusCode::SERVICE_UNAVAILABLE, phase.describe(), caller)
            }
        }
    }

    fn process(&self, code: StatusCode, text: &str, caller: &Caller) -> Answer {
        let body = serde_json::json!({
            "status": text,
            "pid": std::process::id(),
            "generation": self.status.generation(),
            "uptime_s": self.status.started.elapsed().as_secs(),
            "panics": contained_panics(),
            "lost_log_lines": lost_lines(),
            "lost_error_log_lines": lost_error_lines(),
            "needs_token": self.access().wants_token_of(caller),
        });
        Answer::json_text(code, body.to_string())
    }
}

/// # Errors
/// Which parameter of the query is not understood.
fn wanted(session: &ServerSession) -> Result<Wanted, Answer> {
    let query = session.req_header().uri.query().unwrap_or_default();
    Wanted::read(query).map_err(|reason| Answer::message(StatusCode::BAD_REQUEST, &reason))
}

/// What a scrape asks for; of several fields the first counts.
fn wanted_format(session: &ServerSession) -> Format {
    let accept = session.req_header().headers.get(header::ACCEPT);
    Format::wanted(accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default())
}
